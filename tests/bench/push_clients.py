"""The other side of bench push, in processes of its own: `python -m tests.bench.push_clients WHAT`, the task on stdin.

Browsers, agents and pollers on raw sockets: a client that takes more time than the server would measure itself. The
task is one JSON line; "ready" is said when everybody is connected; the line "go" begins, "end" ends, the answer is
JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import uvloop

from tests.bench.goals import quantile
from tests.bench.push_world import MARK, Speaker, world

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_AT_ONCE = 50  # connections that are being opened


def frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """As a client has to send it: masked, with a mask of zeros, so that nobody has to compute."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


class Frames:
    """Cuts what comes from a server into frames; rests of frames are kept in pieces, so that a long one is put together
    once."""

    def __init__(self, take: Callable[[int, bytes], None]) -> None:
        self._take = take
        self._rest: list[bytes] = []
        self._held = self._due = 0

    def feed(self, data: bytes) -> None:
        if self._rest:
            self._rest.append(data)
            self._held += len(data)
            if self._held < self._due:
                return
            data, self._rest = b"".join(self._rest), []
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + size > end:
                self._keep(data[at:], start - at + size)
                return
            self._take(data[at] & 15, data[start : start + size])
            at = start + size
        if at < end:
            self._keep(data[at:], 2)

    def _keep(self, rest: bytes, due: int) -> None:
        self._rest, self._held, self._due = [rest], len(rest), due


class Owner(Protocol):
    def heard(self, text: bytes) -> None: ...


class WebSocket(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, path: str, headers: dict[str, str], owner: Owner) -> None:
        self._asked, self._headers, self._owner = path, headers, owner
        self._frames: Frames | None = None
        self._head = b""
        self.open = asyncio.get_running_loop().create_future()
        self.lost = ""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        lines = [
            f"GET {self._asked} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in self._headers.items()),
        ]  # fmt: skip
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def data_received(self, data: bytes) -> None:
        if self._frames is not None:
            self._frames.feed(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self.open.set_exception(ConnectionError(head[:200].decode("latin-1")))
            return
        self._frames = Frames(self._take)
        self.open.set_result(None)
        if rest:
            self._frames.feed(rest)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._owner.heard(payload)
        elif opcode == _PING:
            self.transport.write(frame(payload, _PONG))
        elif opcode == _CLOSE:
            self.lost = f"closed with {int.from_bytes(payload[:2], 'big')} {payload[2:].decode(errors='replace')}"

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = self.lost or "the connection broke"
        if not self.open.done():
            self.open.set_exception(ConnectionError(self.lost))


class Seen:
    """What came to all browsers of one process: each distinct message is read once."""

    def __init__(self) -> None:
        self.messages: list[tuple[tuple[int, float], ...]] = []  # (number, sent) of the marks in it
        self.sizes: list[int] = []
        self._known: dict[bytes, int] = {}

    def index(self, payload: bytes) -> int:
        found = self._known.get(payload)
        if found is None:
            found = self._known[payload] = len(self.messages)
            marks = {int(number): float(sent) for number, sent in MARK.findall(payload)}
            self.messages.append(tuple(marks.items()))
            self.sizes.append(len(payload))
        return found


class Browser:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self.times: list[float] = []
        self.indexes: list[int] = []
        self.ready = asyncio.Event()
        self.counts = False
        self.marked = 0  # messages with a mark

    def heard(self, text: bytes) -> None:
        if self.counts:
            self.times.append(time.monotonic())
            index = self._seen.index(text)
            self.indexes.append(index)
            self.marked += bool(self._seen.messages[index])
        elif text.startswith((b'{"type":"snapshot"', b'{"type":"welcome"')):
            self.ready.set()

    def delays(self) -> dict[int, float]:
        """Mark -> seconds until it was first here."""
        found: dict[int, float] = {}
        for now, index in zip(self.times, self.indexes, strict=True):
            for number, sent in self._seen.messages[index]:
                if number not in found:
                    found[number] = now - sent
        return found


async def connected(port: int, path: str, headers: dict[str, str], owner: Owner, gate: asyncio.Semaphore) -> WebSocket:
    loop = asyncio.get_running_loop()
    async with gate:
        _, one = await loop.create_connection(lambda: WebSocket(path, headers, owner), "127.0.0.1", port)
        await asyncio.wait_for(one.open, 60)
        if isinstance(owner, Browser):
            await asyncio.wait_for(owner.ready.wait(), 120)
    return one


async def browsers(task: dict[str, Any], line: Callable[[], Any]) -> dict[str, Any]:
    """`watch`: [path, how many] ...; the answer tells how late the marks were, and how many browsers saw."""
    seen, gate = Seen(), asyncio.Semaphore(_AT_ONCE)
    all_of = [(path, [Browser(seen) for _ in range(count)]) for path, count in task["watch"]]
    headers = {"Origin": f"http://127.0.0.1:{task['port']}", "Cookie": task["cookie"]}
    work = [connected(task["port"], path, headers, one, gate) for path, some in all_of for one in some]
    sockets = await asyncio.gather(*work)
    for _, some in all_of:
        for one in some:
            one.counts = True
    await line()
    if wanted := task.get("messages"):  # A burst ends when everybody has so many.
        ends = time.monotonic() + task["limit_s"]
        while time.monotonic() < ends and any(one.marked < wanted for _, some in all_of for one in some):
            await asyncio.sleep(0.02)
    await line()
    delays, deliveries, sizes = [], 0, []
    counts: dict[str, list[int]] = {}
    for path, some in all_of:
        for one in some:
            found = one.delays()
            counts.setdefault(path, []).append(len(found))
            delays += found.values()
            deliveries += len(one.times)
            sizes += [seen.sizes[index] for index in one.indexes[:200]]
    lost = sorted({socket.lost for socket in sockets if socket.lost})
    last = max((one.times[-1] for _, some in all_of for one in some if one.times), default=0.0)
    return {**_spread(delays), "deliveries": deliveries, "counts": {p: [min(c), sum(c)] for p, c in counts.items()},
            "bytes": sum(sizes) / max(1, len(sizes)), "lost_connections": lost, "last": last}  # fmt: skip


def _spread(delays: list[float]) -> dict[str, Any]:
    if not delays:
        return {"n": 0}
    shares = {f"p{share:g}": 1000 * quantile(delays, share / 100) for share in (50, 90, 99)}
    return {"n": len(delays), **shares, "max": 1000 * max(delays)}


class Silent:
    """An agent hears nothing here but what it is refused for."""

    def heard(self, text: bytes) -> None:
        pass


async def agents(task: dict[str, Any], line: Callable[[], Any]) -> dict[str, Any]:
    """`agents`: [cluster, node, secret] ...; `talk`: how many of them have changes; `rate`: of each, a second."""
    shape = world(task["servers"], task["groups"])
    shapes: dict[str, Any] = {}
    gate, loop = asyncio.Semaphore(_AT_ONCE), asyncio.get_running_loop()
    speakers, work = [], []
    for index, (cluster, node, secret) in enumerate(task["agents"]):
        shapes.setdefault(cluster, shape.named(cluster))
        marked = task.get("marked", False)
        speakers.append(Speaker(shapes[cluster], cluster, node, index * 1_000_000, marked=marked))
        headers = {"Authorization": f"Bearer {node}:{secret}"}
        work.append(connected(task["port"], "/ws/agent/", headers, Silent(), gate))
    sockets = await asyncio.gather(*work)
    for speaker, socket in zip(speakers, sockets, strict=True):
        socket.transport.write(frame(speaker.hello()))
        socket.transport.write(frame(speaker.snapshot(time.time())))
        await asyncio.sleep(0)
    speaking = True

    async def breathe(speaker: Speaker, socket: WebSocket) -> None:
        await asyncio.sleep(random.random())
        while speaking and not socket.lost:
            socket.transport.write(frame(speaker.alive(time.time())))
            await asyncio.sleep(1)

    async def talk(speaker: Speaker, socket: WebSocket) -> None:
        due = loop.time() + random.random() / task["rate"]
        while loop.time() < ends and not socket.lost:
            await asyncio.sleep(max(0.0, due - loop.time()))
            socket.transport.write(frame(speaker.change(time.monotonic())))
            due += 1 / task["rate"]

    quiet = [asyncio.create_task(breathe(*both)) for both in zip(speakers, sockets, strict=True)]
    await line()
    count = task.get("talk", len(speakers))
    for one in quiet[:count]:
        one.cancel()
    ends = loop.time() + task["seconds"]
    await asyncio.gather(*map(talk, speakers[:count], sockets[:count]))
    again = [asyncio.create_task(breathe(*both)) for both in zip(speakers[:count], sockets[:count], strict=True)]
    await line()
    speaking = False
    for one in (*quiet, *again):
        one.cancel()
    told: dict[str, int] = {}
    for index, speaker in enumerate(speakers):
        told[speaker.cluster] = told.get(speaker.cluster, 0) + speaker.number - index * 1_000_000
    return {"told": told, "lost_connections": sorted({socket.lost for socket in sockets if socket.lost})}


class Poller(asyncio.Protocol):
    """A page that asks again; what is between two answers it learns by the second."""

    transport: asyncio.Transport

    def __init__(self, head: bytes, period_s: float) -> None:
        self._head, self._period_s = head, period_s  # of the marks
        self._answer = b""
        self.newest = -1
        self.delays: list[float] = []
        self.done: asyncio.Future[None] | None = None
        self.polls = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    async def ask(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(self._head)
        await self.done

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        size = next((int(row[15:]) for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:")), 0)
        if len(body) < size or self.done is None:
            return
        self._answer, self.polls = b"", self.polls + 1
        assert head.startswith(b"HTTP/1.1 200"), head[:200]
        self._take({int(number): float(sent) for number, sent in MARK.findall(body)}, time.monotonic())
        self.done.set_result(None)

    def _take(self, marks: dict[int, float], now: float) -> None:
        if not marks:
            return  # Nothing has changed yet.
        newest = max(marks)
        first = newest if self.newest < 0 else self.newest + 1
        self.delays += [now - marks[newest] + (newest - n) * self._period_s for n in range(first, newest + 1)]
        self.newest = max(self.newest, newest)


async def pollers(task: dict[str, Any], line: Callable[[], Any]) -> dict[str, Any]:
    """`count` of them ask for `path` every `every_s` seconds."""
    loop = asyncio.get_running_loop()
    words = [f"GET {task['path']} HTTP/1.1", f"Host: 127.0.0.1:{task['port']}", f"Cookie: {task['cookie']}", "", ""]
    head = "\r\n".join(words).encode()
    made = [await loop.create_connection(lambda: Poller(head, task["period_s"]), "127.0.0.1", task["port"])
            for _ in range(task["count"])]  # fmt: skip
    polling = True

    async def poll(one: Poller) -> None:
        await asyncio.sleep(random.random() * task["every_s"])
        while polling:
            start = loop.time()
            await one.ask()
            await asyncio.sleep(max(0.0, start + task["every_s"] - loop.time()))

    await line()
    work = [asyncio.create_task(poll(one)) for _, one in made]
    await line()
    polling = False
    for one in work:
        one.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    delays = [delay for _, one in made for delay in one.delays]
    return {**_spread(delays), "deliveries": len(delays), "polls": sum(one.polls for _, one in made)}


async def feed(task: dict[str, Any], line: Callable[[], Any]) -> dict[str, Any]:
    """For stock Channels: messages of `bytes` bytes, `rate` a second, into its feed."""
    gate, loop = asyncio.Semaphore(1), asyncio.get_running_loop()
    socket = await connected(task["port"], "/feed/", {}, Silent(), gate)
    await line()
    due, ends, number = loop.time(), loop.time() + task["seconds"], 0
    while loop.time() < ends and not socket.lost:
        await asyncio.sleep(max(0.0, due - loop.time()))
        mark = f"bench {number} {time.monotonic():.6f}"
        socket.transport.write(frame(json.dumps({"mark": mark, "fill": "x" * int(task["bytes"])}).encode()))
        number, due = number + 1, due + 1 / task["rate"]
    await line()
    return {"told": {"": number}, "lost_connections": [socket.lost] if socket.lost else []}


WHAT = {"browsers": browsers, "agents": agents, "pollers": pollers, "feed": feed}


async def main() -> None:
    task = json.loads(sys.stdin.readline())

    async def line() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        word = await asyncio.to_thread(sys.stdin.readline)
        if not word:
            os._exit(1)  # The bench is gone.

    print(json.dumps(await WHAT[sys.argv[1]](task, line)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
