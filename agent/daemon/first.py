"""The first daemon of a clpd, and the reader of clp.conf, which it forks (see fork.py).

Reader and daemon need the same modules (types of resources, the model), so that they are imported once: by a process
that forks the reader and then becomes the daemon. What reads the file is still a process of its own, in which alone
the XML library is loaded; while it works the rest of the daemon is imported. The daemon begins when clpd says so,
which then has the facts and stands ready to watch it; it ends when clpd does not.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from agent.daemon import fork, spawn
from agent.daemon.cluster_facts import LOAD_S, MODEL_BYTES, Facts, read_facts
from agent.daemon.paths import LEASE_FD, PET_FD, READ_AGAIN, RESTART_CAUSE, Paths
from agent.drivers import kernel

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_DAEMON = (sys.executable, "-m", "agent.daemon.main")
_PET, _LOCK, _LEASE, _OUT, _ERR, _GO = 3, 4, 5, 6, 7, 8  # descriptors of the daemon


class First(NamedTuple):
    """A daemon that waits; who holds this lets it begin, or ends it."""

    pid: int
    pets: int
    go: int

    def begin(self) -> None:
        with contextlib.suppress(OSError):  # It is dead already, and reaped as every other daemon.
            os.write(self.go, b"g")
        os.close(self.go)

    def end(self) -> None:
        os.close(self.go)
        os.close(self.pets)
        spawn.kill_group(self.pid)
        os.waitpid(self.pid, 0)


def read_and_prepare(
    places: Paths, environ: Mapping[str, str], lock: int, lease: int, command: Sequence[str], fence: str
) -> tuple[Facts, First | None]:
    """What clp.conf says, and the daemon that waits. With `command` that is run to read it, and there is no daemon."""
    first: First | None = None

    def read() -> spawn.Result:
        nonlocal first
        if command:
            return spawn.run(command, environ, LOAD_S, MODEL_BYTES)
        result, first = _fork_daemon(environ, lock, lease)
        return result

    try:
        return read_facts(places, read, fence), first
    except BaseException:
        if first is not None:
            first.end()
        raise


def _fork_daemon(environ: Mapping[str, str], lock: int, lease: int) -> tuple[spawn.Result, First | None]:
    """What the reader said, and the daemon where it could use clp.conf."""
    deadline = time.monotonic() + LOAD_S
    pets, pet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    (read_out, out), (read_err, err), (go, give) = os.pipe(), os.pipe(), os.pipe()
    files = {_PET: pet, _LOCK: lock, _LEASE: lease, _OUT: out, _ERR: err, _GO: go}
    own = {**environ, PET_FD: str(_PET), LEASE_FD: str(_LEASE), RESTART_CAUSE: "", READ_AGAIN: "0"}
    try:
        pid = fork.fork(_DAEMON, _read_and_wait, own, files, root=ROOT, death_signal=signal.SIGTERM)
    finally:
        for descriptor in (pet, out, err, go):
            os.close(descriptor)
    try:
        said = spawn.collect((read_out, read_err), deadline, MODEL_BYTES)
    finally:
        os.close(read_out)
        os.close(read_err)
    if _is_model(said[0]):
        return spawn.Result(0, *said), First(pid, pets, give)
    os.close(pets)
    os.close(give)
    return spawn.Result(spawn.wait(pid, deadline), *said), None


def _is_model(said: bytes) -> bool:
    """Whether the reader came to its end well: the model is the last that it says."""
    try:
        return isinstance(json.loads(said), dict)
    except ValueError:
        return False


def _read_and_wait() -> int:
    """The daemon's side."""
    gc.disable()  # Imports make much that stays and no garbage; looking for it takes a tenth of the time.
    from agent import catalog  # noqa: F401 - for both
    from agent.daemon import load  # noqa: F401

    parent = os.getpid()
    reader = os.fork()
    if reader == 0:
        _read(parent)
    os.close(_OUT)
    os.close(_ERR)
    try:
        from agent.daemon import main
    finally:  # The reader dies with us; what it says counts even if there is no daemon yet.
        _, status = os.waitpid(reader, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        return abs(code)
    if os.read(_GO, 1) != b"g":
        return 1
    os.close(_GO)
    gc.enable()
    return main.main()


def _read(parent: int) -> NoReturn:
    kernel.die_with_parent(parent)
    os.dup2(_OUT, 1)
    os.dup2(_ERR, 2)
    for descriptor in (_PET, _LOCK, _LEASE, _OUT, _ERR, _GO):
        os.close(descriptor)
    code = 1
    try:
        from agent.daemon import load

        code = load.main([])
    except BaseException as error:
        sys.stderr.write(f"the reader of clp.conf failed: {type(error).__name__}: {error}\n")
    fork.end_now(code)
