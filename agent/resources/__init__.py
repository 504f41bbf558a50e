"""Group resource types: one file each, SPEC and behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.clpconf.schema import TypeSpec, Values
from agent.ports import Ports


@dataclass(frozen=True, slots=True)
class ResourceType:
    """`activate` and `deactivate` raise DriverError when the machine refuses; both may be repeated safely.

    `active` tells a new daemon whether what an earlier one started is still there (adoption).
    `announce` repeats to the LAN where an address is, None for types without one.
    `prepare` does early what activation would wait for and what harms nobody: the server that runs it is suspected.
    """

    spec: TypeSpec
    activate: Callable[[Values, Ports], Awaitable[None]]
    deactivate: Callable[[Values, Ports], Awaitable[None]]
    active: Callable[[Values, Ports], Awaitable[bool]]
    announce: Callable[[Values, Ports], Awaitable[None]] | None = None
    prepare: Callable[[Values, Ports], Awaitable[None]] | None = None
