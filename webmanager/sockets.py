"""The web server's websocket protocol, with a short way for what goes to many: one frame, written as it is to each.

What a message takes on the long way (a queue, a task, ASGI, its frame made anew) is three quarters of its price.
"""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

WRITE = "openclp.write"  # among the extensions of a connection's scope
Write = Callable[[bytes, int], bool]
_TEXT = 0x81  # the last frame of a message, and the only one
_newest: tuple[str, bytes] = ("", b"")


class WebSocket(WebSocketsSansIOProtocol):
    async def run_asgi(self) -> None:
        self.scope["extensions"][WRITE] = self.write_frame
        await super().run_asgi()

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
