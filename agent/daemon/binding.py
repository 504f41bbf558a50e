"""Binds types to objects: the typed values of a resource or monitor and the ports through which it may act."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from agent.catalog import MONITORS, RESOURCES
from agent.clpconf.model import Cluster, Monitor, Resource
from agent.clpconf.schema import Values
from agent.drivers.files import read_limited, write_atomic
from agent.drivers.mounts import LocalMounts
from agent.monitors import MonitorType
from agent.ports import DriverError, Mirrors, Mounts, Network, Place, Processes
from agent.resources import ResourceType
from agent.wire.mirror import MirrorState

_FACTS_BYTES = 16 << 20


class _Remembered(msgspec.Struct):
    boot_id: str
    facts: dict[str, dict[str, str]] = {}


class Facts:
    """What types remember across restarts of the daemon, within one boot: object -> key -> value."""

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self._boot = boot
        self._facts: dict[str, dict[str, str]] = {}
        # A damaged file is as good as none: types cope with what they cannot recall.
        with contextlib.suppress(OSError, ValueError):
            data = read_limited(path, _FACTS_BYTES)
            remembered = msgspec.json.decode(data, type=_Remembered) if data else None
            if remembered is not None and remembered.boot_id == boot:
                self._facts = remembered.facts

    def recall(self, name: str, key: str) -> str | None:
        return self._facts.get(name, {}).get(key)

    def remember(self, name: str, key: str, value: str) -> None:
        if self.recall(name, key) != value:
            self._facts.setdefault(name, {})[key] = value
            data = msgspec.json.encode(_Remembered(self._boot, self._facts))
            # A full disk must not keep a group from stopping; with the next fact all are written again.
            with contextlib.suppress(OSError):
                write_atomic(self._path, data, durable=False)


class BoundPorts(msgspec.Struct):
    """Implements ports.Ports for one object."""

    place: Place
    network: Network
    processes: Processes
    mirrors: Mirrors
    mounts: Mounts
    scripts: str
    event: str
    factor: str
    announce: bool
    facts: Facts
    log: Callable[[str, str], None]

    def remember(self, key: str, value: str) -> None:
        self.facts.remember(self.place.name, key, value)

    def recall(self, key: str) -> str | None:
        return self.facts.recall(self.place.name, key)

    def note(self, text: str) -> None:
        self.log(self.place.name, text)


class NoMirrors:
    """`ports.Mirrors` of a server without mirror disks."""

    async def state(self, name: str) -> MirrorState | None:
        return None

    async def activate(self, name: str, *, full: bool) -> tuple[str, bool]:
        raise DriverError(f"{name}: this server keeps no mirror disks", retryable=False)

    async def deactivate(self, name: str) -> None:
        pass

    async def abort(self, name: str) -> None:
        pass


class BoundResource(msgspec.Struct, frozen=True):
    resource: Resource
    type: ResourceType
    values: Values
    ports: BoundPorts


class BoundMonitor(msgspec.Struct, frozen=True):
    monitor: Monitor
    type: MonitorType
    values: Values
    target_values: Values
    ports: BoundPorts


class Machine:
    """This server, for all objects of the cluster."""

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        *,
        network: Network,
        processes: Processes,
        scripts: Path,
        facts: Facts,
        log: Callable[[str, str], None],
    ) -> None:
        self.cluster = cluster
        self.me = me
        self.network = network
        self.processes = processes
        self.mirrors: Mirrors = NoMirrors()
        self.mounts: Mounts = LocalMounts()
        self._scripts = str(scripts)
        self._facts = facts
        self._log = log
        self._group_of = {name: group for group in cluster.groups for name in group.resources}
        self._resources = {r.name: r for r in cluster.resources}
        self._monitors = {m.name: m for m in cluster.monitors}

    def resource(self, name: str, *, event: str = "", factor: str = "", announce: bool = True) -> BoundResource:
        """Raises DriverError when the object cannot be used as it is configured here."""
        resource = self._resources.get(name)
        if resource is None:
            raise DriverError(f"clp.conf has no resource {name} any more.", retryable=False)
        kind = RESOURCES.get(resource.type)
        if kind is None or not kind.spec.ready:
            raise DriverError(f"{name}: resources of type {resource.type} cannot be used yet.", retryable=False)
        values = _typed(name, kind.spec.values, resource.on(self.me))
        return BoundResource(resource, kind, values, self._ports(name, name, event, factor, announce))

    def monitor(self, name: str) -> BoundMonitor:
        """Raises DriverError when the object cannot be used as it is configured here."""
        monitor = self._monitors[name]
        kind = MONITORS.get(monitor.type)
        if kind is None or not kind.spec.ready:
            raise DriverError(f"{name}: monitors of type {monitor.type} cannot be used yet.", retryable=False)
        target_values: Values = {}
        if monitor.target in self._resources:
            target = self._resources[monitor.target]
            if target.type in RESOURCES:
                target_values = _typed(target.name, RESOURCES[target.type].spec.values, target.on(self.me))
        values = _typed(name, kind.spec.values, monitor.on(self.me))
        return BoundMonitor(monitor, kind, values, target_values, self._ports(name, monitor.target, "", "", True))

    def _ports(self, name: str, member: str, event: str, factor: str, announce: bool) -> BoundPorts:
        group = self._group_of.get(member)
        policy = group.policy if group else ()
        place = Place(
            cluster=self.cluster.name,
            server=self.me,
            group=group.name if group else "",
            name=name,
            home=bool(policy) and policy[0] == self.me,
            priority=policy.index(self.me) + 1 if self.me in policy else 1,
        )
        return BoundPorts(
            place, self.network, self.processes, self.mirrors, self.mounts, self._scripts, event, factor, announce,
            self._facts, self._log,
        )  # fmt: skip


def _typed(name: str, parse: Callable[[Mapping[str, str]], Values], raw: Mapping[str, str]) -> Values:
    try:
        return parse(raw)
    except ValueError as error:
        raise DriverError(f"{name} is configured wrongly: {error}", retryable=False) from error
