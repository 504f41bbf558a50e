"""Reads what a person or a program wishes; what is wrong is said with its place, and nothing is lost."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.dateparse import parse_datetime, parse_time
from django.utils.translation import gettext as _

from agent.clpconf import model
from agent.wire.drill import KINDS, LEAST_S, MOST_S, WAYS, Drill, wrong

DEFAULTS = {"crash": 30, "reset": 300, "hang": 30, "link": 30, "monitor": 120}


class Wish(NamedTuple):
    fields: dict[str, Any]  # as they were sent, to be shown again
    drill: Drill | None
    server: str
    errors: dict[str, str]  # field -> what is wrong with it


def read(sent: Mapping[str, Any], config: model.Cluster) -> Wish:
    """Of a form (a QueryDict)."""
    many = sent.getlist("heartbeats") if hasattr(sent, "getlist") else sent.get("heartbeats", [])
    fields = {
        "kind": str(sent.get("kind", "crash"))[:16], "server": str(sent.get("server", ""))[:255],
        "heartbeats": [str(one)[:255] for one in many][:64], "way": str(sent.get("way", "both"))[:8],
        "monitor": str(sent.get("monitor", ""))[:255], "bound_s": str(sent.get("bound_s", ""))[:16],
    }  # fmt: skip
    errors: dict[str, str] = {}
    if fields["kind"] not in KINDS:
        errors["kind"] = _("Choose one of these.")
    if fields["server"] not in config.server_names:
        errors["server"] = _("Choose a server of the cluster.")
    if fields["way"] not in WAYS:
        errors["way"] = _("Choose one of these.")
    bound_s = _number(fields["bound_s"] or str(DEFAULTS.get(fields["kind"], 30)))
    if bound_s is None:
        errors["bound_s"] = _("Write a number of seconds from %(least)d to %(most)d.") % {
            "least": LEAST_S, "most": MOST_S,
        }  # fmt: skip
    if errors or bound_s is None:
        return Wish(fields, None, fields["server"], errors)
    link, monitor = fields["kind"] == "link", fields["kind"] == "monitor"
    drill = Drill(
        kind=fields["kind"], bound_s=bound_s, heartbeats=tuple(fields["heartbeats"]) if link else (),
        way=fields["way"] if link else "both", monitor=fields["monitor"] if monitor else "",
    )  # fmt: skip
    if why := wrong(drill, [one.name for one in config.heartbeats], [one.name for one in config.monitors]):
        errors["monitor" if monitor else "heartbeats"] = why
        return Wish(fields, None, fields["server"], errors)
    return Wish({**fields, "bound_s": f"{bound_s:g}"}, drill, fields["server"], errors)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and LEAST_S <= value <= MOST_S else None


def moment(text: str) -> datetime.datetime | None:
    """Of <input type="datetime-local">, in the manager's time zone, or with its own."""
    try:
        at = parse_datetime(text)
        if at is None:
            return None
        return timezone.make_aware(at) if timezone.is_naive(at) else at
    except (ValueError, OverflowError):
        return None


def window(sent: Any) -> tuple[list[int], datetime.time, datetime.time] | None:
    """None: it cannot be read."""
    days = sorted({int(day) for day in sent.getlist("days") if day in ("0", "1", "2", "3", "4", "5", "6")})
    try:
        begins, ends = parse_time(sent.get("begins", "")), parse_time(sent.get("ends", ""))
    except ValueError:
        return None
    if not days or begins is None or ends is None or begins == ends:
        return None
    return days, begins, ends
