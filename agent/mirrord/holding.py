"""The holder: a process that keeps the descriptors of a mirror disk, so that its device outlives the mirror process.

It decides one thing only: who has the device. Whoever asks for it gets it when the one before has ended; it is killed,
and waited for. The holder itself never touches the device, so that nothing can make it wait; what needs that (`attach`,
`detach`) is done by who asks (`holder.py`), and is remembered here as words that it does not read.

Requests are messages of a unix socket that only root may open; the first word says what, the answer begins with `ok` or
`no`:
  own          the descriptors to serve the device with; this connection stays open as long as he serves
  release      who owned it has closed what he was given
  get          pid of the holder, pid of the owner or 0, 1 when the kernel has ended the connection else 0, the words;
               with the descriptor of the file
  put WORDS    remember them
  end          the holder ends, and with it all that nobody else keeps

Standard library only and little of it. Signals that ask a process to end are ignored: whoever ends it takes the disk
away from the applications, and must mean it.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable

LISTENER, FUSE, MEMORY, FILE = 3, 4, 5, 6  # what it is started with
MESSAGE_BYTES = 8192
_MOST = 32  # connections
_IO_FLUSHER = 57  # of prctl
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_OOM_SCORE = "-900"
_UCRED = struct.Struct("=iII")


class Owner:
    """Who serves the device: `process` is readable when it has ended."""

    def __init__(self, pid: int, process: int) -> None:
        self.pid = pid
        self.process = process

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, signal.SIGKILL)


class Holder:
    def __init__(self, listener: socket.socket, words: bytes) -> None:
        self._listener = listener
        self._words = words
        self._ends: dict[int, socket.socket] = {}
        self._owner: Owner | None = None
        self._next: socket.socket | None = None  # waits for the owner's end
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self.running = True

    def turn(self) -> None:
        for fd, _ in self._poll.poll():
            if fd == self._listener.fileno():
                self._accept()
            elif self._owner is not None and fd == self._owner.process:
                self._ended()
            elif fd in self._ends:
                self._hear(self._ends[fd])

    def _accept(self) -> None:
        try:
            end, _ = self._listener.accept()
        except OSError:
            return
        if len(self._ends) >= _MOST:
            end.close()
            return
        end.setblocking(False)
        self._ends[end.fileno()] = end
        self._poll.register(end, select.POLLIN)

    def _drop(self, end: socket.socket) -> None:
        if self._next is end:
            self._next = None
        if self._ends.pop(end.fileno(), None) is not None:
            self._poll.unregister(end)
        end.close()

    def _hear(self, end: socket.socket) -> None:
        try:
            message = end.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._drop(end)
            return
        what, _, rest = message.partition(b" ")
        requests: dict[bytes, Callable[[socket.socket, bytes], None]] = {
            b"own": self._own, b"release": self._release, b"get": self._get, b"put": self._put, b"end": self._end,
        }  # fmt: skip
        act = requests.get(what)
        if act is None:
            self._say(end, b"no The holder does not know this request.")
        else:
            act(end, rest)

    def _say(self, end: socket.socket, answer: bytes, descriptors: tuple[int, ...] = ()) -> bool:
        """Who does not take the answer is let go."""
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            end.sendmsg([answer], extra, socket.MSG_NOSIGNAL)
        except OSError:
            self._drop(end)
            return False
        return True

    # ---- who has the device ----
    def _own(self, end: socket.socket, _: bytes) -> None:
        if self._next is not None and self._next is not end:
            self._say(self._next, b"no Another mirror process has asked for the device meanwhile.")
            self._next = None
        if self._owner is None or self._owner.pid == _pid(end):
            self._give(end)
            return
        self._next = end
        self._owner.kill()

    def _give(self, end: socket.socket) -> None:
        pid = _pid(end)
        try:
            process = os.pidfd_open(pid)
        except OSError:
            self._drop(end)
            return
        hung_up = select.poll()
        hung_up.register(end, 0)
        if hung_up.poll(0):  # It has ended, and its number may be somebody else's.
            os.close(process)
            self._drop(end)
            return
        self._let_go()
        self._owner = Owner(pid, process)
        self._poll.register(process, select.POLLIN)
        self._say(end, b"ok " + self._words, (FUSE, MEMORY, FILE))

    def _ended(self) -> None:
        self._let_go()
        if self._next is not None:
            end, self._next = self._next, None
            self._give(end)

    def _let_go(self) -> None:
        if self._owner is not None:
            self._poll.unregister(self._owner.process)
            os.close(self._owner.process)
            self._owner = None

    def _release(self, end: socket.socket, _: bytes) -> None:
        if self._owner is not None and self._owner.pid == _pid(end):
            self._ended()
        self._say(end, b"ok")

    # ---- the rest ----
    def _get(self, end: socket.socket, _: bytes) -> None:
        owner = self._owner.pid if self._owner is not None else 0
        self._say(end, b"ok %d %d %d " % (os.getpid(), owner, _is_dead(FUSE)) + self._words, (FILE,))

    def _put(self, end: socket.socket, words: bytes) -> None:
        self._words = words
        self._say(end, b"ok")

    def _end(self, end: socket.socket, _: bytes) -> None:
        self.running = False
        self._say(end, b"ok")


def _is_dead(fuse: int) -> bool:
    """A look and no more: whoever waits on this descriptor is woken up by every request."""
    look = select.poll()
    look.register(fuse, 0)
    return bool(look.poll(0))


def _pid(end: socket.socket) -> int:
    pid, _, _ = _UCRED.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(pid)


def _settle_in(name: str) -> None:
    """Last to be killed when memory is short, never waiting for memory that only its own device could free, and
    nobody's child: who has started it may end."""
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    for word in os.listdir("/proc/self/fd"):
        if int(word) > FILE:  # What who started it has let slip.
            with contextlib.suppress(OSError):
                os.close(int(word))
    for path, value in (("/proc/self/oom_score_adj", _OOM_SCORE), ("/proc/self/comm", f"clp-hold-{name}"[:15])):
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as file:
            file.write(value)
    libc = ctypes.CDLL(None)
    libc.prctl(_IO_FLUSHER, 1, 0, 0, 0)
    libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
    gc.freeze()


def run() -> None:
    """Of the process; its last argument is the name of the mirror, its standard input has the words to begin with."""
    words = os.read(0, MESSAGE_BYTES)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    _settle_in(sys.argv[-1])
    holder = Holder(socket.socket(fileno=LISTENER), words)
    while holder.running:
        holder.turn()
