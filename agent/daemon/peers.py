"""Message links to the other agents of the cluster over TCP, path by path, authenticated with the cluster key."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine
from ipaddress import ip_address

import msgspec

from agent.clpconf.model import Cluster
from agent.daemon.session import FRAME_LIMIT, Hello, LinkError, Sealer, admit, greet, read_hello
from agent.daemon.tasks import give_up
from agent.wire.peer import Message

PORT = 29002
QUEUE_FRAMES = 256
BUFFER_BYTES = 256 << 10  # of unsent data in the socket's transport; then the queue keeps the newest
GREETING_S = 5.0
_STEADY_S = 1.0  # a link that broke sooner is not renewed at once: the peer may be refusing us
LAN_HEARTBEATS = frozenset({"lanhb", "lankhb"})
_IPV6_FREEBIND = 78
_TCP_USER_TIMEOUT = 18

# Errors of a link that a network makes by itself; anything else is a bug and goes up.
_LINK_ERRORS = (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError)


class Carry(msgspec.Struct, frozen=True, tag="m", tag_field="t"):
    """A message from engine to engine."""

    message: Message


class Query(msgspec.Struct, frozen=True, tag="q", tag_field="t"):
    """A control request that another server's agent shall answer from its own view."""

    id: str
    request: msgspec.Raw


class Reply(msgspec.Struct, frozen=True, tag="a", tag_field="t"):
    """One answer line to a Query; the last one says so."""

    id: str
    line: msgspec.Raw
    last: bool


Envelope = Carry | Query | Reply


class Path(msgspec.Struct, frozen=True):
    """One way to a peer: the heartbeat resource that watches it and both addresses."""

    heartbeat: str
    local: str
    remote: str


def lan_paths(cluster: Cluster, me: str) -> dict[str, tuple[Path, ...]]:
    """peer -> its LAN paths, best first. Two heartbeats over the same device are one path."""
    own = cluster.server(me)
    found: dict[str, tuple[Path, ...]] = {}
    for peer in cluster.servers:
        paths: dict[str, Path] = {}
        for heartbeat in cluster.heartbeats:
            here, there = own.device(heartbeat.device), peer.device(heartbeat.device)
            if heartbeat.type in LAN_HEARTBEATS and here and there:
                paths.setdefault(there.info, Path(heartbeat.name, here.info, there.info))
        found[peer.name] = tuple(paths.values())
    return found


class _Link(msgspec.Struct):
    """The outgoing connection to one peer and what waits for it."""

    peer: str
    paths: tuple[Path, ...]
    down: set[str] = msgspec.field(default_factory=set)  # heartbeats in Error
    wake: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    queue: deque[bytes] = msgspec.field(default_factory=lambda: deque(maxlen=QUEUE_FRAMES))
    writer: asyncio.StreamWriter | None = None
    sealer: Sealer | None = None
    path: Path | None = None
    number: int = 0  # of the connection
    flushing: bool = False

    def ordered(self) -> list[Path]:
        """Paths that are heard first; sorted() keeps the priority order among equals."""
        return sorted(self.paths, key=lambda p: p.heartbeat in self.down)


class PeerLinks:
    """Sends and receives engine messages. Sending never waits: without a link, or when the peer does not read, the
    oldest is dropped, and the engine says it again."""

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        incarnation: int,
        key: bytes,
        *,
        receive: Callable[[str, Envelope], None],
        complain: Callable[[str, str, str], None],  # reason, peer ("" unknown), sentence
        port: int = PORT,
    ) -> None:
        self._cluster = cluster
        self._me = me
        self._incarnation = incarnation
        self._key = key
        self._receive = receive
        self._complain = complain
        self._port = port
        paths = lan_paths(cluster, me)
        self._own = [p.local for p in paths.pop(me)]
        self._addresses = {peer: {ip_address(p.remote) for p in ways} for peer, ways in paths.items()}
        self._links = {peer: _Link(peer, ways) for peer, ways in paths.items()}
        self._connect_s = min(2.0, max(0.1, cluster.timeout_s / 2))
        self._longest_pause_s = min(15.0, max(0.2, cluster.interval_s * 5))
        self._incoming: dict[str, tuple[int, asyncio.StreamWriter]] = {}
        self._gone_at = dict.fromkeys(self._links, time.monotonic())
        self._strangers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._encoder = msgspec.json.Encoder()
        self._newest: Message | None = None  # what was encoded last
        self._newest_bytes = b""
        self._decoder = msgspec.json.Decoder(Envelope)

    async def start(self) -> None:
        """Listens on the own address of every path; raises OSError naming the one whose port is taken."""
        for address in self._own:
            listener = _listener(address, self._port)
            self._servers.append(await asyncio.start_server(self._accept, sock=listener, limit=FRAME_LIMIT))
        for link in self._links.values():
            self._spawn(self._keep_linked(link))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await give_up(self._tasks)

    def send(self, peer: str, envelope: Envelope) -> bool:
        """False when it was dropped at once: nobody there."""
        link = self._links.get(peer)
        if link is None or link.writer is None:
            return False
        payload = self._encoded(envelope)
        if len(payload) > FRAME_LIMIT:
            self._complain("oversize", peer, f"A message of {len(payload)} bytes to {peer} is above {FRAME_LIMIT}.")
            return False
        if link.flushing or link.writer.transport.get_write_buffer_size() > BUFFER_BYTES:
            link.queue.append(payload)
            if not link.flushing:
                link.flushing = True
                self._spawn(self._flush(link, link.writer))
        else:
            self._write(link, payload)
        return True

    def _encoded(self, envelope: Envelope) -> bytes:
        """The engine tells one peer after the other the same."""
        if not isinstance(envelope, Carry):
            return self._encoder.encode(envelope)
        if envelope.message is not self._newest:
            self._newest, self._newest_bytes = envelope.message, self._encoder.encode(envelope)
        return self._newest_bytes

    def linked(self) -> dict[str, str]:
        """peer -> heartbeat name of the path in use."""
        return {peer: link.path.heartbeat for peer, link in self._links.items() if link.path and link.writer}

    def connection(self, peer: str) -> int:
        """Number of the connection in use, 0 without one. What went into an earlier one may be lost."""
        link = self._links.get(peer)
        return link.number if link and link.writer else 0

    def unlinked_s(self, peer: str) -> float:
        """Seconds since the peer's link to us ended, 0 while it holds."""
        return 0.0 if peer in self._incoming else time.monotonic() - self._gone_at.get(peer, 0.0)

    def heard(self, peer: str) -> None:
        """The heartbeat hears this peer: do not wait for the next try."""
        if peer in self._links:
            self._links[peer].wake.set()

    def path_changed(self, peer: str, heartbeat: str, ok: bool) -> None:
        """Leave a path that went silent when another one is heard."""
        link = self._links.get(peer)
        if link is None:
            return
        if ok:
            link.down.discard(heartbeat)
            link.wake.set()
            return
        link.down.add(heartbeat)
        healthy = any(p.heartbeat not in link.down for p in link.paths)
        if healthy and link.writer and link.path and link.path.heartbeat == heartbeat:
            link.writer.transport.abort()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _write(self, link: _Link, payload: bytes) -> None:
        assert link.writer is not None
        assert link.sealer is not None
        link.writer.write(link.sealer.seal(payload))

    async def _flush(self, link: _Link, writer: asyncio.StreamWriter) -> None:
        """Empty the queue as fast as the peer reads; the queue dies with its connection."""
        try:
            while link.queue and link.writer is writer:
                await writer.drain()
                while link.queue and link.writer is writer and writer.transport.get_write_buffer_size() <= BUFFER_BYTES:
                    self._write(link, link.queue.popleft())
        except OSError:
            link.queue.clear()
        finally:
            link.flushing = False

    # --- outgoing

    async def _keep_linked(self, link: _Link) -> None:
        pause_s = 0.05
        while True:
            link.wake.clear()
            began = time.monotonic()
            if await self._hold_link(link) and time.monotonic() - began > _STEADY_S:
                pause_s = 0.05
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await link.wake.wait()
            pause_s = min(pause_s * 2, self._longest_pause_s)

    async def _hold_link(self, link: _Link) -> bool:
        """Connect by the best path and stay until it breaks. False when no path leads there."""
        for path in link.ordered():
            try:
                reader, writer = await self._connect(path)
            except _LINK_ERRORS:
                continue
            try:
                async with asyncio.timeout(GREETING_S):
                    sealer = await greet(
                        reader, writer, key=self._key, cluster=self._cluster.name, me=self._me, peer=link.peer,
                        incarnation=self._incarnation,
                    )  # fmt: skip
                link.writer, link.sealer, link.path = writer, sealer, path
                link.number += 1
                await reader.read(1)  # Nothing comes back on this connection but its end.
                return True
            except LinkError as refusal:
                self._complain(refusal.reason, link.peer, refusal.text)
            except _LINK_ERRORS:
                if link.writer is writer:
                    return True
            finally:
                if link.writer is writer:
                    link.writer = link.sealer = link.path = None
                    link.queue.clear()
                writer.transport.abort()
        return False

    async def _connect(self, path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        family = socket.AF_INET6 if ":" in path.remote else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            _tune(sock, self._cluster.timeout_s)
            sock.bind((path.local, 0))
            try:
                async with asyncio.timeout(self._connect_s):
                    await asyncio.get_running_loop().sock_connect(sock, (path.remote, self._port))
            except TimeoutError:
                # Only the network is timed: whoever is late himself (32 servers start at once) finds the connection
                # made. Given up and tried again, it would be all that anybody has time for.
                if not _is_connected(sock):
                    raise
            return await asyncio.open_connection(sock=sock, limit=FRAME_LIMIT)
        except BaseException:
            sock.close()
            raise

    # --- incoming

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        address = str(writer.get_extra_info("peername")[0])
        peer = ""
        try:
            if self._strangers >= 2 * len(self._links) + 8:
                return  # Somebody opens connections and says nothing; the agents come again.
            _tune(writer.get_extra_info("socket"), self._cluster.timeout_s)
            self._strangers += 1
            try:
                async with asyncio.timeout(GREETING_S):
                    raw, hello = await read_hello(reader, cluster=self._cluster.name, me=self._me)
                    peer = self._check_claim(hello, address)
                    opener = await admit(
                        reader, writer, key=self._key, raw_hello=raw, hello=hello, incarnation=self._incarnation
                    )
            finally:
                self._strangers -= 1
            self._replace(hello, writer)
            while True:
                self._open(peer, await opener.read(reader))
        except LinkError as refusal:
            self._complain(refusal.reason, peer, f"{refusal.text} The connection from {address} was closed.")
        except (*_LINK_ERRORS, asyncio.CancelledError):
            # The peer, or the way to it, went, and connects again; or we close (Python 3.11 logs cancelled tasks).
            pass
        finally:
            if self._incoming.get(peer, (0, None))[1] is writer:
                del self._incoming[peer]
                self._gone_at[peer] = time.monotonic()
            writer.transport.abort()

    def _check_claim(self, hello: Hello, address: str) -> str:
        """The claimed name must be another server of this cluster, at one of the addresses that it has there."""
        if hello.sender == self._me:
            raise LinkError("double", f"Another agent calls itself {self._me}, too. Stop it, or give it its own name.")
        if hello.sender not in self._addresses:
            raise LinkError(
                "stranger", f"{hello.sender} is no server of this cluster. Copy the same clp.conf to all servers."
            )
        if ip_address(address.partition("%")[0]) not in self._addresses[hello.sender]:
            raise LinkError(
                "double",
                f"{hello.sender} called from {address}, which is none of its addresses in clp.conf. "
                "Is it a second agent of that name?",
            )
        return hello.sender

    def _replace(self, hello: Hello, writer: asyncio.StreamWriter) -> None:
        """A peer has one connection to us: the newest, of the newest incarnation."""
        incarnation, older = self._incoming.get(hello.sender, (0, None))
        if older is not None and hello.incarnation < incarnation:
            raise LinkError(
                "double",
                f"An older incarnation of {hello.sender} called while a newer one is linked. Do two of that name run?",
            )
        self._incoming[hello.sender] = (hello.incarnation, writer)
        if older is not None:
            older.transport.abort()

    def _open(self, peer: str, payload: bytes) -> None:
        try:
            envelope = self._decoder.decode(payload)
        except msgspec.DecodeError as error:
            raise LinkError(
                "decode", f"{peer} sent a message that this version does not understand: {error}."
            ) from error
        self._receive(peer, envelope)


def _listener(address: str, port: int) -> socket.socket:
    """Bound even while the address is absent (cable out, interface down at boot)."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_FREEBIND if hasattr(socket, "IP_FREEBIND") else 15, 1)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise OSError(
            error.errno,
            f"Cannot listen on {address} port {port} (TCP): {error.strerror}. Stop the program that uses it.",
        ) from error
    sock.setblocking(False)
    return sock


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _tune(sock: socket.socket, timeout_s: float) -> None:
    """A dead way is noticed within about the heartbeat timeout, with data in flight or without."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(timeout_s)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, max(100, int(timeout_s * 1000)))
