"""One TCP connection to the mirror process of the other server: handshake, frames both ways, signs of life.

Rules of this file
- Nothing here waits. What the kernel does not take at once is copied and sent when it can be, in order; `queued` says
  how much that is. Small frames are gathered and go together at the end of the loop's turn, or with `flush`.
- What comes lands in one buffer whose pages are used again; a large frame is read to its end and not beyond, so that it
  is neither moved nor split, and its data begins at a page.
- The buffer is not for keeping: the memory behind a frame's data is used again, and a view that was kept is released.
- The other side is alive as long as anything comes; both send a ping each `keepalive_s`. Whoever was away himself (a
  disk that hung, SIGSTOP) first reads what has come meanwhile, and judges then.
- The listener is told of the end once, from the loop, never from within `send` or `leave`; not after `leave` at all.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from agent.mirrord.frames import GRAIN, WRITE
from agent.mirrord.handshake import PREFIX_BYTES, Agreed, Greeting, RefusedError, Secure, Send, length_of, said
from agent.mirrord.outgoing import Outgoing
from agent.mirrord.poller import Poller, Timer
from agent.mirrord.sealing import (
    BYE,
    COMPRESSED,
    HEAD_BYTES,
    LENGTH,
    MOST_PAYLOAD,
    OF_ENGINE,
    PING,
    PONG,
    Buffer,
    Frame,
    FrameError,
    Head,
    Opener,
    Sealer,
    Squeezer,
)
from agent.mirrord.settings import Settings

if TYPE_CHECKING:
    from ssl import SSLContext

    from agent.mirrord.secure import Tunnel

CONNECTING, GREETING, READY, LEAVING, CLOSED = "connecting", "greeting", "ready", "leaving", "closed"
GREETING_S = 5.0

_LEAVING_S = 1.0
_READ = 256 << 10  # at once, of frames that are not larger: stays in the processor's cache
_LARGE = 64 << 10
_WORTH_SQUEEZING = 1 << 10
_PAGE = mmap.PAGESIZE
_FIRST = _PAGE - HEAD_BYTES  # the data of the first frame begins at a page
_ROOM = _PAGE + 2 * (MOST_PAYLOAD + _PAGE)
_SEND_BUFFER = 4 << 20
_MICROSECOND = 1_000_000

_SO_SNDBUFFORCE = 32
_new = tuple.__new__
_TCP_USER_TIMEOUT = 18


def _nothing() -> None:
    """Nobody greets any more."""


class Listener(Protocol):
    def ready(self, connection: Connection) -> None: ...
    def ended(self, connection: Connection, why: str) -> None: ...
    def control(self, connection: Connection, kind: int, payload: memoryview) -> None: ...


class Connection:
    """Not connected yet (`connect` follows), or accepted (`begin` follows)."""

    def __init__(
        self,
        poller: Poller,
        end: socket.socket,
        greeting: Greeting,
        listener: Listener,
        settings: Settings,
        context: Callable[[], SSLContext],
    ) -> None:
        self.poller, self.settings, self.listener = poller, settings, listener
        self.stage = CONNECTING
        self.reached = False  # somebody has answered
        self.bye = False  # the other side ended it on purpose
        self.deliver: Callable[[Frame], None] | None = None  # frames of the engine, while the link uses this one
        self.received = 0
        self.round_trip_s: float | None = None
        self.heard = poller.now()
        self._pinged = -settings.keepalive_s
        self._socket, self._fd = end, end.fileno()
        self._greeting, self._context = greeting, context
        self._wanted: Callable[[], bytes | None] = self._message
        self._tunnel: Tunnel | None = None
        self.out = Outgoing(poller, end, self._watch, self._broken)
        self._scratch = memoryview(b"")
        self._memory = mmap.mmap(-1, _ROOM)
        self._view = memoryview(self._memory)
        self._start = self._end = _FIRST
        self._head: Head | None = None  # of a frame whose data is not here yet
        self._timer: Timer | None = None
        squeezed = ((1, GRAIN), (2, WRITE))
        self._squeezed = frozenset(kind for bit, kind in squeezed if settings.compress & bit)
        self._squeezer = Squeezer()
        self._tune()

    def _tune(self) -> None:
        end = self._socket
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit_s = max(self.settings.send_s, self.settings.silent_s)
        end.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(limit_s * 1000))
        try:
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
        except OSError:  # Not root: as much as everybody may have.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    # ---- begin ----
    def connect(self, address: tuple[str, int] | tuple[str, int, int, int], limit_s: float) -> None:
        """OSError: it cannot even be tried."""
        with contextlib.suppress(BlockingIOError):
            self._socket.connect(address)
        self.poller.watch(self._fd, self._connected, self._connected)
        self._timer = self.poller.after(limit_s, lambda: self._fail(f"No answer for {limit_s:g} s."))

    def _connected(self) -> None:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._fail(self._sentence(OSError(error, os.strerror(error))))
            return
        try:
            self._socket.getpeername()
        except OSError:
            return  # An event of a socket that had this number before.
        self._cancel()
        self.begin()

    def begin(self) -> None:
        self.stage, self.reached = GREETING, True
        self.poller.watch(self._fd, self._readable)
        limit_s = min(GREETING_S, self.settings.silent_s)
        self._timer = self.poller.after(limit_s, lambda: self._fail(f"No handshake within {limit_s:g} s."))
        self._greet(first=True)

    # ---- handshake ----
    def _greet(self, *, first: bool = False) -> None:
        """As far as what has come allows."""
        agreed: Agreed | None = None
        try:
            if first:
                self._step(None)
            while self.stage == GREETING and (brought := self._wanted()) is not None:
                self._step(brought)
        except StopIteration as over:
            agreed = over.value
        except (RefusedError, FrameError) as error:
            self._fail(str(error), gently=True)
        if agreed is not None:
            self._agree(agreed)

    def _step(self, brought: bytes | None) -> None:
        step = self._greeting.send(brought)  # type: ignore[arg-type]
        while isinstance(step, Send):
            self.out.put(step.message)
            step = next(self._greeting)
        if isinstance(step, Secure):
            self._begin_tls()
            self._wanted = self._shaken
        else:
            self._wanted = self._message

    def _message(self) -> bytes | None:
        self._pull()
        body = self._start + PREFIX_BYTES
        if self._end < body:
            return None
        stop = body + length_of(self._view[self._start : body])
        if self._end < stop:
            return None
        message = bytes(self._view[self._start : stop])
        self._start = stop
        return message

    def _begin_tls(self) -> None:
        from agent.mirrord.secure import Tunnel  # Only who encrypts pays for OpenSSL (4 MB).

        self._tunnel = Tunnel(self._context())
        self._scratch = memoryview(bytearray(_READ))
        self._tunnel.feed(self._view[self._start : self._end])
        self._start = self._end = _FIRST

    def _shaken(self) -> bytes | None:
        assert self._tunnel is not None
        if out := self._tunnel.shake():
            self.out.put_raw(out)
        if not self._tunnel.open:
            return None
        self.out.tunnel = self._tunnel
        return self._tunnel.fingerprint

    def _agree(self, agreed: Agreed) -> None:
        self._sealer = Sealer(agreed.sending, check_data=agreed.check)
        self._opener, self._checks = Opener(agreed.receiving, check_data=agreed.check), agreed.check
        self._cancel()
        self.stage = READY
        self.heard = self.out.moved = self.poller.now()
        self._look()
        self.listener.ready(self)
        self._take()

    # ---- what comes ----
    def _readable(self) -> None:
        if self.stage == READY:
            if self._fetch():
                self._take()
        elif self.stage == LEAVING:
            self._discard()
        elif self._fetch():
            self._greet()

    def _fetch(self) -> bool:
        try:
            if self._tunnel is not None:
                got = self._socket.recv_into(self._scratch)
                self._tunnel.feed(self._scratch[:got])
            else:
                end = self._end
                got = self._socket.recv_into(self._view[end : end + self._appetite()])
                self._end = end + got
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(self._sentence(error))
            return False
        if not got:
            self._fail(f"{self.settings.peer} has closed the connection.")
            return False
        self.received += got
        self.heard = self.poller.now()
        return True

    def _appetite(self) -> int:
        if self._head is not None:
            missing = HEAD_BYTES + self._head[LENGTH] - (self._end - self._start)
            if missing >= _LARGE:
                return missing
        return min(_READ, _ROOM - self._end)

    def _pull(self) -> bool:
        """Out of TLS. FrameError."""
        if self._tunnel is None:
            return False
        got = self._tunnel.read_into(self._view[self._end :])
        self._end += got
        return got > 0

    def _take(self) -> None:
        """All frames that are here."""
        self._frames()
        while self._tunnel is not None and self.stage == READY:
            try:
                if not self._pull():
                    return
            except FrameError as error:
                self._fail(str(error))
                return
            self._frames()

    def _frames(self) -> None:
        view, opener = self._view, self._opener
        while self.stage == READY and self._end - self._start >= HEAD_BYTES:
            start = self._start
            try:
                head = self._head or opener.head(view, start)
                _, kind, flags, _, length, raw, seq, counter, proposer, offset, spare, tag, _ = head
                stop = start + HEAD_BYTES + length
                if self._end < stop:
                    self._head = head
                    break
                payload = view[start + HEAD_BYTES : stop]
                if length and (flags or self._checks):
                    payload = opener.payload(flags, raw, tag, payload)
            except FrameError as error:
                self._fail(str(error))
                return
            self._head, self._start = None, stop
            if kind < OF_ENGINE:
                self._word(kind, seq, payload)
            elif self.deliver is not None:
                # Not Frame(): that would be two calls of Python for each.
                self.deliver(_new(Frame, (kind, seq, (counter, proposer), offset, payload, spare)))
            else:
                self._fail(f"{self.settings.peer} sends data on a connection that is not in use.")
            payload.release()
        if self._start == self._end:
            self._start = self._end = _FIRST
        else:
            self._make_room()

    def _word(self, kind: int, seq: int, payload: memoryview) -> None:
        if kind == PING:
            self.send(PONG, seq=seq)
        elif kind == PONG:
            self.round_trip_s = max(self.poller.now() - seq / _MICROSECOND, 0.0)
        elif kind == BYE:
            self.bye = True
            why = said(bytes(payload).decode(errors="replace"))
            self._fail(f"{self.settings.peer} begins the connection anew: {why}")
        else:
            self.listener.control(self, kind, payload)

    def _make_room(self) -> None:
        rest = self._end - self._start
        needed = HEAD_BYTES + (self._head[LENGTH] if self._head is not None else 0)
        if rest <= _PAGE or self._start + needed > _ROOM:
            # The rest of a small frame, or a large one that does not fit: as seldom as its size allows.
            if rest:
                self._memory.move(_FIRST, self._start, rest)
            self._start, self._end = _FIRST, _FIRST + rest

    # ---- what goes ----
    def send(
        self,
        kind: int,
        seq: int = 0,
        epoch: tuple[int, int] = (0, 0),
        offset: int = 0,
        payload: Buffer = b"",
        spare: int = 0,
    ) -> None:
        """Of a connection that is ready; on any other one it is lost."""
        if self.stage != READY:
            return
        raw, flags = len(payload), 0
        assert raw <= MOST_PAYLOAD
        if kind in self._squeezed and raw >= _WORTH_SQUEEZING and (packed := self._squeezer.squeeze(payload)):
            payload, flags = packed, COMPRESSED
        self.out.add(self._sealer.head(kind, seq, epoch, offset, spare, payload, raw, flags), payload)

    def _watch(self, writing: bool) -> None:
        if self.stage != CLOSED:
            self.poller.watch(self._fd, self._readable, self.out.writable if writing else None)

    def _broken(self, error: OSError | FrameError) -> None:
        self._fail(self._sentence(error) if isinstance(error, OSError) else str(error))

    # ---- life ----
    @property
    def works(self) -> bool:
        return self.stage == READY and not self.out.broken

    def _look(self) -> None:
        """Sends signs of life, and misses those of the other side."""
        settings, now = self.settings, self.poller.now()
        # Noticed in time, not a look later.
        patience_s = settings.silent_s - self._step_s
        if now - self.heard >= patience_s:
            self._readable()  # What has come while this process was busy or stopped.
            if self.stage != READY:
                return
            now = self.poller.now()
            if now - self.heard >= patience_s:
                self._fail(f"{settings.peer} was silent for {settings.silent_s:g} s.")
                return
        if self.out.queued and now - self.out.moved >= settings.send_s:
            self._fail(f"{settings.peer} has taken nothing for {settings.send_s:g} s.")
            return
        if now - self._pinged >= settings.keepalive_s and not self.out.queued:
            self._pinged = now
            self.send(PING, seq=int(now * _MICROSECOND))
        self._timer = self.poller.after(self._step_s, self._look)

    @property
    def _step_s(self) -> float:
        return min(self.settings.keepalive_s, self.settings.silent_s / 8)

    def leave(self, why: str) -> None:
        """On purpose; what was sent before still arrives, and the other side hears why."""
        if self.stage == READY:
            self.send(BYE, payload=why.encode()[:300])
            self.out.flush()
        self._depart()

    def _depart(self) -> None:
        """Closes it so that nothing which is on its way is thrown away: the other side closes first."""
        self._cancel()
        if self.stage in (CONNECTING, CLOSED) or self.out.queued:
            self.close()
            return
        self.stage = LEAVING
        self.deliver = None
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._timer = self.poller.after(_LEAVING_S, self.close)

    def _discard(self) -> None:
        try:
            if self._socket.recv_into(self._view):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.close()

    def _fail(self, why: str, *, gently: bool = False) -> None:
        if self.stage in (LEAVING, CLOSED):
            return
        if gently:
            self._depart()
        else:
            self.close()
        self.listener.ended(self, why)

    def reject(self, why: str) -> None:
        """The other side is not to be trusted to keep the protocol."""
        self._fail(why)

    def close(self) -> None:
        if self.stage == CLOSED:
            return
        self.stage = CLOSED
        self.deliver = None
        self._cancel()
        self.poller.unwatch(self._fd)
        self._socket.close()
        self.out.close()
        self._greeting.close()
        # No circle of references: the collector of a mirror process does not run.
        self._wanted = _nothing

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sentence(self, error: OSError) -> str:
        peer = self.settings.peer
        if error.errno == errno.ECONNREFUSED:
            return f"Nobody listens at port {self.settings.port} of {peer}: its mirror process does not run."
        if error.errno in (errno.ECONNRESET, errno.EPIPE):
            return f"{peer} has broken the connection off."
        if error.errno == errno.ETIMEDOUT:
            return f"{peer} does not answer any more."
        return f"{os.strerror(error.errno or 0)}."
