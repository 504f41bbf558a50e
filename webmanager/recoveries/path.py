"""Where the time went: the path from the last sure moment to the end, without a gap and without an overlap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from webmanager.recoveries.steps import Step

_SAME_S = 1e-9


class Part(msgspec.Struct, kw_only=True):
    """One piece of the path; where one ends the next begins."""

    kind: str  # notice, decide, activate, deactivate, wait, between
    begun: float
    ended: float
    name: str = ""  # of the resource
    server: str = ""
    result: str = ""
    tries: int = 1

    @property
    def lasted_s(self) -> float:
        return self.ended - self.begun


def path(
    begun: float, ended: float, verdict_at: float | None, decided_at: float | None, steps: Sequence[Step]
) -> list[Part]:
    """Backwards from the end: the step that ended last is what the end waited for, and so on.

    The parts sum up to `ended - begun` exactly, whatever the steps say.
    """
    noticed = _within(verdict_at if verdict_at is not None else begun, begun, ended)
    decided = _within(decided_at if decided_at is not None else noticed, noticed, ended)
    parts = _backwards(decided, ended, steps)
    if decided - noticed > _SAME_S:
        parts.append(Part(kind="decide", begun=noticed, ended=decided))
    if noticed - begun > _SAME_S:
        parts.append(Part(kind="notice", begun=begun, ended=noticed))
    parts.reverse()
    _join(parts, begun, ended)
    return parts


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), max(least, most))


def _backwards(begun: float, ended: float, steps: Sequence[Step]) -> list[Part]:
    parts: list[Part] = []
    cursor, left = ended, [step for step in steps if step.ended is not None]
    while cursor - begun > _SAME_S:
        left = [step for step in left if step.begun < cursor - _SAME_S and (step.ended or 0.0) > begun]
        if not left:
            parts.append(Part(kind="between", begun=begun, ended=cursor))
            break
        # Of several the one that worked latest; waiting is what is left when nothing works.
        newest = max(left, key=lambda step: (min(step.ended or 0.0, cursor), step.kind != "wait", step.begun))
        assert newest.ended is not None
        if (to := min(newest.ended, cursor)) < cursor - _SAME_S:
            parts.append(Part(kind="between", begun=to, ended=cursor))
        since = max(newest.begun, begun)
        parts.append(
            Part(
                kind=newest.kind, begun=since, ended=to, name=newest.name, server=newest.server,
                result=newest.result, tries=newest.tries,
            )
        )  # fmt: skip
        cursor = since
        left.remove(newest)
    return parts


def _join(parts: list[Part], begun: float, ended: float) -> None:
    """Rounding must leave no gap."""
    for part, after in pairwise(parts):
        part.ended = after.begun
    if parts:
        parts[0].begun, parts[-1].ended = begun, ended


def longest(parts: Sequence[Part]) -> Part | None:
    """What cost most of the time."""
    return max(parts, key=lambda part: part.lasted_s, default=None)
