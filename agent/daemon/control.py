"""The control socket agent.sock: one JSON object a line, for the commands on this server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from pathlib import Path

import msgspec

from agent.daemon.console import LINE_LIMIT, Console, ControlRequest, Line, error_line
from agent.daemon.tasks import give_up

MOST_CLIENTS = 64
IDLE_S = 600.0  # between two requests of one client
SEND_S = 30.0  # for a client to take what it asked for
_UCRED = struct.Struct("3i")


class ControlSocket:
    """Serves several clients at once; one that does not read or talks rubbish loses its connection, nobody else's."""

    def __init__(self, path: Path, console: Console) -> None:
        self._path = path
        self._console = console
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Replaces a socket that a dead daemon left; there is one daemon only, its supervisor sees to that."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            sock.bind(str(self._path))
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=LINE_LIMIT)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await give_up(self._clients)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        try:
            if len(self._clients) > MOST_CLIENTS:
                await _send(writer, error_line(f"{MOST_CLIENTS} clients are connected already. Close some."))
                return
            await self._talk(reader, writer, _peer_name(writer.get_extra_info("socket")))
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # The client went, or does not read; or we close (Python 3.11 logs tasks that end cancelled).
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, by: str) -> None:
        """Requests one after the other. The next line is awaited during an answer, too: it stops a watch."""
        coming = asyncio.ensure_future(_read_line(reader))
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    await asyncio.wait((coming,))
                raw = coming.result()
                if raw is None:
                    await _send(writer, error_line(f"A line of more than {LINE_LIMIT} bytes is no request."))
                if not raw:
                    return
                coming = asyncio.ensure_future(_read_line(reader))
                await self._answer(raw, by, writer, coming)
        finally:
            await give_up((coming,))

    async def _answer(
        self, raw: bytes, by: str, writer: asyncio.StreamWriter, coming: asyncio.Future[bytes | None]
    ) -> None:
        request = self._console.parse(raw)
        if not isinstance(request, ControlRequest):
            await _send(writer, request)
            return

        async def write_all() -> None:
            async with contextlib.aclosing(self._console.answer(request, by)) as lines:
                async for line in lines:
                    await _send(writer, line)

        work = asyncio.ensure_future(write_all())
        try:
            until = (work, coming) if request.op == "watch" else (work,)
            await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await give_up((work,))
        if not work.cancelled() and (error := work.exception()):
            raise error


async def _read_line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line that is not blank, b"" at the end, None when it is too long."""
    try:
        while raw := await reader.readline():
            if raw.strip():
                return raw
    except ValueError:
        return None
    except OSError:
        pass  # The client went.
    return b""


async def _send(writer: asyncio.StreamWriter, line: Line) -> None:
    writer.write(msgspec.json.encode(line) + b"\n")
    async with asyncio.timeout(SEND_S):
        await writer.drain()


def _peer_name(sock: socket.socket) -> str:
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        command = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        command = str(pid)
    return f"{'root' if uid == 0 else f'uid{uid}'}@{command}"
