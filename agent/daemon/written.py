"""Alerts that scripts write (clplogcmd; op "alert" of the control socket): notes of the module logcmd."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Literal

import msgspec

from agent.alerts.routing import WRITTEN
from agent.daemon.journal import Journal
from agent.messages.template import Severity

TEXT_LIMIT = 1023
MOST, MOST_S = 100, 10.0  # so many within so many seconds: a script that loops must not push out everything else


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str
    severity: Severity = "error"
    number: int = 1
    channels: tuple[Literal["alert", "syslog", "mail", "trap", "webhook"], ...] = ("alert",)


class Written:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._times: deque[float] = deque(maxlen=MOST)

    def answer(self, fields: dict[str, Any] | None) -> dict[str, Any]:
        try:
            wish = msgspec.convert(fields or {}, Wish)
        except msgspec.ValidationError as error:
            return _error(f"This is no alert: {error}.")
        text = " ".join(wish.text.split())
        if not text or len(text) > TEXT_LIMIT:
            return _error(f"The text of an alert has 1 to {TEXT_LIMIT} characters, this one has {len(text)}.")
        if not 1 <= wish.number <= 9999:
            return _error(f"The number of an alert is 1 to 9999, not {wish.number}.")
        now = time.monotonic()
        if len(self._times) == MOST and now - self._times[0] < MOST_S:
            return _error(f"More than {MOST} alerts within {MOST_S:g} s were written by scripts. Try again later.")
        self._times.append(now)
        self._journal.written(WRITTEN, wish.number, wish.severity, text, ",".join(wish.channels))
        return {"ok": True}


def _error(text: str) -> dict[str, Any]:
    return {"ok": False, "error": text}
