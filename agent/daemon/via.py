"""Control requests that one agent answers for another ("via" of the control socket), over the peer link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from uuid import uuid4

import msgspec

from agent.daemon.console import Console, ControlRequest, Line, error_line
from agent.daemon.peers import PeerLinks, Query, Reply
from agent.daemon.session import FRAME_LIMIT
from agent.daemon.tasks import give_up

ANSWER_S = 5.0
LINK_S = 5.0  # for a link to come about: that server, or the way to it, may just have come up
MOST_QUERIES = 32  # at a time, of all peers together
_LOOK_S = 0.1
_RESEND_S = 0.5
_MOST_LINES = 1000  # waiting to be taken by one client


class Via:
    """Asks peers on behalf of our clients, and answers theirs."""

    def __init__(self, me: str, links: PeerLinks, console: Console) -> None:
        self._me = me
        self._links = links
        self._console = console
        self._asked: dict[str, tuple[str, asyncio.Queue[Reply]]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def forward(self, server: str, request: Line, wait_s: float) -> AsyncGenerator[Line, None]:
        """All answer lines of the other agent, or one line that says why there are none."""
        key = uuid4().hex
        queue: asyncio.Queue[Reply] = asyncio.Queue(_MOST_LINES)
        self._asked[key] = (server, queue)
        limit_s = ANSWER_S + (wait_s if request["op"] in ("ask", "configuration") else 0.0)
        if request.get("request") is not None:
            # Asked again over a new connection, it is still the same and acts once.
            request = {**request, "request": {"id": key, **request["request"]}}
        query = Query(key, msgspec.Raw(msgspec.json.encode(request)))
        try:
            if not await self._send_query(server, query):
                yield error_line(
                    f"There is no link from {self._me} to the agent on {server}. If that server is up, run the command "
                    "there."
                )
                return
            async with asyncio.timeout(limit_s):
                while True:
                    reply = await self._next(queue, server, query)
                    yield msgspec.json.decode(reply.line)
                    if reply.last:
                        return
        except TimeoutError:
            yield error_line(f"The agent on {server} did not answer within {limit_s:g} s.")
        finally:
            del self._asked[key]

    async def _send_query(self, server: str, query: Query) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + LINK_S
        while not self._links.send(server, query):
            if loop.time() >= end:
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    async def _next(self, queue: asyncio.Queue[Reply], server: str, query: Query) -> Reply:
        """The next reply; what that server may have lost with its connection is asked again over the next one."""
        asked_over = self._links.connection(server)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESEND_S):
                    return await queue.get()
            connection = self._links.connection(server)
            if connection not in (0, asked_over):
                asked_over = connection
                self._links.send(server, query)

    def replied(self, peer: str, reply: Reply) -> None:
        server, queue = self._asked.get(reply.id, ("", None))
        if server == peer and queue is not None:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(reply)

    def queried(self, peer: str, query: Query) -> None:
        if len(self._answering) >= MOST_QUERIES:
            self._send(peer, query.id, error_line(f"{self._me} is busy with {MOST_QUERIES} questions."), last=True)
            return
        task = asyncio.get_running_loop().create_task(self._answer(peer, query))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def close(self) -> None:
        await give_up(self._answering)

    async def _answer(self, peer: str, query: Query) -> None:
        request = self._console.parse(bytes(query.request))
        if not isinstance(request, ControlRequest):
            self._send(peer, query.id, request, last=True)
        elif request.op == "watch" or request.via:
            self._send(peer, query.id, error_line("Only one server's own answer can be asked for."), last=True)
        else:
            ended = False
            async with contextlib.aclosing(self._console.answer(request, f"agent@{peer}")) as lines:
                async for line in lines:
                    ended = "progress" not in line
                    self._send(peer, query.id, line, last=ended)
            if not ended:
                self._send(peer, query.id, error_line(f"{self._me} has no answer."), last=True)

    def _send(self, peer: str, key: str, line: Line, *, last: bool) -> None:
        raw = msgspec.json.encode(line)
        if len(raw) > FRAME_LIMIT - 1024:
            raw = msgspec.json.encode(error_line(f"The answer of {self._me} is too long for the link; ask there."))
        self._links.send(peer, Reply(key, msgspec.Raw(raw), last))
