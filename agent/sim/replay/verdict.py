"""What became of a case: its result, the differences with their rules, and the totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from agent.sim.replay.rules import sentence

Verdict = Literal["agree", "differs", "VIOLATION"]


class Difference(msgspec.Struct, frozen=True):
    """One thing that ended differently. `rule` "" is a difference that nothing explains, and so a violation."""

    subject: str  # "vm:101", "fence node3", "time vm:101"
    ours: str
    theirs: str
    rule: str
    why: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    form: str
    placement: Mapping[str, str] = {}  # service or resource -> server, "" for none
    fenced: Mapping[str, str] = {}  # server -> how
    overlaps: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    broken: tuple[str, ...] = ()  # promises that did not hold
    supported: bool = True

    @property
    def verdict(self) -> Verdict:
        if self.broken or any(not d.rule for d in self.differences):
            return "VIOLATION"
        return "differs" if self.differences else "agree"

    def lines(self) -> list[str]:
        head = f"{self.id:<44} {self.verdict}"
        if not self.supported:
            return [head, *self._reasons()]
        placed = " ".join(f"{name}={server or '-'}" for name, server in self.placement.items()) or "nothing runs"
        fenced = ", ".join(f"{server} ({how})" for server, how in self.fenced.items()) or "none"
        overlaps = "; ".join(self.overlaps) or "none"
        return [head, f"    placement: {placed}", f"    fenced: {fenced}; overlaps: {overlaps}", *self._reasons()]

    def _reasons(self) -> list[str]:
        lines = [f"    VIOLATION: {text}" for text in self.broken]
        for each in self.differences:
            what = f"{each.subject}: ours {each.ours}, theirs {each.theirs}"
            lines.append(f"    differs by {each.rule}: {what}; {each.why}" if each.rule
                         else f"    VIOLATION: {what}, and no rule explains it; {each.why}")  # fmt: skip
        return lines

    def as_json(self) -> dict[str, Any]:
        return {**msgspec.to_builtins(self), "verdict": self.verdict}


def not_supported(name: str, form: str, rule: str, text: str) -> Result:
    why = f"not supported: {text} ({sentence(rule)})"
    return Result(id=name, form=form, supported=False, differences=(Difference("case", "-", "-", rule, why),))


class Totals(msgspec.Struct, frozen=True):
    cases: int
    agree: int
    differ: int
    violations: int

    @classmethod
    def of(cls, results: Iterable[Result]) -> Totals:
        verdicts = [result.verdict for result in results]
        return cls(len(verdicts), verdicts.count("agree"), verdicts.count("differs"), verdicts.count("VIOLATION"))

    def line(self) -> str:
        return f"{self.cases} cases, {self.agree} agree, {self.differ} policy differences, {self.violations} violations"
