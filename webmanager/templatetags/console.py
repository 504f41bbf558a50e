"""How states and times look on pages without JavaScript; the same words and shapes as static/js/look.js."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, gettext_noop

from agent.messages.catalog import MESSAGES, render
from webmanager.spoken import known_here, shown

register = template.Library()

_LOOKS = {
    gettext_noop("Online"): "good",
    gettext_noop("Normal"): "good",
    gettext_noop("Online Pending"): "busy",
    gettext_noop("Offline Pending"): "busy",
    gettext_noop("Caution"): "warn",
    gettext_noop("Suspend"): "warn",
    gettext_noop("Error"): "bad",
    gettext_noop("Online Failure"): "bad",
    gettext_noop("Offline Failure"): "bad",
    gettext_noop("Offline"): "idle",
    gettext_noop("Unused"): "idle",
    gettext_noop("Unknown"): "unknown",
    "info": "info",
    "warning": "warn",
    "error": "bad",
    # How an operation stands.
    "running": "busy",
    "accepted": "busy",
    "done": "good",
    "refused": "warn",
    "failed": "bad",
    "cancelled": "idle",
    "waiting": "busy",
    "asked": "busy",  # in the audit: its end is another row
    "returned": "warn",
}
_WORDS = {
    "info": gettext_noop("Info"),
    "warning": gettext_noop("Warning"),
    "error": gettext_noop("Error"),
    "running": gettext_noop("Running"),
    "accepted": gettext_noop("Accepted"),
    "done": gettext_noop("Done"),
    "refused": gettext_noop("Refused"),
    "failed": gettext_noop("Failed"),
    "cancelled": gettext_noop("Cancelled"),
    "waiting": gettext_noop("Waiting"),
    "asked": gettext_noop("Asked"),
    "returned": gettext_noop("Returned"),
}


@register.simple_tag
def state(status: str, kind: str = "") -> SafeString:
    """Shape and word of a state. A server that is offline is a loss, unlike a group that has nothing to do there."""
    text = gettext(_WORDS.get(status, status)) if status else ""
    look = "down" if kind == "server" and status == "Offline" else _LOOKS.get(status, "unknown")
    return format_html('<span class="state" data-look="{}">{}</span>', look, text)


@register.simple_tag
def state_word(status: str) -> str:
    """Where no shape can stand, as in a list to choose from."""
    return gettext(_WORDS.get(status, status)) if status else ""


@register.filter
def sentence(note: Mapping[str, Any]) -> SafeString:
    """What an event says, in the language of the page when the catalogue has it, else as its writer said it."""
    if (note["module"], note["event"]) in MESSAGES:
        return format_html("{}", render(note["module"], note["event"], note["params"], get_language() or "en"))
    return format_html('<span lang="en">{}</span>', note["text"])


@register.filter
def spoken(text: object) -> SafeString:
    """What servers, workers and the simulator said whole; what is not known in the page's language is marked."""
    return shown(text)


@register.simple_tag
def sentences() -> dict[str, str]:
    """Templates of all events for the browser, by "module:event"; empty where the events' own text is right."""
    if not (get_language() or "en").startswith("ja"):
        return {}
    return {f"{module}:{event}": template.ja for (module, event), template in MESSAGES.items()}


@register.simple_tag
def spoken_sentences() -> list[tuple[str, str]]:
    """What servers say whole, for the browser (static/js/spoken.js): English and the language of the page."""
    return list(known_here().items())


@register.filter
def moment(seconds: Any) -> str:
    """Seconds since 1970 as local date and time."""
    if isinstance(seconds, datetime):
        return timezone.localtime(seconds).strftime("%Y-%m-%d %H:%M:%S")
    if not isinstance(seconds, int | float) or not seconds:
        return ""
    return timezone.localtime(datetime.fromtimestamp(seconds, UTC)).strftime("%Y-%m-%d %H:%M:%S")


@register.filter
def iso(seconds: float) -> str:
    """For the attribute of a <time>."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


@register.filter
def unlocalize(value: Any) -> str:
    """A number as programs read it."""
    return repr(value)


@register.filter
def apart(one: float, other: float) -> bool:
    """Whether two times differ by more than clocks that agree do."""
    return abs(one - other) >= 0.5


@register.filter
def span(seconds: float) -> str:
    """A duration as static/js/text.js says it."""
    whole = max(0, round(seconds))
    if whole < 60:
        return gettext("%(n)s s") % {"n": whole}
    if whole < 3600:
        return gettext("%(m)s min %(s)s s") % {"m": whole // 60, "s": whole % 60}
    return gettext("%(h)s h %(m)s min") % {"h": whole // 3600, "m": whole // 60 % 60}


@register.filter
def moment_with_zone(seconds: float) -> str:
    """The same with the manager's time zone: the browser may be elsewhere."""
    return f"{moment(seconds)} {timezone.localtime(datetime.fromtimestamp(seconds, UTC)).tzname()}"


@register.filter
def of(mapping: Mapping[str, Any] | None, key: str) -> Any:
    """mapping[key], "" when there is none."""
    return "" if mapping is None else mapping.get(key, "")


@register.filter
def as_json(value: Any) -> str:
    """As one types it in a REST request."""
    return json.dumps(value, ensure_ascii=False)
