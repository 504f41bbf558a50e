"""What one connection has to send: gathered, given to the kernel, and kept in order where that does not take it."""

from __future__ import annotations

import fcntl
import socket
import sys
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from agent.mirrord.poller import Poller
from agent.mirrord.sealing import Buffer, FrameError

if TYPE_CHECKING:
    from agent.mirrord.secure import Tunnel

MOST_QUEUED = 256 << 20
SMALL = 16 << 10  # data up to here is gathered with other frames: to copy it costs less than a system call

_BATCH = 128 << 10
_PIECES = 64
_SIOCOUTQNSD = 0x894B
_NUMBER = bytes(4)


def _ignore(_: object) -> None:
    """The connection is closed."""


class Outgoing:
    """`watch(True)` is called when the kernel shall say that it takes data again, then `writable` is due.
    `broken` is called at the end of the turn in which an error was met."""

    def __init__(
        self,
        poller: Poller,
        end: socket.socket,
        watch: Callable[[bool], None],
        broken: Callable[[OSError | FrameError], None],
    ) -> None:
        self.tunnel: Tunnel | None = None
        self.queued = 0  # bytes that the kernel has not taken yet
        self.sent = 0
        self.moved = poller.now()  # when it has taken some, or had nothing to take
        self._poller, self._socket = poller, end
        self._watch, self._tell = watch, broken
        self._batch = bytearray()
        self._gathering = False
        self.broken = False  # nothing that is given to it arrives any more
        self._queue: deque[memoryview] = deque()

    def add(self, head: bytes, payload: Buffer) -> None:
        """A frame. A small one waits for others; a large one goes now, with all that waits."""
        batch = self._batch
        batch += head
        if len(payload) > SMALL:
            self._batch = bytearray()
            self.put(batch, payload)
            return
        batch += payload
        if len(batch) >= _BATCH:
            self.flush()
        elif not self._gathering:
            self._gathering = True
            self._poller.at_end(self.flush)

    def flush(self) -> None:
        self._gathering = False
        batch = self._batch
        if not batch:
            return
        self._batch = bytearray()
        if self.tunnel is not None or self._queue or self.broken:
            self.put(batch)
            return
        try:
            taken = self._socket.send(batch)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._break(error)
            return
        self.sent += taken
        if taken < len(batch):
            self._keep(memoryview(batch)[taken:])

    @property
    def waiting(self) -> int:
        """Bytes that have not left this machine: ours, and those which the kernel has taken and keeps."""
        if self.broken:
            return 0
        kept = fcntl.ioctl(self._socket, _SIOCOUTQNSD, _NUMBER)
        return self.queued + int.from_bytes(kept, sys.byteorder)

    def put(self, *pieces: Buffer) -> None:
        if self.tunnel is None:
            self.put_raw(*pieces)
            return
        try:
            sealed = self.tunnel.seal(pieces)
        except FrameError as error:
            self._break(error)
        else:
            self.put_raw(sealed)

    def put_raw(self, *pieces: Buffer) -> None:
        """Past TLS. What is not taken is copied: the caller may change it afterwards."""
        if self.broken:
            return
        taken = 0
        if not self._queue:
            try:
                taken = self._socket.sendmsg(pieces)
            except BlockingIOError:
                pass
            except OSError as error:
                self._break(error)
                return
            self.sent += taken
        for piece in pieces:
            size = len(piece)
            if taken < size:
                self._keep(memoryview(bytes(memoryview(piece)[taken:])))
            taken = max(taken - size, 0)

    def _keep(self, rest: memoryview) -> None:
        if not self._queue:
            self.moved = self._poller.now()
            self._watch(True)
        self._queue.append(rest)
        self.queued += len(rest)
        if self.queued > MOST_QUEUED:
            self._break(FrameError(f"The other side takes nothing, and {self.queued >> 20} MiB wait for it."))

    def writable(self) -> None:
        while self._queue:
            try:
                taken = self._socket.sendmsg(list(islice(self._queue, _PIECES)))
            except BlockingIOError:
                return
            except OSError as error:
                self._break(error)
                return
            self._took(taken)
        self._watch(False)

    def _took(self, taken: int) -> None:
        self.sent += taken
        self.queued -= taken
        self.moved = self._poller.now()
        while taken:
            first = self._queue[0]
            if taken < len(first):
                self._queue[0] = first[taken:]
                return
            taken -= len(first)
            self._queue.popleft()

    def _break(self, error: OSError | FrameError) -> None:
        """Whoever sends goes on undisturbed: nothing of what follows arrives."""
        if not self.broken:
            self.broken = True
            self._poller.at_end(lambda: self._tell(error))

    def close(self) -> None:
        self.broken = True
        # No circle of references: the collector of a mirror process does not run.
        self._watch = self._tell = _ignore
        self._queue.clear()
        self._batch.clear()
        self.queued = 0
