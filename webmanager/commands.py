"""Commands to agents: which connection takes one, and how its answer finds the way back, across processes too.

Any agent of the cluster can take a request (its engine passes it on). The request's id makes it idempotent: when the
connection breaks before the answer came, another agent is asked the same, until the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from agent.wire.peer import Answer, Request
from webmanager import frames
from webmanager.reducer import encode
from webmanager.words import no_agent, not_done_yet

if TYPE_CHECKING:
    from webmanager.hub import Hub

# How long a request waits for any agent to be connected at all (a restart of the agent, a switch of the network).
PATIENCE_S = 5.0
_RETRY_S = 0.1
_MARGIN_S = 2.0  # The agent's own deadline passes first, so that its word reaches us.

OnProgress = Callable[[str], None]


class LinkError(Exception):
    """The way to the agent broke before its answer came."""


@dataclass(slots=True, eq=False)
class Link:
    """A connected agent."""

    cluster: str
    node: str
    send: Callable[[str], Awaitable[None]]
    close: Callable[[int, str], Awaitable[None]]
    hello: frames.Hello
    pending: dict[str, _Pending] = field(default_factory=dict)


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[Answer]
    on_progress: OnProgress


class Commands:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._links: dict[tuple[str, str], Link] = {}
        self._remote: dict[tuple[str, str], str] = {}  # (cluster, node) -> channel of the hub that has it
        self._remote_pending: dict[str, tuple[str, _Pending]] = {}  # request id -> (channel, pending)
        self._changed = asyncio.Condition()

    # Who is there.

    def attach(self, link: Link) -> None:
        old = self._links.get((link.cluster, link.node))
        self._links[link.cluster, link.node] = link
        if old is not None:
            self._fail(old)
            self._hub.spawn(old.close(4409, "a newer connection of this agent took its place"))
        self._notify()

    def detach(self, link: Link) -> bool:
        """False when a newer connection has taken its place already."""
        self._fail(link)
        if self._links.get((link.cluster, link.node)) is not link:
            return False
        del self._links[link.cluster, link.node]
        return True

    def attach_remote(self, cluster: str, node: str, channel: str) -> None:
        self._remote[cluster, node] = channel
        self._notify()

    def detach_remote(self, cluster: str, node: str) -> None:
        lost = self._remote.pop((cluster, node), None)
        for channel, pending in self._remote_pending.values():
            if channel == lost and not pending.answer.done():
                pending.answer.set_exception(LinkError())

    def is_local(self, cluster: str, node: str) -> bool:
        return (cluster, node) in self._links

    def local_links(self) -> Iterable[Link]:
        return tuple(self._links.values())

    def _notify(self) -> None:
        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._hub.spawn(wake())

    @staticmethod
    def _fail(link: Link) -> None:
        for pending in link.pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(LinkError())
        link.pending.clear()

    # Asking.

    async def ask(
        self, cluster: str, request: Request, deadline_s: float, on_progress: OnProgress, node: str = ""
    ) -> Answer:
        """`node`: this agent and no other, for what each server has to do itself."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        asked = False
        while (left := end - loop.time()) > 0:
            found = await self._somebody(cluster, min(left, left if asked else PATIENCE_S), node)
            if found is None:
                break
            asked = True
            try:
                return await asyncio.wait_for(self._ask(cluster, found, request, left, on_progress), left)
            except TimeoutError:
                break
            except LinkError:
                await asyncio.sleep(_RETRY_S)
        if not asked:
            return Answer(id=request.id, code=2, reason="no_agent", text=no_agent())
        return Answer(id=request.id, code=1, reason="deadline", text=not_done_yet(deadline_s))

    async def _somebody(self, cluster: str, patience_s: float, wanted: str) -> str | None:
        """The one that is wanted, else the coordinator's agent if it is connected, else one that spoke last."""

        def there() -> list[str]:
            return [node for of, node in (*self._links, *self._remote) if of == cluster and wanted in ("", node)]

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: bool(there())), patience_s)
            except TimeoutError:
                return None
        room = self._hub.rooms[cluster]
        coordinator = room.status()["cluster"]["coordinator"]
        agents = room.reducer.agents
        heard = {node: agents[node].heard if node in agents else 0.0 for node in there()}
        if not heard:
            return None
        newest = max(heard.values())
        return max(heard, key=lambda node: (node == coordinator and newest - heard[node] < 3, heard[node]))

    async def _ask(self, cluster: str, node: str, request: Request, left_s: float, on_progress: OnProgress) -> Answer:
        pending = _Pending(asyncio.get_running_loop().create_future(), on_progress)
        if link := self._links.get((cluster, node)):
            link.pending[request.id] = pending
            try:
                await link.send(_command(request, left_s))
                return await pending.answer
            finally:
                link.pending.pop(request.id, None)
        channel = self._remote.get((cluster, node))
        if channel is None:
            raise LinkError
        self._remote_pending[request.id] = (channel, pending)
        ask = {"kind": "ask", "cluster": cluster, "node": node, "left_s": left_s, "request": encode(request)}
        try:
            if not await self._hub.bus.send(channel, ask):
                await asyncio.sleep(1)
                raise LinkError
            return await pending.answer
        finally:
            self._remote_pending.pop(request.id, None)

    def answered(self, link: Link, frame: frames.Progress | frames.Result) -> None:
        """A late or foreign answer is nobody's and is dropped."""
        if pending := link.pending.get(frame.id):
            _deliver(pending, frame)

    # For and from other processes.

    async def serve(self, channel: str, message: dict[str, Any]) -> None:
        """Another process asks an agent that is connected here."""
        request = msgspec.json.decode(message["request"], type=Request)
        cluster, node, left_s = message["cluster"], message["node"], message["left_s"]

        def progress(text: str) -> None:
            self._hub.spawn(self._tell(channel, frames.Progress(id=request.id, text=text)))

        if not self.is_local(cluster, node):
            await self._hub.bus.send(channel, {"kind": "told", "lost": request.id})
            return
        try:
            answer = await asyncio.wait_for(self._ask(cluster, node, request, left_s, progress), left_s)
            await self._tell(channel, frames.Result(id=request.id, answer=answer))
        except (LinkError, TimeoutError):
            await self._hub.bus.send(channel, {"kind": "told", "lost": request.id})

    async def _tell(self, channel: str, frame: frames.Progress | frames.Result) -> None:
        await self._hub.bus.send(channel, {"kind": "told", "frame": encode(frame)})

    def told(self, message: dict[str, Any]) -> None:
        if "lost" in message:
            _, pending = self._remote_pending.get(message["lost"], (None, None))
            if pending and not pending.answer.done():
                pending.answer.set_exception(LinkError())
            return
        frame = frames.decode(message["frame"])
        assert isinstance(frame, frames.Progress | frames.Result)
        if found := self._remote_pending.get(frame.id):
            _deliver(found[1], frame)


def _command(request: Request, left_s: float) -> str:
    deadline_s = max(1.0, left_s - _MARGIN_S)
    return encode({"type": "command", "id": request.id, "request": request, "deadline_s": round(deadline_s, 3)})


def _deliver(pending: _Pending, frame: frames.Progress | frames.Result) -> None:
    if isinstance(frame, frames.Progress):
        pending.on_progress(frame.text)
    elif not pending.answer.done():
        pending.answer.set_result(frame.answer)
