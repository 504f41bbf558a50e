"""A small HTTP/1.1 server: few headers, small bodies, kept connections, a limit on everything a stranger can do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

from agent.wire.witness import BODY_BYTES, SIGNATURE_HEADER, encode_error
from agent.witness.door import JSON, Reply

HEAD_BYTES = 8 << 10
CONNECTIONS = 1024
CONNECTIONS_EACH = 128  # of one address
IDLE_S = 90.0
REQUEST_S = 5.0  # from the first byte of a request to its last
RATE_EACH, BURST_EACH = 1000.0, 2000.0  # requests a second of one address
_ADDRESSES = 4096  # remembered


class HttpRequest(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[HttpRequest], Awaitable[Reply]]


class _BadRequestError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Rate:
    """Tokens for each address; the addresses seen longest ago are forgotten."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str, now: float) -> bool:
        tokens, at = self._tokens.pop(address, (BURST_EACH, now))
        tokens = min(BURST_EACH, tokens + (now - at) * RATE_EACH)
        allowed = tokens >= 1
        self._tokens[address] = (tokens - 1 if allowed else tokens, now)
        while len(self._tokens) > _ADDRESSES:
            self._tokens.popitem(last=False)
        return allowed


class HttpServer:
    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._rate = Rate()
        self._open: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> asyncio.Server:
        """OSError when it cannot listen there."""
        return await asyncio.start_server(self._accept, host, port, limit=HEAD_BYTES, backlog=256)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if len(self._tasks) >= CONNECTIONS or self._open.get(address, 0) >= CONNECTIONS_EACH:
            writer.transport.abort()
            return
        self._open[address] = self._open.get(address, 0) + 1
        task = asyncio.get_running_loop().create_task(self._serve(address, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, address))

    def _ended(self, task: asyncio.Task[None], address: str) -> None:
        self._tasks.discard(task)
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    async def _serve(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(address, reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # Closed, silent for too long, or gone in the middle.
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _one(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """True: the connection is kept."""
        try:
            async with asyncio.timeout(IDLE_S):
                first = await reader.readexactly(1)
            async with asyncio.timeout(REQUEST_S):
                request = await _read(first, reader)
        except _BadRequestError as error:
            await _write(writer, Reply(error.status, encode_error(str(error))), keep=False)
            return False
        if not self._rate.allows(address, time.monotonic()):
            await _write(writer, Reply(429, encode_error("too many requests from this address")), keep=False)
            return False
        keep = request.headers.get("connection", "").lower() != "close"
        await _write(writer, await self._handler(request), keep=keep)
        return keep


async def _read(first: bytes, reader: asyncio.StreamReader) -> HttpRequest:
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _BadRequestError(431, f"the head of a request has at most {HEAD_BYTES} bytes") from None
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise _BadRequestError(400, "this is not HTTP/1.1")
    headers = {}
    for line in filter(None, lines[1:]):
        name, colon, value = line.partition(":")
        if not colon or name.lower() in headers:
            raise _BadRequestError(400, "a header is malformed or repeated")
        headers[name.lower()] = value.strip()
    if words[2] == "HTTP/1.0":
        headers["connection"] = "close"
    return HttpRequest(words[0], words[1], headers, await _body(headers, reader))


async def _body(headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal() and len(length) < 10):
        raise _BadRequestError(411, "a body needs its Content-Length")
    if int(length) > BODY_BYTES:
        raise _BadRequestError(413, f"a body has at most {BODY_BYTES} bytes")
    return await reader.readexactly(int(length))


async def _write(writer: asyncio.StreamWriter, reply: Reply, *, keep: bool) -> None:
    head = [
        f"HTTP/1.1 {reply.status} {_phrase(reply.status)}", f"Content-Type: {JSON}",
        f"Content-Length: {len(reply.body)}", "Cache-Control: no-store",
    ]  # fmt: skip
    if reply.signature:
        head.append(f"{SIGNATURE_HEADER}: {reply.signature}")
    if not keep:
        head.append("Connection: close")
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + reply.body)
    async with asyncio.timeout(REQUEST_S):
        await writer.drain()


def _phrase(status: int) -> str:
    with contextlib.suppress(ValueError):
        return HTTPStatus(status).phrase
    return "Unknown"
