"""Gathers how long the checks of this server's monitors take, and hands it to the engine: seldom, or when alarming."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.clpconf.model import Monitor
from agent.engine.answers import Answers
from agent.engine.events import Responded
from agent.engine.hearing import NEAR
from agent.wire.report import ResponseReport

_SELDOM_S = 30.0
_A_SERVER_S = 2.0  # All figures go to every server: the more servers and monitors there are, the more seldom.
_A_MONITOR_S = 0.5
_ALARM_S = 5.0


class AnswerTimes:
    def __init__(
        self, servers: int, monitors: Iterable[Monitor], feed: Callable[[Responded], None], now: Callable[[], float]
    ) -> None:
        """`now`: the clock of reports."""
        self._timeouts_s = {monitor.name: monitor.timeout_s for monitor in monitors}
        self._every_s = max(_SELDOM_S, servers * _A_SERVER_S, len(self._timeouts_s) * _A_MONITOR_S)
        self._feed = feed
        self._now = now
        self._answers: dict[str, Answers] = {}
        self._told: dict[str, ResponseReport] = {}
        self._due = now() + _ALARM_S  # The first figures soon: somebody looks after each start.
        self._alarmed = 0.0

    def take(self, monitor: str, seconds: float, *, ok: bool, timed_out: bool) -> None:
        """One check has ended."""
        timeout_s = self._timeouts_s.get(monitor)
        if timeout_s is None:
            return
        now = self._now()
        answers = self._answers.get(monitor)
        if answers is None:
            answers = self._answers[monitor] = Answers(now, timeout_s)
        if ok:
            answers.good(seconds, now)
        else:
            answers.bad(now, timed_out=timed_out)
        alarming = timed_out or (ok and seconds >= NEAR * timeout_s)
        if now >= self._due or (alarming and now >= self._alarmed + _ALARM_S):
            self._alarmed = now if alarming else self._alarmed
            self._tell(now)

    def _tell(self, now: float) -> None:
        self._due = now + self._every_s
        found = {name: answers.report(self._told.get(name)) for name, answers in self._answers.items()}
        news = {name: report for name, report in found.items() if self._told.get(name) is not report}
        self._told |= news
        if news:
            self._feed(Responded(responses=news))
