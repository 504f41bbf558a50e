"""Monitor resource types: one file each, SPEC and behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.clpconf.schema import TypeSpec, Values
from agent.ports import Ports


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    detail: str = ""  # why not, one sentence


@dataclass(frozen=True, slots=True)
class MonitorType:
    """`check` answers once; the daemon repeats it by interval, timeout and retries. `target` is the watched
    resource's name and typed values ("" and {} without one).

    `wake` returns when the watched thing has certainly changed (a process ended), so that the daemon checks at once;
    None where only polling can tell.
    """

    spec: TypeSpec
    check: Callable[[Values, str, Values, Ports], Awaitable[Health]]
    wake: Callable[[Values, str, Values, Ports], Awaitable[None]] | None = None
