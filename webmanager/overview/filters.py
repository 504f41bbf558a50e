"""Which events somebody wants to see: read from a query, turned into one to the database."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from agent.messages.catalog import MESSAGES
from webmanager.models import Cluster, Event
from webmanager.selectors import acknowledgement

LONGEST = 200
SEVERITIES = ("info", "warning", "error")
ATTENTION = "attention"  # warnings and errors
TEXTS = ("q", "server", "kind", "name", "module")
_LEAST_S, _MOST_S = 0.0, 253_402_300_799.0  # the years that a date can show


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Everything is a text as it was typed; what cannot be understood is in `problems` and filters nothing."""

    q: str = ""
    severity: str = ""
    server: str = ""
    kind: str = ""
    name: str = ""
    module: str = ""
    since: str = ""
    until: str = ""
    ack: str = ""  # "open", "done" or ""
    problems: tuple[str, ...] = ()
    language: str = "en"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        asked = {field: str(query.get(field, ""))[:LONGEST].strip().replace("\0", "") for field in FIELDS}
        found = cls(**asked, problems=tuple(_problems(asked)), language=get_language() or "en")
        return dataclasses.replace(found, severity=found.severity if _known_severity(found.severity) else "",
                                   ack=found.ack if found.ack in ("open", "done") else "")  # fmt: skip

    def as_dict(self) -> dict[str, str]:
        """Without what filters nothing."""
        return {field: value for field in FIELDS if (value := getattr(self, field))}

    @property
    def query(self) -> str:
        return urlencode(self.as_dict())

    def apply(self, events: QuerySet[Event]) -> QuerySet[Event]:
        for field in ("server", "kind", "name"):
            if value := getattr(self, field):
                events = events.filter(**{field: value})
        if self.severity:
            wanted = ("warning", "error") if self.severity == ATTENTION else (self.severity,)
            events = events.filter(severity__in=wanted)
        if self.module:
            events = events.filter(code__startswith=f"{self.module}:")
        if (since := seconds(self.since)) is not None:
            events = events.filter(time__gte=since)
        if (until := seconds(self.until)) is not None:
            events = events.filter(time__lte=until + _granted(self.until))
        if self.q:
            events = events.filter(_text(self.q, self.language))
        return _acknowledged(events, self.ack)


FIELDS = tuple(field.name for field in dataclasses.fields(Filter) if field.name not in ("problems", "language"))


def events(cluster: Cluster, wanted: Filter) -> QuerySet[Event]:
    return wanted.apply(Event.objects.filter(cluster=cluster))


def unacknowledged(found: QuerySet[Event]) -> QuerySet[Event]:
    """Of these the ones that somebody should acknowledge."""
    return found.filter(acked_at=None).exclude(severity="info")


def _acknowledged(found: QuerySet[Event], ack: str) -> QuerySet[Event]:
    if ack == "open":
        return unacknowledged(found)
    return found.exclude(acked_at=None) if ack == "done" else found


def _text(words: str, language: str) -> Q:
    """In the sentence, as it is stored in English and as the page shows it, in names and in the number."""
    found = Q(text__icontains=words) | Q(name__icontains=words) | Q(server__icontains=words) | Q(code=words)
    if language.startswith("ja"):
        codes = [f"{module}:{number}" for (module, number), said in MESSAGES.items() if words in said.ja]
        found |= Q(code__in=codes)
    return found


def _problems(asked: Mapping[str, str]) -> list[str]:
    found = []
    for field in ("since", "until"):
        if asked[field] and seconds(asked[field]) is None:
            found.append(
                _("“%(text)s” is no time. Write it as 2026-11-23 03:12:07, or as seconds since 1970.")
                % {"text": asked[field]}
            )
    if not _known_severity(asked["severity"]):
        found.append(_("There is no severity “%(text)s”.") % {"text": asked["severity"]})
    return found


def _known_severity(text: str) -> bool:
    return text in ("", ATTENTION, *SEVERITIES)


def seconds(text: str) -> float | None:
    """Seconds since 1970 of a moment in ISO form (without a zone: the manager's) or in seconds; None: it is neither."""
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        try:
            moment = datetime.datetime.fromisoformat(text)
            if timezone.is_naive(moment):
                moment = timezone.make_aware(moment)
            found = moment.timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    return found if _LEAST_S <= found <= _MOST_S else None


def _granted(text: str) -> float:
    """Up to 03:12 means up to the end of that minute; what names parts of a second, or seconds, is meant as it is."""
    if "-" not in text or "." in text:
        return 0.0
    return {0: 86399.999999, 1: 59.999999}.get(text.count(":"), 0.999999)


def shown(event: Event) -> dict[str, Any]:
    """The note with what the manager knows of it besides."""
    return {**event.note, "number": event.pk, "acknowledged": acknowledgement(event)}
