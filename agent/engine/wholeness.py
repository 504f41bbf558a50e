"""When a group that could not be started, since a mirror disk of it was in doubt, is tried once more.

Rules of this file
- Only a group that has been given up, and of which a mirror disk was in doubt on every server where it may run. When
  one of them has all of its mirrors without doubt, it is tried there: once, until it has been online again. What else
  keeps it from starting is left to people.
- Nothing is known of a mirror whose process says nothing: that is doubt, too.
- Kept in memory only: a new coordinator tries nothing of which it has not seen the doubt itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.engine.plan import Plan


class Wholeness:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        cluster = plan.core.cluster
        kinds = {resource.name: resource.type for resource in cluster.resources}
        found = {group.name: [name for name in group.resources if kinds.get(name) == "md"] for group in cluster.groups}
        self._mirrors = {name: mirrors for name, mirrors in found.items() if mirrors}
        self._doubted: set[str] = set()
        self._tried: set[str] = set()

    def look(self) -> None:
        """At every pass of the coordinator."""
        for name in self._mirrors:
            record = self._plan.record(name)
            if not record.gave_up:
                self._doubted.discard(name)
                if record.goal and self._plan.group_report(record.goal, name).state == "Online":
                    self._tried.discard(name)
                continue
            available = self._plan.available()
            able = next((s for s in self._plan.group[name].policy if s in available and self._whole(s, name)), "")
            if not able:
                self._doubted.add(name)
            elif name in self._doubted and name not in self._tried:
                self._tried.add(name)
                self._try(name, able)

    def _whole(self, server: str, group: str) -> bool:
        report = self._plan.reports.of(server)
        states = [report.mirrors.get(name) if report is not None else None for name in self._mirrors[group]]
        return all(state is not None and state.constructed and not (state.doubt or state.error) for state in states)

    def _try(self, name: str, server: str) -> None:
        plan, record = self._plan, self._plan.record(name)
        mirrors = ", ".join(self._mirrors[name])
        note = plan.core.note("rc", 78, "group", name, name, server, mirrors, rule="mirror-whole",
                              causes=(record.cause,))  # fmt: skip
        plan.update(name, goal=server, held=False, gave_up=False, tried=(), failovers=0, ordered="", retry=True,
                    cause=note)  # fmt: skip
        plan.pending.add(name)
