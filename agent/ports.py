"""What a type may ask of the machine. Drivers implement it; the tests and the simulator bring their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Protocol

import msgspec

from agent.wire.mirror import MirrorState

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface


class DriverError(Exception):
    """The machine did not do it. `detail` is one sentence for the administrator."""

    def __init__(self, detail: str, *, retryable: bool = True) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retryable = retryable


class Place(msgspec.Struct, frozen=True):
    """Where a type acts: which object, in which group, on which server of which cluster."""

    cluster: str
    server: str
    group: str  # "" for a monitor without a group
    name: str  # of the resource or monitor
    home: bool  # this server is the group's first in its policy
    priority: int = 1  # place of this server in the group's policy, 1 is the first


class Nic(msgspec.Struct, frozen=True):
    name: str
    index: int
    addresses: tuple[Interface, ...]
    up: bool  # switched on, and with a carrier
    mac: bytes  # b"" when the NIC has no Ethernet address (loopback, tunnels)


def nic_for(nics: Sequence[Nic], address: Address) -> Nic | None:
    """The NIC in whose network the address lies. A NIC with a carrier wins, then the narrower network.

    Host prefixes (/32, /128) name no network: they are floating addresses already there.
    """
    found: list[tuple[bool, int, int, Nic]] = []
    for nic in nics:
        for own in nic.addresses:
            if own.version == address.version and own.network.prefixlen < own.max_prefixlen and address in own.network:
                found.append((not nic.up, -own.network.prefixlen, nic.index, nic))
    return min(found, key=lambda f: f[:3])[3] if found else None


class Network(Protocol):
    async def nics(self) -> Sequence[Nic]: ...
    async def add_address(self, nic: Nic, address: Interface) -> None: ...
    async def remove_address(self, nic: Nic, address: Interface) -> None: ...
    async def in_use(self, nic: Nic, address: Address, timeout_s: float) -> str | None:
        """MAC of a stranger that answers for the address on this LAN, None when nobody does.

        A server of this cluster that is heard on this LAN is no stranger: when it hangs, its kernel goes on answering
        for the address, and whether to take over from it has been decided before.
        """

    async def ask_early(self, nic: Nic, address: Address, timeout_s: float) -> bool:
        """Ask before it is known whether the address will be taken. True: nobody answers, which counts for the next
        in_use within a second, which then does not wait."""

    def take(self, nic: Nic, address: Interface, announcements: int) -> None:
        """Add the address, which must not be there, and announce it, within this call. Not for IPv6, whose addresses
        cannot be used at once."""

    async def announce(self, nic: Nic, address: Address) -> None:
        """One gratuitous ARP in request form, or one unsolicited neighbour advertisement."""

    async def ping(self, address: Address, timeout_s: float) -> float | None:
        """Round trip in seconds, None when no answer came."""


class Run(msgspec.Struct, frozen=True):
    """A script run. `key` names it for adoption after a restart of the daemon ("exec1.start")."""

    key: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    timeout_s: float
    log: str = ""  # file that takes stdout and stderr, "" for the agent's log of this object
    log_limit_bytes: int = 1_000_000  # then it is moved to <log>.1 and begun anew


class Exit(msgspec.Struct, frozen=True):
    code: int | None  # None: killed after its timeout or by Abort
    seconds: float
    tail: str  # the end of its output, at most 2000 characters


class Processes(Protocol):
    async def run(self, run: Run) -> Exit:
        """Run to the end in its own session and process group; at timeout or cancellation the whole group is
        stopped (SIGTERM, then SIGKILL). Adopts the run of the same key that an earlier daemon started."""

    async def start(self, run: Run) -> None:
        """Start and leave running (asynchronous exec); remembered under its key across restarts."""

    async def stop(self, key: str, grace_s: float) -> None:
        """Stop what `start` left running, the whole process group; nothing to do when it is gone."""

    async def alive(self, key: str) -> bool: ...
    async def wait_gone(self, key: str) -> None:
        """Returns when the process of this key ends (pidfd, no polling)."""


class Mirrors(Protocol):
    """The mirror disks of this server; each has a process of its own, which goes on when the daemon does not."""

    async def state(self, name: str) -> MirrorState | None:
        """What its mirror process says of it now; None: it does not run, or does not answer."""

    async def activate(self, name: str, *, full: bool) -> tuple[str, bool]:
        """The block device, once this side may write, and whether the mirror was constructed just now; `full`: then by
        copying the whole disk. Waits for what may still come of itself: for the other server after both were down, for
        a repair. DriverError: it must not, or cannot."""

    async def deactivate(self, name: str) -> None:
        """Its file system is unmounted: the device goes, and this side has nothing to say any more."""

    async def abort(self, name: str) -> None:
        """All I/O of its device fails from now on, also what waits."""


class Mounted(msgspec.Struct, frozen=True):
    source: str  # a device
    point: str
    kind: str


class Mounts(Protocol):
    async def at(self, point: str) -> Mounted | None:
        """What is mounted there last."""

    async def of(self, device: str) -> Sequence[Mounted]:
        """Where this device is mounted."""

    async def users(self, point: str) -> Sequence[tuple[int, str]]:
        """Processes that use the file system mounted there: number, name."""

    async def end_users(self, point: str, grace_s: float) -> None:
        """SIGTERM to all of them, and SIGKILL after `grace_s`."""

    async def detach(self, point: str) -> None:
        """Unmount it although it is used: it goes when its last user does."""


class Ports(Protocol):
    """Handed to activate, deactivate and check of every type."""

    place: Place
    network: Network
    processes: Processes
    mirrors: Mirrors
    mounts: Mounts
    scripts: str  # directory of scripts: <scripts>/<group>/<exec resource>/start.sh
    event: str  # CLP_EVENT while activating: START FAILOVER RECOVER; "" else
    factor: str  # CLP_FACTOR while deactivating; "" else
    announce: bool  # False: activate keeps quiet on the LAN (this server was stalled and may be outdated)

    def remember(self, key: str, value: str) -> None:
        """Keep one fact of this object across restarts of the daemon (which NIC took the address)."""

    def recall(self, key: str) -> str | None: ...
    def note(self, text: str) -> None:
        """One line for the log of this object."""
