"""GET /metrics of a server, for Prometheus: a small HTTP listener that asks the agent for its status."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from agent.wire.metrics import CONTENT_TYPE, Sample, of_status, text

_CLIENTS = 8
_REQUEST_BYTES, _REQUEST_S, _STATUS_S = 8 << 10, 5.0, 5.0
_ANSWER_BYTES = 64 << 20


class MetricsListener:
    def __init__(
        self, address: str, port: int, agent_socket: str, cluster: str, me: str,
        more: Callable[[], Iterable[Sample]] = tuple,
    ) -> None:  # fmt: skip
        self._address = address
        self._asked_port = port
        self._agent = agent_socket
        self._labels = {"cluster": cluster, "server": me}
        self._more = more
        self._server: asyncio.Server | None = None
        self._clients = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """OSError when the port is taken."""
        self._server = await asyncio.start_server(
            self._serve, self._address, self._asked_port, limit=_REQUEST_BYTES, reuse_address=True
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            async with asyncio.timeout(_REQUEST_S + _STATUS_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head.split(b"\r\n", 1)[0].split()))
                await writer.drain()
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            pass  # A client that went, or that asks rubbish.
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, words: list[bytes]) -> bytes:
        if self._clients > _CLIENTS:
            return _response("503 Service Unavailable", "Too many ask at once.\n")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "GET /metrics\n")
        if words[1].split(b"?", 1)[0] != b"/metrics":
            return _response("404 Not Found", "GET /metrics\n")
        status = await self._status()
        samples = [Sample("openclp_agent_up", self._labels, float(status is not None)), *self._more()]
        if status is not None:
            samples += of_status(status)
        body = text(samples)
        return _response("200 OK", body, CONTENT_TYPE, with_body=words[0] == b"GET")

    async def _status(self) -> dict[str, Any] | None:
        """None when the agent does not answer."""
        writer = None
        try:
            async with asyncio.timeout(_STATUS_S):
                reader, writer = await asyncio.open_unix_connection(self._agent, limit=_ANSWER_BYTES)
                writer.write(b'{"op":"status"}\n')
                answer = msgspec.json.decode(await reader.readline())
                return dict(answer["status"])
        except (OSError, EOFError, TimeoutError, ValueError, KeyError, TypeError, msgspec.DecodeError):
            return None
        finally:
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.close()


def _response(status: str, body: str, kind: str = "text/plain; charset=utf-8", *, with_body: bool = True) -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (data if with_body else b"")
