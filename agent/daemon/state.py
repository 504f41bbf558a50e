"""state.json: what a later daemon, or the emergency stopper, must know of this one; promise.json: what must outlive
a power cut.

`held` is the shell's own record: a resource is in it from before its activation begins until its deactivation
succeeded, in the order of activation. Whoever finds it there must assume that it may be active.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from agent.drivers.files import is_lost, read_limited, write_atomic, write_quick
from agent.drivers.machine import boot_id

_LIMIT_BYTES = 64 << 20
_PROMISE_LIMIT_BYTES = 1 << 20
PROMISE = "promise.json"


class StateError(Exception):
    """state.json cannot be read; the sentence says what to do."""


class Stored(msgspec.Struct):
    boot_id: str = ""
    incarnation: int = 0
    released: bool = False  # the emergency stopper has run after the daemon's death
    held: list[str] = []
    engine: dict[str, Any] | None = None


def read_state(path: Path) -> Stored | None:
    """None when there is none. A damaged file is an error: promises may be in it, so it is not just thrown away.

    state.json is the newer one while the machine has its power. After a power cut it may be lost, or an old one: then
    promise.json tells what was promised."""
    try:
        data = read_limited(path, _LIMIT_BYTES)
        stored = None if data is None or is_lost(data) else msgspec.json.decode(data, type=Stored)
        promise = read_limited(path.with_name(PROMISE), _PROMISE_LIMIT_BYTES)
        if promise is None:
            return stored
        stored = stored or Stored()
        durable = {"durable": msgspec.json.decode(promise, type=dict[str, Any])}
        engine = stored.engine or {}
        stored.engine = {**durable, **engine} if stored.boot_id == boot_id() else {**engine, **durable}
        return stored
    except (OSError, ValueError) as error:
        raise StateError(
            f"{path} is damaged ({error}). If the cluster service is stopped on this server, delete the file."
        ) from error


class StateFile:
    """Keeps the file equal to what the engine and the shell have said last."""

    def __init__(self, path: Path, stored: Stored, *, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self._stored = stored
        self._encoder = msgspec.json.Encoder()

    @property
    def held(self) -> tuple[str, ...]:
        return tuple(self._stored.held)

    def save(self, engine: dict[str, Any], *, durable: bool) -> None:
        """`durable`: the engine's "durable" part survives a power cut once this returns. The rest need only survive the
        death of a process: a machine that boots holds nothing."""
        self._stored.engine = engine
        if durable and self._writes:
            promise = self._encoder.encode(engine["durable"])
            write_atomic(self._path.with_name(PROMISE), promise, durable=True)
        self._write(durable=False)

    def hold(self, resource: str) -> None:
        """Before its activation begins. OSError: it must not begin, since nobody would know of it later."""
        if resource not in self._stored.held:
            self._stored.held.append(resource)
            try:
                self._write(durable=False)
            except OSError:
                self._stored.held.remove(resource)
                raise

    def let_go(self, resource: str) -> None:
        """After its deactivation succeeded. A file that still has it does no harm: a later daemon looks for itself."""
        if resource in self._stored.held:
            self._stored.held.remove(resource)
            with contextlib.suppress(OSError):
                self._write(durable=False)

    def released(self) -> None:
        self._stored.released = True
        self._write(durable=True)

    def _write(self, *, durable: bool) -> None:
        if not self._writes:
            return
        data = self._encoder.encode(self._stored)
        if durable:
            write_atomic(self._path, data, durable=True)
        else:
            write_quick(self._path, data)
