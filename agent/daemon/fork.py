"""Forking without executing an interpreter anew, which would import all again that this process has imported.

Only for what starts with clpd, as 32 servers of one machine do at the same time: who comes in the place of a process
that died is executed, and shares nothing with the one before. And only while there is one thread here: a lock that
another one held would be held for ever. What the new process must not have of its parent is taken from it:
descriptors, signals, environment and name.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from agent.daemon import spawn
from agent.drivers import kernel

_HERE = "/proc/self"


def can_fork() -> bool:
    """Somebody's sitecustomize may have started a thread."""
    try:
        return len(os.listdir(f"{_HERE}/task")) == 1
    except OSError:
        return False


def fork(
    name: Sequence[str],
    work: Callable[[], int],
    environ: Mapping[str, str],
    files: Mapping[int, int],
    *,
    root: str,
    death_signal: int = signal.SIGKILL,
) -> int:
    """Like spawn.start(): the child does `work` instead of executing `name`, under which it is seen. Its modules come
    from `root` first."""
    parent = os.getpid()
    gc.freeze()  # The collector's marks would take the memory apart that parent and child share.
    pid = os.fork()
    if pid == 0:
        _live(name, work, environ, files, parent, death_signal, root)
    return pid


def _live(
    name: Sequence[str], work: Callable[[], int], environ: Mapping[str, str], files: Mapping[int, int], parent: int,
    death: int, root: str,
) -> NoReturn:  # fmt: skip
    """Never leaves this function: nothing that the parent left on the stack is closed, or ends, twice."""
    code = 1
    try:
        spawn.settle_in(files, parent, death, own_group=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _close_others(files)
        os.environ.clear()
        os.environ.update(environ)
        kernel.one_arena()
        _rename(name)
        sys.argv = list(name[2:])
        sys.path[:] = [root, *[place for place in sys.path if place != root]]
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback  # 4 ms of everybody's start.

        os.write(2, traceback.format_exc().encode())
    end_now(code)


def end_now(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 1
    os._exit(code)


def _close_others(files: Mapping[int, int]) -> None:
    """As executing would: those that are not to be inherited."""
    for word in os.listdir(f"{_HERE}/fd"):
        descriptor = int(word)
        try:
            if descriptor > 2 and descriptor not in files and not os.get_inheritable(descriptor):
                os.close(descriptor)
        except OSError:
            continue  # The one with which the directory was read.


def _rename(name: Sequence[str]) -> None:
    """`ps` shall show which process this is. There is room where the kernel put the words of the parent and, behind
    them, its environment, of which we have a copy."""
    words = b"".join(os.fsencode(word) + b"\0" for word in name)
    try:
        with open(f"{_HERE}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        begin, end, environ, limit = (int(field) for field in fields[45:49])
    except (OSError, ValueError):
        return
    if len(words) > end - begin and environ == end:
        end = limit
    if begin > 0 and len(words) <= end - begin:
        ctypes.memset(begin, 0, end - begin)
        ctypes.memmove(begin, words, len(words))
        kernel.arguments_end(begin + len(words))
