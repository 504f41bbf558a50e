"""What the heartbeat child is told: once by the supervisor, and again and again by the daemon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agent.wire.epoch import NO_EPOCH, Epoch

ALIVE_S = 0.5  # so often the child hears that the daemon is there


class Settings(NamedTuple):
    """The child's configuration, JSON on its standard input."""

    me: str
    cluster: str
    servers: list[str]  # in the order of the configuration
    paths: list[str]  # heartbeat names, best first
    addresses: dict[str, dict[str, str]]  # server -> heartbeat -> address; what is missing is not used
    key: str  # hex
    interval_s: float
    timeout_s: float
    grace_s: float
    majority: bool
    incarnation: int
    socket: str
    fence: str  # reboot | report | none
    release: list[str]  # command that stops what a dead daemon left running
    port: int = 29002
    # What the child before this one said last.
    service: str = "stopped"
    epoch: tuple[int, int] = NO_EPOCH
    # Whose leases our beats confirm. Nobody's until the daemon has said what it promised, perhaps before a restart.
    members: list[str] = []
    electorates: list[list[str]] = []
    holding: bool = False
    lease_fd: int = -1  # memory of the lease; -1: our own
    watchdog: str = ""  # path of the device, "" for none
    watchdog_none: str = ""  # why there is none, "" when none is wanted
    panics: bool = False  # a lost lease ends this server by a kernel panic (with its dump) instead of a reset
    armed: bool = True
    promised: tuple[int, int] = NO_EPOCH
    config: str = ""  # of its words: config_id of what the daemon ran
    at: float = 0.0  # of its words
    confirm: str = ""  # datagram socket on which the arbiter child tells of confirmed beats; "" without arbiters


class Words(NamedTuple):
    """What the daemon wants beaten."""

    service: str
    epoch: Epoch
    members: tuple[str, ...]
    holding: bool
    electorates: tuple[tuple[str, ...], ...] = ()  # more than half of each must confirm our lease; (): of all servers
    armed: bool = True  # may the watchdog run, and a lost lease reset this server?
    promised: Epoch = NO_EPOCH  # the view of `members`
    config: str = ""  # config_id of what it runs
    at: float = 0.0  # CLOCK_BOOTTIME: when the daemon decided it


def electorates_of(fields: Iterable[Iterable[object]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(voter) for voter in voters) for voters in fields)
