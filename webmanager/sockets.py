"""The web server's websocket protocol, with a short way for what goes to many and for what agents tell.

Rules of this file
- What a message takes on the long way (a queue, a task, ASGI, its frame made anew) is three quarters of its price. So a
  frame is made once and written as it is to each browser, and whoever asks for it (READ) is given texts as they come.
- Whoever speaks lives: a connection is given up for its missing pong only when nothing else came either, and not before
  this process, which may have been short of time itself, has looked at its sockets once more.
"""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from webmanager.turns import clock

# Among the extensions of a connection's scope.
WRITE, READ = "openclp.write", "openclp.read"
Write = Callable[[bytes, int], bool]
Read = Callable[[Callable[[str], None]], None]
_LOOK_AGAIN_S = 1.0
_TEXT = 0x81  # the last frame of a message, and the only one
_newest: tuple[str, bytes] = ("", b"")


class WebSocket(WebSocketsSansIOProtocol):
    _take: Callable[[str], None] | None = None
    _heard_at = 0.0
    _looked_again = False

    async def run_asgi(self) -> None:
        self.scope["extensions"] |= {WRITE: self.write_frame, READ: self.read_with}
        await super().run_asgi()

    def read_with(self, take: Callable[[str], None]) -> None:
        """From now on `take` gets each text at once; it must not raise. What waits for the application comes first."""
        self._take = take

    def send_receive_event_to_app(self) -> None:
        if self._take is None or self.curr_msg_data_type != "text" or self.close_sent or not self.queue.empty():
            super().send_receive_event_to_app()
            return
        try:
            text = b"".join(self.frames).decode()
        except UnicodeDecodeError:
            super().send_receive_event_to_app()  # It knows what to do with it.
            return
        self.frames = []
        self._take(text)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        start = clock.now()
        super().data_received(data)
        clock.rewind(start)

    def send_keepalive_ping(self) -> None:
        self._looked_again = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        if self._heard_at > self.ping_sent_at or self.read_paused:
            self.pong_timer = self.pending_ping_payload = None
            self.schedule_ping()
        elif not self._looked_again:
            self._looked_again = True
            self.pong_timer = self.loop.call_later(_LOOK_AGAIN_S, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def write_frame(self, frame: bytes, limit: int) -> bool:
        """Never waits. False, and nothing is written, when more than `limit` bytes wait for this client already."""
        if self.disconnected or self.close_sent or self.transport.is_closing():
            return True  # The application is being told.
        if self.transport.get_write_buffer_size() > limit:
            return False
        self.transport.write(frame)
        return True


def frame(text: str) -> bytes:
    """As a server sends it, not masked. The same text again, as for the next browser, costs nothing."""
    global _newest
    if _newest[0] is not text:
        _newest = text, framed(text.encode())
    return _newest[1]


def framed(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65536:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload
