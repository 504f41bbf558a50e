"""Commands to agents: which connection takes one, and how its answer finds the way back, across processes too.

Any agent of the cluster can take a request (its engine passes it on), and a step of a delivery or a question (it hands
it on to the server that is meant). The request's id makes it idempotent, and steps and questions may be repeated: when
the connection breaks before the answer came, another agent is asked the same, until the deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.wire.peer import Answer, Request
from webmanager import frames
from webmanager.reducer import encode
from webmanager.words import no_agent, no_answer, not_done_yet

if TYPE_CHECKING:
    from webmanager.hub import Hub

# How long a request waits for any agent to be connected at all (a restart of the agent, a switch of the network).
PATIENCE_S = 5.0
_RETRY_S = 0.1
_REPLACED = (4409, "a newer connection of this agent took its place")
_MARGIN_S = 2.0  # The agent's own deadline passes first, so that its word reaches us.

OnProgress = Callable[[str], None]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a delivery (agent/daemon/configuration.py), for the agent of `via`."""

    id: str
    via: str
    configuration: dict[str, Any]
    by: str = ""


class Consult(msgspec.Struct, frozen=True, kw_only=True):
    """A question that changes nothing, for the agent of `via`: a step of a log collection (agent/daemon/collection.py)
    or what became of a request."""

    id: str
    via: str
    op: Literal["logs", "outcome"]
    body: dict[str, Any]
    by: str = ""


Question = Request | Step | Consult
Found = Answer | frames.ConfigurationResult | frames.Consulted
_KINDS: dict[str, type[Any]] = {"request": Request, "step": Step, "consult": Consult}  # between processes


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
    right: tuple[int, str] | None = None  # its row and the hash of its secret, as they were at the handshake
    pending: dict[str, _Pending] = field(default_factory=dict)
    at: float = field(default_factory=time.time)  # since when it is connected


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[Any]  # Found
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
        self._remote.pop((link.cluster, link.node), None)
        if old is not None:
            self._fail(old)
            self._hub.spawn(old.close(*_REPLACED))
        self._notify()

    def detach(self, link: Link) -> bool:
        """False when a newer connection has taken its place already."""
        self._fail(link)
        if self._links.get((link.cluster, link.node)) is not link:
            return False
        del self._links[link.cluster, link.node]
        return True

    def attach_remote(self, cluster: str, node: str, channel: str, at: float) -> bool:
        """An agent of another process, connected there since `at`. False: it is here, and that for less long."""
        own = self._links.get((cluster, node))
        if own is not None:
            if own.at >= at:
                return False
            del self._links[cluster, node]
            self._fail(own)
            self._hub.spawn(own.close(*_REPLACED))
        self._remote[cluster, node] = channel
        self._notify()
        return True

    def detach_remote(self, cluster: str, node: str, channel: str) -> bool:
        """False when it is elsewhere meanwhile."""
        if self._remote.get((cluster, node)) != channel:
            return False
        del self._remote[cluster, node]
        self.silent(channel)
        return True

    def silent(self, channel: str) -> None:
        """What that process was asked gets no answer any more."""
        for its, pending in self._remote_pending.values():
            if its == channel and not pending.answer.done():
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
        self, cluster: str, request: Request, deadline_s: float, on_progress: OnProgress, node: str = "", *,
        once: bool = False,
    ) -> Answer:  # fmt: skip
        """`node`: this agent and no other, for what each server has to do itself. `once`: not again when the way to the
        agent breaks."""
        found, asked = await self._until_answered(cluster, request, deadline_s, on_progress, node, "", once=once)
        if isinstance(found, Answer):
            return found
        if not asked:
            return Answer(id=request.id, code=2, reason="no_agent", text=no_agent())
        return Answer(id=request.id, code=1, reason="deadline", text=not_done_yet(deadline_s))

    async def step(self, cluster: str, step: Step, deadline_s: float) -> frames.ConfigurationResult:
        """The server's own agent is asked when it is connected, else another one for it."""
        found, asked = await self._until_answered(cluster, step, deadline_s, lambda text: None, "", step.via)
        if isinstance(found, frames.ConfigurationResult):
            return found
        reason, text = ("deadline", no_answer(step.via, deadline_s)) if asked else ("no_agent", no_agent())
        return frames.ConfigurationResult(id=step.id, ok=False, error=text, reason=reason)

    async def consult(self, cluster: str, question: Consult, deadline_s: float) -> frames.Consulted:
        """Like step: nothing is changed, so that it may be asked again."""
        found, asked = await self._until_answered(cluster, question, deadline_s, lambda text: None, "", question.via)
        if isinstance(found, frames.Consulted):
            return found
        reason, text = ("deadline", no_answer(question.via, deadline_s)) if asked else ("no_agent", no_agent())
        return frames.Consulted(id=question.id, ok=False, error=text, reason=reason)

    async def _until_answered(
        self, cluster: str, question: Question, deadline_s: float, on_progress: OnProgress, wanted: str, better: str, *,
        once: bool = False,
    ) -> tuple[Found | None, bool]:  # fmt: skip
        """(answer, whether anybody could be asked at all)."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        asked = False
        while (left := end - loop.time()) > 0:
            node = await self._somebody(cluster, min(left, left if asked else PATIENCE_S), wanted, better)
            if node is None:
                break
            asked = True
            try:
                return await asyncio.wait_for(self._ask(cluster, node, question, left, on_progress), left), True
            except TimeoutError:
                break
            except LinkError:
                if once:
                    return Answer(id=question.id, code=1, reason="link_lost"), True
                await asyncio.sleep(_RETRY_S)
        return None, asked

    async def _somebody(self, cluster: str, patience_s: float, wanted: str, better: str) -> str | None:
        """The one that is wanted, else the `better` one or the coordinator's agent if it is connected, else one that
        spoke last."""

        def there() -> list[str]:
            return [node for of, node in (*self._links, *self._remote) if of == cluster and wanted in ("", node)]

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: bool(there())), patience_s)
            except TimeoutError:
                return None
        room = self._hub.rooms[cluster]
        best = better or room.status()["cluster"]["coordinator"]
        agents = room.reducer.agents
        heard = {node: agents[node].heard if node in agents else 0.0 for node in there()}
        if not heard:
            return None
        newest = max(heard.values())
        return max(heard, key=lambda node: (node == best and newest - heard[node] < 3, heard[node]))

    async def _ask(self, cluster: str, node: str, question: Question, left_s: float, on_progress: OnProgress) -> Found:
        pending = _Pending(asyncio.get_running_loop().create_future(), on_progress)
        if link := self._links.get((cluster, node)):
            link.pending[question.id] = pending
            try:
                await link.send(_order(question, left_s))
                found: Found = await pending.answer
                return found
            finally:
                link.pending.pop(question.id, None)
        channel = self._remote.get((cluster, node))
        if channel is None:
            raise LinkError
        self._remote_pending[question.id] = (channel, pending)
        kind = next(kind for kind, made in _KINDS.items() if isinstance(question, made))
        ask = {"kind": "ask", "cluster": cluster, "node": node, "left_s": left_s, kind: encode(question)}
        try:
            if not await self._hub.bus.send(channel, ask):
                await asyncio.sleep(1)
                raise LinkError
            found = await pending.answer
            return found
        finally:
            self._remote_pending.pop(question.id, None)

    def answered(self, link: Link, frame: frames.Told) -> None:
        """A late or foreign answer is nobody's and is dropped."""
        if pending := link.pending.get(frame.id):
            _deliver(pending, frame)

    # For and from other processes.

    async def serve(self, channel: str, message: dict[str, Any]) -> None:
        """Another process asks an agent that is connected here."""
        kind = next(kind for kind in _KINDS if kind in message)
        request: Question = msgspec.json.decode(message[kind], type=_KINDS[kind])
        cluster, node, left_s = message["cluster"], message["node"], message["left_s"]

        def progress(text: str) -> None:
            self._hub.spawn(self._tell(channel, frames.Progress(id=request.id, text=text)))

        if not self.is_local(cluster, node):
            await self._hub.bus.send(channel, {"kind": "told", "lost": request.id})
            return
        try:
            found = await asyncio.wait_for(self._ask(cluster, node, request, left_s, progress), left_s)
            told = frames.Result(id=request.id, answer=found) if isinstance(found, Answer) else found
            await self._tell(channel, told)
        except (LinkError, TimeoutError):
            await self._hub.bus.send(channel, {"kind": "told", "lost": request.id})

    async def errand(self, message: dict[str, Any]) -> None:
        """A process without a hub (webmanager/errands.py) wants to know who is there, or has a question."""
        channel = message["channel"]
        if message["kind"] == "seek":
            await self._hub.bus.send(channel, {"kind": "here"})
            return
        question = msgspec.json.decode(message["consult"], type=Consult)
        await self._tell(channel, await self.consult(message["cluster"], question, message["left_s"]))

    async def _tell(self, channel: str, frame: frames.Told) -> None:
        await self._hub.bus.send(channel, {"kind": "told", "frame": encode(frame)})

    def told(self, message: dict[str, Any]) -> None:
        if "lost" in message:
            _, pending = self._remote_pending.get(message["lost"], (None, None))
            if pending and not pending.answer.done():
                pending.answer.set_exception(LinkError())
            return
        frame = frames.decode(message["frame"])
        assert isinstance(frame, frames.Told)
        if found := self._remote_pending.get(frame.id):
            _deliver(found[1], frame)


def _order(question: Question, left_s: float) -> str:
    order: dict[str, Any] = {"id": question.id, "deadline_s": round(max(1.0, left_s - _MARGIN_S), 3)}
    if isinstance(question, Step):
        more = {"configuration": question.configuration, "via": question.via, "by": question.by}
        return encode({"type": "configuration", **order, **more})
    if isinstance(question, Consult):
        more = {"op": question.op, "body": question.body, "via": question.via, "by": question.by}
        return encode({"type": "consult", **order, **more})
    return encode({"type": "command", **order, "request": question})


def _deliver(pending: _Pending, frame: frames.Told) -> None:
    if isinstance(frame, frames.Progress):
        pending.on_progress(frame.text)
    elif not pending.answer.done():
        pending.answer.set_result(frame.answer if isinstance(frame, frames.Result) else frame)
