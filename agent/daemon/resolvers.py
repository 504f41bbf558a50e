"""Ping resolution: does this server reach the addresses that stand for the network outside of the cluster?

A pingnp has groups of addresses. It is ok when in EVERY group at least one address answers: each group stands for a
way that clients take, and a server that has lost one of them must not count as the better side.

An address answers while its newest answered request was sent less than a lease (0.7 of the heartbeat timeout) ago. So
a server that is cut off from peers and addresses at once knows the second before it may take the first for dead.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from agent.clpconf.model import Cluster, PartitionResolver
from agent.drivers import icmp
from agent.engine.detector import LEASE
from agent.engine.events import ResolverState
from agent.ports import Address

LONGEST_S, SHORTEST_S = 1.0, 0.05  # between two requests to one address
_TRIES = 3  # in the time after which an address counts as gone, at least
_ANSWER_S = 2.0  # waited for an answer, at most
_SHORTEST_LOOK_S = 0.01
_PLACE = re.compile(r"grp@([^/]+)/list@([^/]+)/ip")

Ping = Callable[[Address, float], Awaitable[float | None]]
Groups = tuple[tuple[Address, ...], ...]


def groups_of(values: Mapping[str, str]) -> Groups:
    """The addresses of each group, from the values of a pingnp in clp.conf; what is no address is left out."""
    groups: dict[str, list[Address]] = {}
    for path, text in values.items():
        if found := _PLACE.fullmatch(path):
            try:
                groups.setdefault(found[1], []).append(ip_address(text.strip()))
            except ValueError:
                continue
    return tuple(tuple(addresses) for _, addresses in sorted(groups.items()))


@dataclass
class _Target:
    address: Address
    answered_at: float = float("-inf")  # when the newest request that was answered had been sent
    tried: bool = False


@dataclass
class _Watched:
    name: str
    groups: tuple[tuple[_Target, ...], ...]
    told: ResolverState | None = None


@dataclass
class PingResolvers:
    """Runs until cancelled; `tell` gets each state as soon as it is known, and each change."""

    cluster: Cluster
    me: str
    tell: Callable[[ResolverState], None]
    now: Callable[[], float]
    ping: Ping = icmp.ping
    _watched: list[_Watched] = field(default_factory=list)

    async def run(self) -> None:
        self._watched = [
            _Watched(r.name, tuple(tuple(_Target(a) for a in group) for group in groups_of(r.values)))
            for r in self.cluster.resolvers
            if r.type == "pingnp" and self._used(r)
        ]
        targets = [target for watched in self._watched for group in watched.groups for target in group]
        async with asyncio.TaskGroup() as together:
            for target in targets:
                together.create_task(self._keep_asking(target, together))
            together.create_task(self._keep_judging())

    @property
    def interval_s(self) -> float:
        return min(LONGEST_S, max(SHORTEST_S, min(self.cluster.interval_s, self._patience_s / _TRIES)))

    @property
    def _patience_s(self) -> float:
        return LEASE * self.cluster.timeout_s

    def _used(self, resolver: PartitionResolver) -> bool:
        """The device of this server says whether it takes part."""
        device = self.cluster.server(self.me).device(resolver.device)
        unused = device is not None and device.info != "1"
        if unused or not any(groups_of(resolver.values)):
            why = f"device {resolver.device} of this server is not 1" if unused else "it has no address"
            self.tell(ResolverState(name=resolver.name, ok=False, detail=f"{resolver.name} is not used here: {why}."))
            return False
        return True

    async def _keep_asking(self, target: _Target, together: asyncio.TaskGroup) -> None:
        while True:
            # Not one after the other: an answer that does not come must not delay the next request.
            together.create_task(self._ask(target))
            await asyncio.sleep(self.interval_s)

    async def _ask(self, target: _Target) -> None:
        sent_at = self.now()
        try:
            answered = await self.ping(target.address, min(self._patience_s, _ANSWER_S)) is not None
        except OSError:
            answered = False  # This machine cannot even ask: no such family, no descriptor left.
        if answered:
            target.answered_at = max(target.answered_at, sent_at)
        target.tried = True
        self._judge()

    async def _keep_judging(self) -> None:
        """At the moment at which a group falls silent, not when something happens next."""
        while True:
            self._judge()
            groups = [group for watched in self._watched for group in watched.groups]
            ends = [max(target.answered_at for target in group) + self._patience_s - self.now() for group in groups]
            next_s = min([end for end in ends if end > 0], default=LONGEST_S)
            await asyncio.sleep(max(_SHORTEST_LOOK_S, min(next_s, LONGEST_S)))

    def _judge(self) -> None:
        for watched in self._watched:
            state = self._state(watched)
            if state is not None and (watched.told is None or watched.told.ok != state.ok):
                watched.told = state
                self.tell(state)

    def _state(self, watched: _Watched) -> ResolverState | None:
        """None while it is too early to say."""
        limit = self.now() - self._patience_s
        silent = [group for group in watched.groups if all(target.answered_at <= limit for target in group)]
        if not silent:
            return ResolverState(name=watched.name, ok=True)
        if watched.told is None and not all(target.tried for group in silent for target in group):
            return None
        return ResolverState(name=watched.name, ok=False, detail=_sentence(silent))


def _sentence(silent: Iterable[tuple[_Target, ...]]) -> str:
    groups = [" and ".join(str(target.address) for target in group) for group in silent]
    return f"no answer from {'; nor from '.join(groups)}"
