"""Every single failure of a cluster, or every pair of server failures: what becomes of each group, and what is not
covered.

A failure is covered when every group that it touches runs on exactly one server in the end. What has no way to fail
over by configuration (a resource that nobody watches) is told as well, without a play.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext

import msgspec

from agent.clpconf.model import Cluster
from agent.sim.story import Fate, Story
from agent.sim.whatif import Outlook
from agent.sim.world import Defaults

_FEW = 32  # failures for which processes are not worth it
_CHUNKS = 4  # for each process: what is alike should meet in one, and none shall wait long for another
_BAD = ("stops", "split")
_OFTEN = 1000  # a start that fails so often, fails always


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    kind: str  # server, servers, network, isolation, start, monitor, unwatched, resolver
    name: str  # of what fails
    text: str
    events: tuple[str, ...]
    stopped: tuple[str, ...] = ()  # groups that have to be stopped before


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What is not covered, and why."""

    group: str
    why: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    failure: Failure
    fates: tuple[Fate, ...]  # of the groups that are touched
    gaps: tuple[Gap, ...]

    @property
    def covered(self) -> bool:
        return not self.gaps


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[Row, ...]

    @property
    def gaps(self) -> list[Row]:
        return [row for row in self.rows if row.gaps]


def sweep(
    cluster: Cluster, defaults: Defaults, *, double: bool = False, slow: dict[str, float] | None = None,
    jobs: int = 1, context: BaseContext | None = None,
) -> Sweep:  # fmt: skip
    """`jobs` processes of `context`."""
    failures = list(pairs(cluster) if double else singles(cluster))
    if jobs < 2 or len(failures) < _FEW:
        return Sweep(rows=tuple(_rows(Outlook(cluster, defaults, slow), failures)))
    with ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(cluster, defaults, slow)) as pool:
        size = -(-len(failures) // (jobs * _CHUNKS))
        chunks = [failures[first : first + size] for first in range(0, len(failures), size)]
        return Sweep(rows=tuple(itertools.chain.from_iterable(pool.map(_work, chunks))))


def each(cluster: Cluster, defaults: Defaults, failures: Iterable[Failure]) -> Iterator[Row]:
    """One after the other, for callers that tell how far it is, or give up."""
    outlook = Outlook(cluster, defaults)
    for failure in failures:
        yield _row(outlook, failure)


# What may fail -------------------------------------------------------------------------------------------------------


def singles(cluster: Cluster) -> Iterator[Failure]:
    for name in cluster.server_names:
        yield Failure(kind="server", name=name, text=f"{name} fails", events=(f"crash {name}",))
    for heartbeat in cluster.heartbeats:
        lan = heartbeat.name
        yield Failure(kind="network", name=lan, text=f"{lan} fails as a whole", events=(f"cut {lan}",))
        for name in cluster.server_names:
            text = f"{name} loses its cable to {lan}"
            yield Failure(kind="network", name=f"{lan} {name}", text=text, events=(f"cut {lan} {name}",))
    for name in cluster.server_names:
        text = f"{name} loses every heartbeat"
        yield Failure(kind="isolation", name=name, text=text, events=(f"isolate {name}",))
    for name in (*cluster.pings, *cluster.arbiters):
        text = f"nobody reaches {name} any more"
        yield Failure(kind="resolver", name=name, text=text, events=(f"lose_resolver {name}",))
    yield from _resources(cluster)


def _resources(cluster: Cluster) -> Iterator[Failure]:
    watched = {m.target for m in cluster.monitors if m.recovery_type in ("rsc", "grp") and not m.observe}
    for group in cluster.groups:
        home = group.policy[0]
        for name in group.resources:
            yield Failure(kind="start", name=name, text=f"{name} does not start on {home}", stopped=(group.name,),
                          events=(f"fail_start {name} {_OFTEN} on {home}",
                                  f"ask {home} group_start {group.name}"))  # fmt: skip
            text = f"{name} stops working on {home}"
            if name in watched:
                yield Failure(kind="monitor", name=name, text=text, events=(f"sick {name} always on {home}",))
            else:
                yield Failure(kind="unwatched", name=name, text=text, events=())


def pairs(cluster: Cluster) -> Iterator[Failure]:
    for one, other in itertools.combinations(cluster.server_names, 2):
        text = f"{one} and {other} fail together"
        yield Failure(kind="servers", name=f"{one} {other}", text=text, events=(f"crash {one}", f"crash {other}"))


# Playing them --------------------------------------------------------------------------------------------------------

_outlook: Outlook  # of a worker process


def _begin(cluster: Cluster, defaults: Defaults, slow: dict[str, float] | None) -> None:
    global _outlook
    _outlook = Outlook(cluster, defaults, slow)


def _work(failures: Sequence[Failure]) -> list[Row]:
    return _rows(_outlook, failures)


def _rows(outlook: Outlook, failures: Iterable[Failure]) -> list[Row]:
    return [_row(outlook, failure) for failure in failures]


def _row(outlook: Outlook, failure: Failure) -> Row:
    if failure.kind == "unwatched":
        group = outlook.slices.group_of[failure.name]
        gap = Gap(group=group, why=f"no monitor watches {failure.name}: nobody would notice")
        return Row(failure=failure, fates=(), gaps=(gap,))
    story = outlook.ask(failure.events, failure.stopped)
    fates = tuple(fate for fate in story.fates.values() if fate.outcome != "stays")
    return Row(failure=failure, fates=fates, gaps=tuple(_gaps(story, fates)))


def _gaps(story: Story, fates: Sequence[Fate]) -> Iterator[Gap]:
    for fate in fates:
        if fate.outcome == "split":
            yield Gap(group=fate.group, why=f"it runs on {' and '.join(fate.after)} at once")
        elif fate.outcome in _BAD or fate.outage_s is None:
            yield Gap(group=fate.group, why=" ".join(dict.fromkeys([*fate.because, fate.why])))
    if not story.at_rest:
        yield Gap(group="", why=f"the cluster did not come to rest within {story.lasted_s:.0f} s")
