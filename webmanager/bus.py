"""Between the manager's processes: each hub's frames, in batches, through the channel layer.

Rules of this file
- Every hub says each second that it lives, and which batch was its newest. One that hears a new hub, or misses a
  batch, asks it for its state; so a lost message costs a second, never the truth.
- Nothing but that sign of life is sent while a hub is alone.
- A hub that is silent for SILENCE_S is gone, and its agents with it.
- An agent that comes back may land in another process while its old connection still looks alive: the newer one counts,
  and the process of the older one closes it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from channels.layers import get_channel_layer

from webmanager import frames
from webmanager.reducer import encode

if TYPE_CHECKING:
    from webmanager.hub import Hub

log = logging.getLogger(__name__)

GROUP = "hubs"
BATCH_S = 0.02
SILENCE_S = 5.0
_OUTBOX_LIMIT = 10_000
_EVENTS_OF_STATE = 200  # of each cluster; what is older is in the database


@dataclass(slots=True)
class Peer:
    """Another process's hub."""

    channel: str
    heard: float
    number: int | None = None  # of its newest batch that we have taken; None: its state has been asked for
    asked: float = 0.0
    nodes: set[tuple[str, str]] = field(default_factory=set)


class Bus:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._outbox: list[Any] = []
        self._wake = asyncio.Event()
        self._number = 0
        self._sign_due = True
        self.channel = ""
        self.peers: dict[str, Peer] = {}
        self.problem = ""
        self._refused: set[tuple[str, str]] = set()  # agents of others whose connection here is the newer one

    # Sending.

    def put(self, item: list[Any]) -> None:
        """item: [kind, cluster, node, text]; sent within BATCH_S when somebody listens."""
        if self.peers:
            self._outbox.append(item)
            self._wake.set()

    def tick(self) -> None:
        """Each second: say that we live; forget who does not."""
        self._sign_due = True
        self._wake.set()
        now = asyncio.get_running_loop().time()
        for name, peer in tuple(self.peers.items()):
            if now - peer.heard > SILENCE_S:
                del self.peers[name]
                self._hub.commands.silent(peer.channel)
                self._drop(peer, peer.nodes)

    def came(self, cluster: str, node: str) -> None:
        """An agent is connected here: what other processes had of it ends."""
        for peer in self.peers.values():
            peer.nodes.discard((cluster, node))

    def left(self, cluster: str, node: str) -> None:
        """Another process may have it, by a connection that we took for the older one: clocks of machines differ."""
        if (cluster, node) in self._refused:
            self._refused.discard((cluster, node))
            for peer in self.peers.values():
                peer.number = None  # Its state is asked for.

    def _drop(self, peer: Peer, nodes: set[tuple[str, str]]) -> None:
        for cluster, node in nodes:
            there = self._hub.commands.detach_remote(cluster, node, peer.channel)
            if there and not self._hub.commands.is_local(cluster, node):
                self._hub.lost(cluster, node)

    async def flush(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(BATCH_S)
            self._wake.clear()
            items, self._outbox = self._outbox[-_OUTBOX_LIMIT:], []
            if not self.channel or not (items or self._sign_due):
                continue
            self._number += bool(items)
            self._sign_due = False
            await self._send_group({"items": items, "number": self._number})

    async def _send_group(self, message: dict[str, Any]) -> None:
        await self._send(None, {**message, "kind": "batch"})

    async def send(self, channel: str, message: dict[str, Any]) -> bool:
        """To one hub; False when the way is broken just now."""
        return await self._send(channel, message)

    async def _send(self, channel: str | None, message: dict[str, Any]) -> bool:
        layer = get_channel_layer()
        full = {"type": "hub", "from": self._hub.id, "channel": self.channel, **message}
        try:
            await (layer.group_send(GROUP, full) if channel is None else layer.send(channel, full))
        except OSError as error:
            self._trouble(error)
            return False
        except Exception as error:  # redis-py's own errors share no base class with OSError.
            self._trouble(error)
            return False
        self.problem = ""
        return True

    def _trouble(self, error: Exception) -> None:
        if not self.problem:
            log.warning("the message server (REDIS_URL) does not answer: %s", error)
        self.problem = str(error) or type(error).__name__

    # Receiving.

    async def run(self) -> None:
        layer = get_channel_layer()
        while True:
            try:
                self.channel = await layer.new_channel()
                await layer.group_add(GROUP, self.channel)
                while True:
                    await self._taken(await layer.receive(self.channel))
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._trouble(error)
                await asyncio.sleep(1)

    async def _taken(self, message: dict[str, Any]) -> None:
        try:
            await self._receive(message)
        except Exception:  # Of one message; those that follow bring the truth again.
            log.exception("a message of another process cannot be taken")
            if peer := self.peers.get(message.get("from", "")):
                peer.number = None

    async def _receive(self, message: dict[str, Any]) -> None:
        if message["from"] == self._hub.id:
            return
        if message["kind"] == "recheck":  # Of a process that may have no hub.
            from webmanager.accounts import revocation

            self._hub.spawn(revocation.heard(self._hub, message))
            return
        if message["kind"] in ("seek", "errand"):  # Of a process that has none.
            self._hub.spawn(self._hub.commands.errand(message))
            return
        now = asyncio.get_running_loop().time()
        peer = self.peers.setdefault(message["from"], Peer(message["channel"], now))
        peer.heard, peer.channel = now, message["channel"]
        match message["kind"]:
            case "batch":
                await self._batch(peer, message, now)
            case "want":
                await self.send(peer.channel, {"kind": "state", "number": self._number, "items": self._state()})
            case "state":
                await self._replace(peer, message)
            case "ask":
                self._hub.spawn(self._hub.commands.serve(peer.channel, message))
            case "told":
                self._hub.commands.told(message)

    async def _batch(self, peer: Peer, message: dict[str, Any], now: float) -> None:
        for kind, cluster, *rest in message["items"]:
            if kind == "browser":  # Part of no state: it would not come again after a gap.
                self._hub.tell(cluster, rest[0])
        due = None if peer.number is None else peer.number + bool(message["items"])
        if due != message["number"]:
            peer.number = None
            if now - peer.asked > 1:
                peer.asked = now
                await self.send(peer.channel, {"kind": "want"})
            return
        peer.number = message["number"]
        for item in message["items"]:
            await self._take(peer, item)

    async def _replace(self, peer: Peer, message: dict[str, Any]) -> None:
        before, peer.nodes = peer.nodes, set()
        for item in message["items"]:
            await self._take(peer, item)
        peer.number = message["number"]
        self._drop(peer, before - peer.nodes)

    async def _take(self, peer: Peer, item: list[Any]) -> None:
        kind, cluster, *rest = item
        if kind == "browser":
            return
        node = rest[0]
        if kind == "events":
            self._hub.room(cluster).recall(rest[1])
        elif kind == "hello":
            hello = frames.decode(rest[1])
            assert isinstance(hello, frames.Hello)
            if not self._hub.commands.attach_remote(cluster, node, peer.channel, rest[2]):
                self._refused.add((cluster, node))
                return  # Its connection over there is the older one; that process is told by our own hello.
            self.came(cluster, node)
            peer.nodes.add((cluster, node))
            await self._hub.admit(cluster, node, hello.config_hash, base64.b64decode(hello.config))
        elif kind == "gone":
            peer.nodes.discard((cluster, node))
            self._drop(peer, {(cluster, node)})
        elif (cluster, node) in peer.nodes:
            try:
                self._hub.take(cluster, node, frames.decode(rest[1]), *rest[2:])
            except frames.FrameError as error:
                log.warning("%s of %s through another process: %s", node, cluster, error)
                peer.number = None

    def _state(self) -> list[Any]:
        """What our own agents have told, as items that make another hub know the same."""
        now, items = asyncio.get_running_loop().time(), []
        for link in self._hub.commands.local_links():
            room = self._hub.rooms[link.cluster]
            items.append(["hello", link.cluster, link.node, encode(link.hello), link.at])
            if snapshot := room.reducer.snapshot_of(link.node, now):
                items.append(["frame", link.cluster, link.node, encode(snapshot)])
        for cluster in {link.cluster for link in self._hub.commands.local_links()}:
            items.append(["events", cluster, "", self._hub.rooms[cluster].reducer.events[-_EVENTS_OF_STATE:]])
        return items
