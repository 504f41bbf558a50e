"""Lengths and rules as people say them."""

from __future__ import annotations

from django.utils.translation import gettext as _

_UNITS = ((1000.0, "s"), (1.0, "ms"))


def length(ms: float | None) -> str:
    if ms is None:
        return "—"
    unit, name = next(((unit, name) for unit, name in _UNITS if ms >= unit), (1.0, "ms"))
    value = ms / unit
    return f"{value:.0f} {name}" if value >= 10 or value == int(value) else f"{value:.1f} {name}"


def of_answers(rule: str) -> str:
    """Why that timeout is proposed for a monitor."""
    return {
        "worst": _("twice the longest answer"),
        "tail": _("one answer in 10 000 may take that long"),
        "warning": _("the longest answer stays below the delay warning"),
        "least": _("never less than a second: a loaded machine needs more now and then"),
    }.get(rule, rule)


def of_silences(rule: str) -> str:
    """Why that heartbeat timeout is proposed."""
    return {
        "worst": _("twice the longest silence"),
        "interval": _("three intervals"),
        "tail": _("one beat in 10 000 may be that late"),
        "late": _("a heartbeat process waited for its CPU"),
        "lease": _("the lease must be renewed in time"),
    }.get(rule, rule)
