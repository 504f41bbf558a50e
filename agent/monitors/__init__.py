"""Monitor resource types: one file each, SPEC and behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from agent.clpconf.schema import TypeSpec, Values
from agent.ports import DriverError, Ports


class Health(msgspec.Struct, frozen=True):
    ok: bool
    detail: str = ""  # why not, one sentence
    warning: bool = False  # ok, but an administrator should know `detail`


async def _refuse(_values: Values, _target: str, _watched: Values, _ports: Ports) -> Health:
    raise DriverError("Monitors of this type cannot be used yet.", retryable=False)


class MonitorType(msgspec.Struct, frozen=True):
    """`check` answers once; the daemon repeats it by interval, timeout and retries. `target` is the watched
    resource's name and typed values ("" and {} without one).

    `wake` returns when the watched thing has certainly changed (a process ended), so that the daemon checks at once;
    None where only polling can tell. A type whose driver comes later (spec.ready is False) is declared alone.
    """

    spec: TypeSpec
    check: Callable[[Values, str, Values, Ports], Awaitable[Health]] = _refuse
    wake: Callable[[Values, str, Values, Ports], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        assert not self.spec.ready or self.check is not _refuse, f"{self.spec.name} is ready, but does nothing"
