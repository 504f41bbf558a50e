"""Every type that this product knows, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import TypeVar

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.resources import ResourceType

T = TypeVar("T")


class _Types(MutableMapping[str, T]):
    """The types of one package. Each is loaded when it is asked for: an agent uses few of them, and starts often."""

    def __init__(self, package: str, attribute: str, names: tuple[str, ...]) -> None:
        self._package = package
        self._attribute = attribute
        self._names = dict.fromkeys(names)
        self._loaded: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            if name not in self._names:
                raise KeyError(name)
            self._loaded[name] = getattr(import_module(f"{self._package}.{name}"), self._attribute)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __setitem__(self, name: str, kind: T) -> None:
        self._names[name] = None
        self._loaded[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


RESOURCES: MutableMapping[str, ResourceType] = _Types(
    "agent.resources",
    "TYPE",
    (
        "appli",
        "awsdns",
        "awsvip",
        "azurepp",
        "disk",
        "exec",
        "fip",
        "md",
        "nas",
        "ocf",
        "raw",
        "script",
        "sd",
        "service",
        "systemd",
        "vm",
        "volmgr",
        "vxdg",
        "vxvol",
    ),
)

MONITORS: MutableMapping[str, MonitorType] = _Types(
    "agent.monitors",
    "TYPE",
    (
        "arpw",
        "awsazw",
        "awsvipw",
        "azurelbw",
        "azureppw",
        "db2w",
        "diskw",
        "fipw",
        "ftpw",
        "genw",
        "httpw",
        "imap4w",
        "ipw",
        "mdnw",
        "mdw",
        "miiw",
        "monp",
        "mtw",
        "mysqlw",
        "nfsw",
        "odbcw",
        "oraclew",
        "osmw",
        "pidw",
        "pop3w",
        "psqlw",
        "psw",
        "raww",
        "sambaw",
        "servicew",
        "smtpw",
        "sqlserverw",
        "sybasew",
        "userw",
        "vmw",
        "volmgrw",
        "vxdw",
        "vxvolw",
    ),
)

HEARTBEATS: Mapping[str, TypeSpec] = _Types(
    "agent.heartbeats",
    "SPEC",
    (
        "bmchb",
        "comhb",
        "diskhb",
        "lanhb",
        "lankhb",
        "witnesshb",
    ),
)

PARTITIONS: Mapping[str, TypeSpec] = _Types(
    "agent.partitions",
    "SPEC",
    (
        "disknp",
        "httpnp",
        "majonp",
        "pingnp",
    ),
)

# Devices that force servers off; the options of each agent come from its metadata when it is installed.
FENCES: Mapping[str, TypeSpec] = _Types("agent.fences", "SPEC", ("fence",))


class _Specs(Mapping[str, TypeSpec]):
    def __init__(self) -> None:
        self._found: dict[str, TypeSpec] = {}

    def __getitem__(self, name: str) -> TypeSpec:
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> TypeSpec:
        if name in RESOURCES:
            return replace(RESOURCES[name].spec, section="resource")
        if name in MONITORS:
            return replace(MONITORS[name].spec, section="monitor")
        if name in HEARTBEATS:
            return replace(HEARTBEATS[name], section="heartbeat")
        return replace(PARTITIONS[name], section="networkpartition")

    def __iter__(self) -> Iterator[str]:
        for kind in (RESOURCES, MONITORS, HEARTBEATS, PARTITIONS):
            yield from kind

    def __len__(self) -> int:
        return len(RESOURCES) + len(MONITORS) + len(HEARTBEATS) + len(PARTITIONS)


@cache
def specs() -> Mapping[str, TypeSpec]:
    """All declarations by the name of their type, each with the section in which its objects stand; names are unique
    over all kinds. Fence devices are no types of the file: SECTIONS has them."""
    return _Specs()
