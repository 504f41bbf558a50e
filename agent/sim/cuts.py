"""Faults that might make two servers run the same group, for `prove`: shortest first, each in words and as events.

What there is to fail: LANs and cables, whole servers (pause, crash), resolvers, fence devices. A new kind of thing that
can fail is one more function in `ATOMS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import msgspec

from agent.clpconf.model import Cluster

_PAUSE_TIMEOUTS = 3.0  # longer than any detection
_LATER_TIMEOUTS = 3.0  # a second fault after the first one has been dealt with
_LATER = "later: "
_ALL_SIDES = 5  # up to so many servers every way to part them is tried


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """`faults` are the single things that fail, in words; fewer are likelier."""

    faults: tuple[str, ...]
    events: tuple[str, ...]

    def __add__(self, other: Cut) -> Cut:
        return Cut(faults=(*self.faults, *other.faults), events=(*self.events, *other.events))

    def within(self, other: Cut) -> bool:
        """Whoever waits for `other` to happen sees this one happen."""
        return _things(self) <= _things(other)


def _things(cut: Cut) -> set[str]:
    return {fault.removeprefix(_LATER) for fault in cut.faults}


def cuts(cluster: Cluster, most: int) -> list[Cut]:
    """Up to `most` faults; alone, and a network fault together with others, at once or one after another."""
    network, atoms = list(_network(cluster)), [cut for kind in ATOMS for cut in kind(cluster)]
    found = [*network, *atoms]
    for size in range(1, most):
        for others in itertools.combinations(atoms, size):
            joined = others[0]
            for other in others[1:]:
                joined += other
            found += [joined + cut for cut in network]
            found += [joined + _later(cut, cluster) for cut in network]
            found += [cut + _later(joined, cluster) for cut in network]
    short = [cut for cut in found if len(cut.faults) <= max(most, len(cluster.heartbeats))]
    return sorted(dict.fromkeys(short), key=lambda cut: len(cut.faults))


# The network --------------------------------------------------------------------------------------------------------


def _network(cluster: Cluster) -> Iterator[Cut]:
    """Cuts that leave no path between some servers, on all LANs; and one-way ones."""
    lans = [heartbeat.name for heartbeat in cluster.heartbeats]
    yield Cut(faults=tuple(f"{lan} fails as a whole" for lan in lans), events=tuple(f"cut {lan}" for lan in lans))
    for name in cluster.server_names:
        faults = tuple(f"the cable of {name} to {lan} is cut" for lan in lans)
        yield Cut(faults=faults, events=tuple(f"cut {lan} {name}" for lan in lans))
    for one, other in _sides(cluster.server_names):
        if len(one) > 1:
            text = f"nothing passes between {', '.join(one)} and {', '.join(other)}"
            yield Cut(faults=tuple(f"{lan}: {text}" for lan in lans),
                      events=(f"split {' '.join(one)} | {' '.join(other)}",))  # fmt: skip
    for deaf, unheard in itertools.permutations(cluster.server_names, 2):
        yield Cut(faults=tuple(f"{lan}: {deaf} does not hear {unheard}" for lan in lans),
                  events=(f"deafen {deaf} to {unheard}",))  # fmt: skip
    for deaf in cluster.server_names if len(cluster.servers) > 2 else ():
        others = [name for name in cluster.server_names if name != deaf]
        yield Cut(faults=tuple(f"{lan}: {deaf} hears nobody" for lan in lans),
                  events=tuple(f"deafen {deaf} to {other}" for other in others))  # fmt: skip
        yield Cut(faults=tuple(f"{lan}: nobody hears {deaf}" for lan in lans),
                  events=tuple(f"deafen {other} to {deaf}" for other in others))  # fmt: skip


def _sides(names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Ways to part the servers; of many, only into the first ones and the rest."""
    if len(names) > _ALL_SIDES:
        for size in range(2, len(names) - 1):
            yield names[:size], names[size:]
        return
    for size in range(2, len(names) // 2 + 1):
        for one in itertools.combinations(names, size):
            yield one, tuple(name for name in names if name not in one)


# Everything else ----------------------------------------------------------------------------------------------------


def _pauses(cluster: Cluster) -> Iterator[Cut]:
    long_s = _PAUSE_TIMEOUTS * cluster.timeout_s
    for name in cluster.server_names:
        text = f"{name} stands still for {long_s:g} s and goes on"
        yield Cut(faults=(text,), events=(f"pause {name}", f"at {long_s:g} resume {name}"))


def _crashes(cluster: Cluster) -> Iterator[Cut]:
    for name in cluster.server_names:
        yield Cut(faults=(f"{name} fails",), events=(f"crash {name}",))


def _resolvers(cluster: Cluster) -> Iterator[Cut]:
    for resolver in (*cluster.pings, *cluster.arbiters):
        yield Cut(faults=(f"nobody reaches {resolver}",), events=(f"lose_resolver {resolver}",))
        for name in cluster.server_names:
            yield Cut(faults=(f"{name} does not reach {resolver}",), events=(f"lose_resolver {resolver} {name}",))


ATOMS: tuple[Callable[[Cluster], Iterator[Cut]], ...] = (_pauses, _crashes, _resolvers)


def _later(cut: Cut, cluster: Cluster) -> Cut:
    """The same, when everything before has been dealt with."""
    by_s, moved = _LATER_TIMEOUTS * cluster.timeout_s, []
    for event in cut.events:
        at, rest = (float(event.split()[1]), " ".join(event.split()[2:])) if event.startswith("at ") else (0.0, event)
        moved.append(f"at {at + by_s:g} {rest}")
    return Cut(faults=tuple(f"{_LATER}{fault}" for fault in cut.faults), events=tuple(moved))
