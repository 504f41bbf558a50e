"""What an apply of changes would do to a running cluster, before anybody does it.

Each difference says what it needs (Param.applies). Here they become: what is read at once, which monitors restart,
which groups stop and start again and for how long, and whether the cluster has to be suspended or stopped meanwhile.
Times are sums over the resources of a group: measured ones where they are known, else their timeouts, which are upper
limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from agent.clpconf.diff import Difference
from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.objects import of_kind
from agent.clpconf.schema import TypeSpec
from agent.clpconf.sections import declared
from agent.clpconf.statements import Names, members

Level = Literal["nothing", "noted", "monitor", "group", "suspend", "stop"]
LEVELS: tuple[Level, ...] = ("nothing", "noted", "monitor", "group", "suspend", "stop")
_SHOWN = 3


class Times(msgspec.Struct, frozen=True):
    """Of one resource, in seconds."""

    stop_s: float
    start_s: float


class MonitorStep(msgspec.Struct, frozen=True):
    name: str
    step: Literal["starts", "stops", "restarts"]
    why: tuple[Difference, ...]


class GroupStep(msgspec.Struct, frozen=True):
    """`measured`: the times are what it took lately; else what its timeouts allow at most."""

    name: str
    step: Literal["starts", "stops", "restarts"]
    why: tuple[Difference, ...]
    stop_s: float = 0.0
    start_s: float = 0.0
    measured: bool = False

    @property
    def total_s(self) -> float:
        return self.stop_s + self.start_s


class Line(NamedTuple):
    """A sentence and what stands in its braces, so that it can be translated."""

    template: str
    values: Mapping[str, object]

    def __str__(self) -> str:
        return self.template.format(**self.values)


class Plan(msgspec.Struct, frozen=True):
    noted: tuple[Difference, ...] = ()
    monitors: tuple[MonitorStep, ...] = ()
    groups: tuple[GroupStep, ...] = ()
    suspend: tuple[Difference, ...] = ()
    stop: tuple[Difference, ...] = ()

    @property
    def level(self) -> Level:
        """The hardest of what is needed. A new group, which only starts, is noted."""
        if self.stop:
            return "stop"
        if self.suspend:
            return "suspend"
        if any(group.step != "starts" for group in self.groups):
            return "group"
        if self.monitors:
            return "monitor"
        return "noted" if self.noted or self.groups else "nothing"

    def lines(self) -> list[Line]:
        """Hardest first."""
        lines = []
        if self.stop:
            lines.append(Line(STOP_LINE, {"why": _why(self.stop)}))
        if self.suspend:
            lines.append(Line(SUSPEND_LINE, {"why": _why(self.suspend)}))
        lines += [_group_line(group) for group in self.groups]
        lines += [Line(MONITOR_LINES[one.step], {"monitor": one.name, "why": _why(one.why)}) for one in self.monitors]
        if self.noted:
            lines.append(Line(NOTED_LINE, {"why": _why(self.noted)}))
        return lines or [Line(NOTHING_LINE, {})]

    def words(self) -> list[str]:
        return [str(line) for line in self.lines()]


# The sentences of a plan, for translators.
STOP_LINE = "The cluster must be stopped on all servers meanwhile: {why}."
SUSPEND_LINE = "The cluster is suspended meanwhile, so that nothing is recovered: {why}."
NOTED_LINE = "Read at once, nothing restarts: {why}."
NOTHING_LINE = "Nothing changes."
MONITOR_LINES = {
    "starts": "Monitor {monitor} starts.",
    "stops": "Monitor {monitor} stops.",
    "restarts": "Monitor {monitor} restarts: {why}.",
}
GROUP_LINES = {
    ("starts", True): "Group {group} is new and starts as its startup attribute says, in about {total}.",
    ("starts", False): "Group {group} is new and starts as its startup attribute says, within {total}.",
    ("stops", True): "Group {group} stops for good, in about {total}: {why}.",
    ("stops", False): "Group {group} stops for good, within {total}: {why}.",
    ("restarts", True): "Group {group} stops and starts again, about {total} as measured: {why}.",
    ("restarts", False): "Group {group} stops and starts again, at most {total} by its timeouts: {why}.",
}


def plan(
    differences: Iterable[Difference], before: Document, after: Document, catalog: Mapping[str, TypeSpec],
    measured: Mapping[str, Times] | None = None,
) -> Plan:  # fmt: skip
    """`measured`: times of resources by name (of either file), from the log of what ran."""
    differences = list(differences)
    by_need: dict[str, list[Difference]] = {}
    for one in differences:
        by_need.setdefault(one.applies, []).append(one)
    return Plan(
        noted=tuple(one for one in by_need.get("noted", ()) if not (one.kind == "group" and one.whole)),
        monitors=tuple(_monitor_steps(by_need.get("monitor", ()))),
        groups=tuple(_Groups(before.root, after.root, catalog, measured or {}).steps(differences)),
        suspend=tuple(by_need.get("suspend", ())),
        stop=tuple(by_need.get("stop", ())),
    )


def _monitor_steps(differences: Iterable[Difference]) -> list[MonitorStep]:
    of: dict[str, list[Difference]] = {}
    for one in differences:
        of.setdefault(one.name, []).append(one)
    steps = []
    for name, why in of.items():
        whole = next((one.change for one in why if one.whole), "")
        step: Literal["starts", "stops", "restarts"] = {"added": "starts", "removed": "stops"}.get(whole, "restarts")  # type: ignore[assignment]
        steps.append(MonitorStep(name, step, tuple(why)))
    return steps


class _Groups:
    def __init__(
        self, before: Element, after: Element, catalog: Mapping[str, TypeSpec], measured: Mapping[str, Times]
    ) -> None:
        self.catalog = catalog
        self.measured = measured
        self.was, self.now = members(before, Names()), members(after, Names())
        self.old = {thing.name: thing.element for thing in of_kind(before, "resource")}
        self.new = {thing.name: thing.element for thing in of_kind(after, "resource")}
        self.groups_before = [thing.name for thing in of_kind(before, "group")]
        self.groups_after = [thing.name for thing in of_kind(after, "group")]

    def steps(self, differences: list[Difference]) -> list[GroupStep]:
        concerned: dict[str, list[Difference]] = {}
        for one in differences:
            for group in dict.fromkeys(self._groups_of(one)):
                concerned.setdefault(group, []).append(one)
        renamed = {one.before: one.after for one in differences if one.kind == "group" and one.change == "renamed"}
        steps = [self._step(name, tuple(why), renamed) for name, why in concerned.items() if name not in renamed]
        return [step for step in steps if step is not None]

    def _groups_of(self, one: Difference) -> list[str]:
        if one.kind == "group" and one.whole:
            return [one.name]
        if one.kind == "group" and one.applies == "group":
            return [one.name]
        if one.kind != "resource" or one.applies != "group":
            return []
        names = (one.before, one.name) if one.change == "renamed" else (one.name,)
        groups = [self.was.get(names[0], ""), self.now.get(names[-1], "")]
        return [group for group in groups if group]

    def _step(self, name: str, why: tuple[Difference, ...], renamed: Mapping[str, str]) -> GroupStep | None:
        old = next((before for before, after in renamed.items() if after == name), name)
        stops, starts = old in self.groups_before, name in self.groups_after
        if not stops and not starts:
            return None
        stop = [r for r, group in self.was.items() if group == old and r in self.old] if stops else []
        start = [r for r, group in self.now.items() if group == name and r in self.new] if starts else []
        step: Literal["starts", "stops", "restarts"] = (
            "restarts" if stops and starts else "stops" if stops else "starts"
        )
        return GroupStep(
            name, step, why,
            stop_s=sum(self._time(r, self.old[r], "deact/timeout") for r in stop),
            start_s=sum(self._time(r, self.new[r], "act/timeout") for r in start),
            measured=all(r in self.measured for r in (*stop, *start)),
        )  # fmt: skip

    def _time(self, name: str, element: Element, path: str) -> float:
        known = self.measured.get(name)
        if known is not None:
            return known.stop_s if path.startswith("deact") else known.start_s
        leaf = element.find(path)
        found = declared(f"{element.path}/{path}", self.catalog)
        default = found.param.default_text if found is not None and found.param is not None else ""
        for text in (leaf.value if leaf is not None else "", default):
            try:
                return float(text)
            except ValueError:
                continue
        return 0.0


def _group_line(group: GroupStep) -> Line:
    values = {"group": group.name, "total": _duration(group.total_s), "why": _why(group.why)}
    return Line(GROUP_LINES[group.step, group.measured], values)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def _why(differences: tuple[Difference, ...]) -> str:
    """The first few, in short: "fip1: IP address"."""
    shown = list(dict.fromkeys(_short(one) for one in differences))
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _short(one: Difference) -> str:
    what = one.label or one.change
    return f"{one.name}: {what}" if one.name else what
