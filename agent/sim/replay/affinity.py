"""Wishes about places (priorities, bans, together, apart) become groups, failover policies and exclusion."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from agent.sim.replay.reading import natural


class Wish(msgspec.Struct, kw_only=True):
    """What a case says about one unit that moves as a whole. `scores`: higher is better; absent is 0."""

    name: str
    members: list[str]
    scores: dict[str, float] = {}
    banned: set[str] = set()
    current: str = ""  # server on which it is, or shall be, at the beginning
    apart: set[str] = set()  # units that must never be on the same server
    idle: bool = False  # it does not run at the beginning: no load

    def allowed(self, servers: Iterable[str]) -> list[str]:
        return [s for s in servers if s not in self.banned]

    def score(self, server: str) -> float:
        return self.scores.get(server, 0.0)


def join(wishes: dict[str, Wish], first: str, second: str, servers: Sequence[str]) -> bool:
    """Make one unit of two; False when no server would be left for it."""
    a, b = wishes[first], wishes[second]
    if a is b:
        return True
    if not [s for s in servers if s not in a.banned | b.banned] or second in a.apart or first in b.apart:
        return False
    a.members += b.members
    a.banned |= b.banned
    a.scores = {s: a.score(s) + b.score(s) for s in {*a.scores, *b.scores}}
    a.apart |= b.apart
    a.current = a.current or b.current
    a.idle = a.idle and b.idle
    for name, wish in wishes.items():
        if wish is b:
            wishes[name] = a
    return True


def policies(units: Sequence[Wish], servers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Unit -> failover policy, as an administrator writes it who spreads the load: the best scores first, among equals
    the present server; homes that are free to choose, and the successors of one home, go to who has least."""
    load = dict.fromkeys(servers, 0)
    order = sorted(servers, key=natural)
    homes: dict[str, str] = {}
    for unit in sorted(units, key=lambda u: (u.idle, not u.current)):  # Who runs already has its place.
        shunned = {homes[name] for name in unit.apart if name in homes}
        homes[unit.name] = home = _home(unit, order, load, shunned)
        if home:
            load[home] += _weight(unit)
    after = {home: dict(load) for home in servers}
    result = {}
    for unit in sorted(units, key=lambda u: u.idle):
        home = homes[unit.name]
        counts = after.get(home, load)
        rest = [s for s in unit.allowed(order) if s != home]
        rest.sort(key=lambda s, u=unit, c=counts: (-u.score(s), c[s]))  # type: ignore[misc]
        if rest:
            counts[rest[0]] += _weight(unit)
        result[unit.name] = ((home,) if home else ()) + tuple(rest)
    return result


def _weight(unit: Wish) -> int:
    return 0 if unit.idle else len(unit.members)


def _home(unit: Wish, order: Sequence[str], load: Mapping[str, int], shunned: Collection[str]) -> str:
    def badness(server: str) -> tuple[float, bool, bool, int]:
        return -unit.score(server), server in shunned, server != unit.current, load[server]

    return min(unit.allowed(order), key=badness, default="")


def prefers_home(unit: Wish, policy: Sequence[str]) -> bool:
    """Is the first server wanted more than all others, so that a group goes back to it?"""
    return len(policy) > 1 and unit.score(policy[0]) > max(unit.score(s) for s in policy[1:])


def exclusion(units: Sequence[Wish], servers: Sequence[str]) -> int:
    """2 (absolute) where all who avoid somebody may avoid each other, 1 (normal) where that would ask too much."""
    shy = [unit for unit in units if unit.apart]
    names = {unit.name for unit in shy}
    all_of_all = all(unit.apart >= names - {unit.name} for unit in shy)
    return 2 if all_of_all or len(shy) < len(servers) else 1
