"""Exclusion between groups: which servers are closed to a group, or better avoided, because of another one.

Two groups exclude each other when both are exclusive. Where one of them is so absolutely (2) they never share a server,
whoever was there first; where both are so normally (1) the later one prefers another server and shares when none is
left. A group counts where it is held, may be held, or is wanted. The operator may share what is normal, not what is
absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.clpconf.model import Group

ABSOLUTE = 2


class Exclusion:
    """`places` tells where a group is or shall be. What it tells is kept until `forget`."""

    def __init__(self, groups: Iterable[Group], places: Callable[[str], Iterable[str]]) -> None:
        self._level = {g.name: g.exclusive for g in groups if g.exclusive}
        self._places = places
        self._on: dict[str, dict[str, None]] | None = None  # server -> exclusive groups there

    def forget(self) -> None:
        self._on = None

    def moved(self, name: str, server: str) -> None:
        """The group is wanted there from now on."""
        if self._on is not None and name in self._level and server:
            self._on.setdefault(server, {})[name] = None

    def closed(self, group: Group) -> dict[str, str]:
        """Servers where the group must not go -> the group that is in the way."""
        return self._others(group, absolute=True)

    def shared(self, group: Group) -> dict[str, str]:
        """Servers where the group should not go while there is a better one."""
        return self._others(group, absolute=False)

    def rivals(self, group: Group) -> list[str]:
        """Groups that must never share a server with this one."""
        if not group.exclusive:
            return []
        return [n for n, level in self._level.items() if n != group.name and ABSOLUTE in (group.exclusive, level)]

    def _others(self, group: Group, *, absolute: bool) -> dict[str, str]:
        if not group.exclusive or len(self._level) < 2:
            return {}
        found = {}
        for server, names in self._index().items():
            for name in names:
                hard = ABSOLUTE in (group.exclusive, self._level[name])
                if name != group.name and hard == absolute:
                    found[server] = name
                    break
        return found

    def _index(self) -> dict[str, dict[str, None]]:
        if self._on is None:
            self._on = {}
            for name in self._level:
                for server in self._places(name):
                    self._on.setdefault(server, {})[name] = None
        return self._on
