"""The agents' way out of the bed: connections to the switch's address are carried on to a port of this machine.

The listening socket belongs to the bed's network, the outgoing one to the machine's: no cable, address or route of the
machine is needed, and it works without root.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

CHUNK = 65536
CONNECT_S = 5.0


class Relay:
    """Runs in a thread of its own until close()."""

    def __init__(self, listener: socket.socket, host: str, port: int) -> None:
        self._listener = listener
        self._target = (host, port)
        self._carried: set[asyncio.Task[None] | None] = set()  # The loop alone does not keep a task alive.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended by itself.
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with self._listener:
            self._loop.run_until_complete(asyncio.start_server(self._carry, sock=self._listener))
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._carried.add(task)
        # asyncio reports a cancelled connection as a fault of ours; close() cancels them all.
        with contextlib.suppress(asyncio.CancelledError):
            await self._both_ways(reader, writer)
        self._carried.discard(task)

    async def _both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
        except (OSError, TimeoutError):  # The manager is not there: the agent sees a closed connection.
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
        except* OSError:
            pass
        finally:
            writer.close()
            far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
