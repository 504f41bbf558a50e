"""Group resource types: one file each, SPEC and behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from agent.clpconf.schema import TypeSpec, Values
from agent.ports import DriverError, Ports


async def _refuse(_values: Values, _ports: Ports) -> None:
    raise DriverError("Resources of this type cannot be used yet.", retryable=False)


async def _never_active(_values: Values, _ports: Ports) -> bool:
    return False


class ResourceType(msgspec.Struct, frozen=True):
    """`activate` and `deactivate` raise DriverError when the machine refuses; both may be repeated safely.

    `active` tells a new daemon whether what an earlier one started is still there (adoption).
    `announce` repeats to the LAN where an address is, None for types without one.
    A type whose driver comes later (spec.ready is False) is declared alone: ResourceType(SPEC).
    `prepare` does early what activation would wait for and what harms nobody: the server that runs it is suspected.
    What it returns, called within a second, does the whole activation without waiting; where that raises DriverError,
    `activate` is called as if nothing had been prepared.
    """

    spec: TypeSpec
    activate: Callable[[Values, Ports], Awaitable[None]] = _refuse
    deactivate: Callable[[Values, Ports], Awaitable[None]] = _refuse
    active: Callable[[Values, Ports], Awaitable[bool]] = _never_active
    announce: Callable[[Values, Ports], Awaitable[None]] | None = None
    prepare: Callable[[Values, Ports], Awaitable[Callable[[], None] | None]] | None = None

    def __post_init__(self) -> None:
        assert not self.spec.ready or self.activate is not _refuse, f"{self.spec.name} is ready, but does nothing"
