"""The order between groups: what waits for whom, how long, and what happens then.

Start: a group starts when the groups that it starts after are online; one that it follows only on the same server
counts only when it comes to that server. When it has waited too long it is not started; the operator may do so.
Stop: a group stops when the groups that it stops after are down, as far as they are stopping as well; the format says
for which stops (of the cluster, of a server, others). When it has waited too long it stops all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.clpconf.model import Group
from agent.engine.core import Core


class GroupOrder:
    """Keeps since when a group waits: a new coordinator begins anew."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._patience_s = {g.name: g.start_wait_s for g in core.cluster.groups}
        self._start_since: dict[str, float] = {}
        self._stop_since: dict[str, float] = {}

    def may_start(self, group: Group, blockers: Iterable[str], cause: str) -> tuple[bool, str]:
        """(may it start now, note when it has waited too long)."""
        names = ", ".join(blockers)
        topic = f"start order {group.name}"
        if not names:
            if self._start_since.pop(group.name, None) is not None:
                self.core.clear(topic)
                self.core.note("rc", 16, "group", group.name, group.name, rule="start-order", causes=(cause,))
            return True, ""
        began = self._start_since.setdefault(group.name, self.core.now)
        self.core.note_once(topic, "rc", 15, "group", group.name, group.name, names,
                            f"at most {group.start_wait_s:g} s", rule="start-order", cause=cause)  # fmt: skip
        if self.core.now < began + group.start_wait_s:
            self.core.timers[topic] = began + group.start_wait_s
            return False, ""
        self.forget_start(group)
        return False, self.core.note("rc", 17, "group", group.name, group.name, names, f"{group.start_wait_s:g} s",
                                     rule="start-order", causes=(cause,))  # fmt: skip

    def may_stop(self, group: Group, blockers: Iterable[str], cause: str) -> bool:
        names = ", ".join(blockers)
        topic = f"stop order {group.name}"
        if not names:
            if self._stop_since.pop(group.name, None) is not None:
                self.core.clear(topic)
                self.core.note("rc", 26, "group", group.name, group.name, rule="stop-order", causes=(cause,))
            return True
        began = self._stop_since.setdefault(group.name, self.core.now)
        if self.core.now >= began + group.stop_wait_s:
            self.core.note_once(topic, "rc", 27, "group", group.name, group.name, names, f"{group.stop_wait_s:g} s",
                                rule="stop-order", cause=cause)  # fmt: skip
            return True
        self.core.note_once(topic, "rc", 25, "group", group.name, group.name, names,
                            f"at most {group.stop_wait_s:g} s", rule="stop-order", cause=cause)  # fmt: skip
        self.core.timers[topic] = began + group.stop_wait_s
        return False

    def waits_to_start(self, group: Group) -> bool:
        return group.name in self._start_since

    def due(self) -> list[str]:
        """Groups whose wait for a start is over."""
        now = self.core.now
        return [name for name, since in self._start_since.items() if now >= since + self._patience_s[name]]

    def forget_start(self, group: Group) -> None:
        """It is not wanted any more, or elsewhere."""
        if self._start_since.pop(group.name, None) is not None:
            self.core.clear(f"start order {group.name}")

    def forget_stop(self, group: Group) -> None:
        if self._stop_since.pop(group.name, None) is not None:
            self.core.clear(f"stop order {group.name}")


def in_start_order(groups: Iterable[Group]) -> list[str]:
    """Names by gid, but each after the groups that it starts after: whether it waits depends on where those go."""
    by_name = {g.name: g for g in sorted(groups, key=lambda g: g.gid)}
    order: dict[str, None] = {}
    for name in by_name:
        _visit(name, by_name, order, set())
    return list(order)


def _visit(name: str, groups: dict[str, Group], order: dict[str, None], under_way: set[str]) -> None:
    if name in groups and name not in order and name not in under_way:
        for other in groups[name].start_after:
            _visit(other, groups, order, under_way | {name})
        order[name] = None
