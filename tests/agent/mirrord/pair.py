"""Two mirror processes without processes: real engines and files in one loop, a pretend link and pretend devices.

The link loses what is on its way when it is dropped, the device keeps what nobody has answered, and the agents of both
sides are played by `Pair`, which carries the question whether the other side is outdated.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agent.mirrord.disk import BLOCK
from agent.mirrord.engine import Engine
from agent.mirrord.orders import Activate, Op, View, order_of
from agent.mirrord.poller import Poller
from agent.mirrord.settings import Settings

SIZE = 4 << 20
GRAIN = 64 << 10
LIMIT_S = 20.0


class Frame(NamedTuple):
    kind: int
    seq: int
    epoch: tuple[int, int]
    offset: int
    payload: memoryview
    spare: int


class Wire:
    """Both ends of a link; `cut` keeps them apart."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.ends: dict[str, End] = {}
        self.up = self.cut = False
        self.dropped: list[str] = []

    def connect(self) -> None:
        ends = list(self.ends.values())
        if self.cut or self.up or len(ends) < 2 or not all(end.ready for end in ends):
            return
        self.up = True
        said = [end.hello() for end in ends]
        for end, mine, theirs in zip(ends, said, reversed(said), strict=True):
            end.connected = True
            end.up(mine, theirs)

    def drop(self, why: str) -> None:
        if not self.up:
            return
        self.up = False
        self.dropped.append(why)
        for end in self.ends.values():
            end.inbox.clear()
            end.connected, end.parting = False, True
            self.poller.after(0.0, lambda end=end: end.tell_down(why))


class End:
    def __init__(self, wire: Wire, name: str, callbacks: dict[str, Callable[..., None]]) -> None:
        self.wire, self.name = wire, name
        self.hello, self.up = callbacks["hello"], callbacks["up"]
        self._down, self._frame = callbacks["down"], callbacks["frame"]
        self.inbox: deque[Frame] = deque()
        self.started = self.connected = self.parting = False
        self.queued = 0
        self.taken: list[int] = []
        wire.ends[name] = self

    @property
    def ready(self) -> bool:
        return self.started and not self.parting

    def start(self) -> None:
        self.started = True
        self.wire.poller.after(0.0, self.wire.connect)

    def stop(self) -> None:
        self.started = False
        self.drop("stopped")

    def drop(self, why: str) -> None:
        self.wire.drop(why)

    def flush(self) -> None:
        """Nothing waits here."""

    def tell_down(self, why: str) -> None:
        self.parting = False
        self._down(why)
        self.wire.poller.after(0.005, self.wire.connect)

    def send(self, kind, seq=0, epoch=(0, 0), offset=0, payload=b"", spare=0) -> None:
        if not self.connected:
            return
        other = next(end for end in self.wire.ends.values() if end is not self)
        other.inbox.append(Frame(kind, seq, tuple(epoch), offset, memoryview(bytes(payload)), spare))
        self.wire.poller.after(0.0, other.hear)

    def hear(self) -> None:
        if self.inbox:
            frame = self.inbox.popleft()
            self.taken.append(frame.kind)
            self._frame(frame)

    def figures(self) -> dict[str, object]:
        return {}


class Request:
    def __init__(self, unique: int, op: str, offset: int, length: int, data: bytes | None) -> None:
        self.unique, self.op, self.offset, self.length = unique, op, offset, length
        self.data = memoryview(data) if data is not None else None
        self.error: int | None = None  # None: not answered
        self.room = memoryview(bytearray(length if op == "read" else 0))

    @property
    def answered(self) -> bool:
        return self.error is not None


class Pool:
    """What the holder keeps: requests that are not answered."""

    def __init__(self) -> None:
        self.waiting: list[Request] = []
        self.count = 0


class Device:
    def __init__(self, pool: Pool, size: int) -> None:
        self.pool, self.size = pool, size
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.taken: set[int] = set()
        self.pause = lambda on: None

    def idle(self) -> None:
        pass

    def holder_gone(self) -> bool:
        return False

    def wake(self) -> None:
        os.eventfd_write(self.fd, 1)

    def requests(self) -> list[Request]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        found = [request for request in self.pool.waiting if request.unique not in self.taken]
        self.taken |= {request.unique for request in found}
        return found

    def room(self, request: Request) -> memoryview:
        return request.room

    def answer(self, request: Request, error: int = 0, data: Any = None) -> None:
        request.error = error
        self.pool.waiting.remove(request)

    def close(self) -> None:
        os.close(self.fd)


class Server:
    """One side: files that outlive its engine, the pool of its device, what it told its agent."""

    def __init__(self, pair: Pair, name: str, peer: str, size: int) -> None:
        self.pair, self.name = pair, name
        self.directory = pair.directory / name
        self.directory.mkdir()
        self.data, self.partition = self.directory / "data", self.directory / "cluster"
        for path, length in ((self.data, size), (self.partition, 1 << 20)):
            with open(path, "wb") as file:
                file.truncate(length)
        self.settings = Settings(
            mirror="md1", cluster="test", server=name, peer=peer, key="00" * 32, data=str(self.data),
            partition=str(self.partition), run=str(self.directory), boot="boot1", grain_bytes=GRAIN,
        )  # fmt: skip
        self.pool = Pool()
        self.device: Device | None = None
        self.engine: Engine | None = None
        self.events: list[dict[str, Any]] = []
        self.notes: list[str] = []

    # ---- the process ----
    def start(self, **changes: Any) -> None:
        self.settings = msgspec.structs.replace(self.settings, **changes)
        self.engine = Engine(
            self.settings, self.pair.poller, self._tell, lambda severity, text: self.notes.append(text),
            make_link=self._link, connect=self._connect,
        )  # fmt: skip
        self.engine.start()

    def kill(self) -> None:
        """As by a signal that nobody can catch: nothing is said, nothing is finished."""
        engine, self.engine = self.engine, None
        assert engine is not None
        self.pair.wire.drop("the process died")
        self.pair.wire.ends.pop(self.name)
        engine.ended = True
        engine.carry_out = lambda effects: None
        engine.saves.broken = True
        for _ in range(len(engine.saves._waiting) - 1):
            engine.saves._waiting.pop()  # Only the first one may be on its way to the disk.
        self.pair.settle_threads()
        if engine.serving.device is not None:
            self.pair.poller.unwatch(engine.serving.device.fd)
        engine.disk.close()
        engine.partition.close()
        engine.poller = _Nothing()
        engine.peer.connection += 1
        self.device = None

    def _link(self, poller: Poller, settings: Settings, **callbacks: Any) -> End:
        return End(self.pair.wire, self.name, callbacks)

    def _connect(self, path: str, limit_s: float) -> Device:
        self.device = Device(self.pool, self.engine.size)
        return self.device

    # ---- the agent ----
    def _tell(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.pair.heard(self, event)

    def order(self, order: Op | dict[str, Any]) -> None:
        if isinstance(order, dict):
            order = order_of(msgspec.json.encode(order))
        self.engine.orders.take(order)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def side(self):
        return self.engine.side

    # ---- the application ----
    def ask(self, op: str, offset: int = 0, length: int = 0, data: bytes | None = None) -> Request:
        self.pool.count += 1
        request = Request(self.pool.count, op, offset, len(data) if data is not None else length, data)
        self.pool.waiting.append(request)
        if self.device is not None:
            self.device.wake()
        return request

    def write(self, offset: int, data: bytes) -> Request:
        return self.ask("write", offset, data=data)

    def image(self) -> bytes:
        return self.data.read_bytes()


class _Nothing:
    """Of a killed process: nothing that it still wanted happens."""

    now = staticmethod(time.monotonic)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


class Pair:
    """Both sides `a` and `b`. The cluster: `epoch` counts activations."""

    def __init__(self, directory: Path, size: int = SIZE, size_b: int | None = None) -> None:
        self.directory = directory
        self.poller = Poller(2)
        self.wire = Wire(self.poller)
        self.asks = True  # the cluster carries questions
        self.epoch = 1
        self.a = Server(self, "a", "b", size)
        self.b = Server(self, "b", "a", size_b or size)

    def start(self) -> None:
        for server in (self.a, self.b):
            server.start()
            self.view(server)

    def view(self, server: Server, permitted: tuple[int, int] | None = None, since: int = 1) -> None:
        server.order(View(permitted, (since, 0)))

    def heard(self, server: Server, event: dict[str, Any]) -> None:
        other = self.b if server is self.a else self.a
        if other.engine is None or not self.asks:
            return
        if event["type"] == "ask_outdated":
            order = {"op": "outdate", "generation": event["generation"], "epoch": event["epoch"]}
        elif event["type"] == "told":
            order = {"op": "outdated", "generation": event["generation"]}
        else:
            return
        self.poller.after(0.0, lambda: other.engine and other.order(order))

    def activate(self, server: Server, *, alone: bool = False, force: bool = False) -> None:
        self.epoch += 1
        server.order(Activate(f"activate{self.epoch}", (self.epoch, 0), (1, 0), alone, force))

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, self.story()
            self.poller.turn(0.05)

    def stalled_write(self) -> Request:
        """The active side has lost the other one and asks the cluster, which says nothing."""
        self.asks = False
        self.wire.cut = True
        self.wire.drop("cut")
        request = self.a.write(0, b"n" * BLOCK)
        self.until(lambda: self.a.told("ask_outdated"))
        return request

    def settle_threads(self) -> None:
        """What a thread had begun is done to the disk; that it is done, nobody hears."""
        done: list[int] = []
        both = threading.Barrier(2)
        for number in range(2):
            self.poller.work(both.wait, lambda result, error, number=number: done.append(number))
        self.until(lambda: len(done) == 2)

    def equal(self) -> bool:
        return all(server.engine and server.side.relation == "equal" for server in (self.a, self.b))

    def story(self) -> str:
        lines = []
        for server in (self.a, self.b):
            if server.engine is not None:
                side = server.side
                lines.append(f"{server.name}: {side.mode}/{side.relation} {side.past} doubt: {side.doubt()}")
            lines += server.notes[-8:]
        return "\n".join(lines)

    def build(self) -> None:
        """Constructed, equal, active on a."""
        self.start()
        self.a.order({"op": "construct", "id": "c", "full": False})
        self.until(self.equal)
        self.activate(self.a)
        self.until(lambda: self.a.device is not None)

    def close(self) -> None:
        engines = [server.engine for server in (self.a, self.b) if server.engine is not None]
        for engine in engines:
            engine.serving.close()
        self.poller.close()
        for engine in engines:
            engine.disk.close()
            engine.partition.close()
