"""Answers what clpstat, clpcl, clpgrp, the manager and other agents ask of this agent, whichever way they come."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Literal
from uuid import uuid4

import msgspec

from agent.daemon.collection import Collections
from agent.daemon.configuration import Configurations
from agent.daemon.inventory import inventory_of
from agent.daemon.mirror_orders import MirrorOrders
from agent.daemon.observer import Observer
from agent.daemon.written import Written
from agent.engine.events import Asked
from agent.wire.inventory import Inventory, LiveCheck
from agent.wire.peer import Answer, Request

LINE_LIMIT = 1 << 20
LONGEST_WAIT_S = 3600.0
_KEPT_ANSWERS = 256
_WAITING_REQUESTS = 256

Line = dict[str, Any]


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line to the control socket."""

    op: Literal["status", "watch", "events", "ask", "outcome", "configuration", "logs", "alert", "mirror"]
    via: str = ""
    after: str = ""
    limit: int = 200
    request: dict[str, Any] | None = None  # of outcome only its id
    configuration: dict[str, Any] | None = None  # a step (configuration.py)
    logs: dict[str, Any] | None = None  # a step (collection.py)
    alert: dict[str, Any] | None = None  # written.py
    mirror: dict[str, Any] | None = None  # of another daemon: a question (mirror_questions.py)
    wait_s: float = 300.0


class BusyError(Exception):
    """Too many requests wait already."""


class _Waiter(msgspec.Struct):
    wake: asyncio.Event
    answers: deque[Answer] = msgspec.field(default_factory=deque)


def error_line(text: str) -> Line:
    return {"ok": False, "error": text}


def answer_fields(answer: Answer) -> Line:
    """Every field, also those that have their default."""
    line = {"id": answer.id, "code": answer.code, "reason": answer.reason, "text": answer.text}
    return {**line, "inventories": msgspec.to_builtins(answer.inventories)} if answer.inventories else line


class Console:
    """`feed` puts an event into the engine; its Reply effects come back through `reply`."""

    def __init__(self, observer: Observer, feed: Callable[[Asked], None]) -> None:
        self._observer = observer
        self._feed = feed
        self._waiting: dict[str, list[_Waiter]] = {}
        self._answered: OrderedDict[str, Answer] = OrderedDict()
        # Answers control requests for other servers; the peer links set it.
        self.forward: Callable[[str, Line, float], AsyncGenerator[Line, None]] | None = None
        # Looks at this machine; the daemon sets it.
        self.inventory: Callable[[LiveCheck], Awaitable[Inventory]] | None = None
        # What became of a request, as far as the engine knows; the daemon sets it.
        self.outcome: Callable[[str], Answer | None] = lambda key: None
        self.configurations: Configurations | None = None
        self.collections: Collections | None = None
        self.mirror_orders: MirrorOrders | None = None
        self.mirror_questions: Callable[[Line | None, str], Awaitable[Line]] | None = None
        self._written = Written(observer.journal)

    def reply(self, answer: Answer) -> None:
        """The engine answers; code 1 is a word on the way, all others are final."""
        if answer.code != 1:
            self._answered[answer.id] = answer
            while len(self._answered) > _KEPT_ANSWERS:
                self._answered.popitem(last=False)
        for waiter in self._waiting.get(answer.id, ()):
            waiter.answers.append(answer)
            waiter.wake.set()

    def parse(self, raw: bytes) -> ControlRequest | Line:
        """The request, or the line that says what is wrong with it."""
        try:
            return msgspec.json.decode(raw, type=ControlRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return error_line(f'This is no request: {error}. Send one JSON object a line, such as {{"op":"status"}}.')

    async def answer(self, asked: ControlRequest, by: str) -> AsyncGenerator[Line, None]:
        """All answer lines to one request. `by` says who asks when the request does not."""
        if asked.via and asked.via != self._observer.me:
            async for line in self._forwarded(asked):
                yield line
            return
        if asked.op == "status":
            yield {"ok": True, "status": self._observer.status()}
        elif asked.op == "events":
            yield self._events(asked)
        elif asked.op == "watch":
            async for line in self._watch():
                yield line
        elif asked.op == "outcome":
            yield self._outcome(asked)
        elif asked.op == "configuration":
            yield await self._configuration(asked, by)
        elif asked.op == "logs":
            yield await self.collections.answer(asked.logs) if self.collections else error_line("No logs here.")
        elif asked.op == "mirror":
            questions = self.mirror_questions
            yield await questions(asked.mirror, by) if questions else error_line("There are no mirror disks here.")
        elif asked.op == "alert":
            yield self._written.answer(asked.alert)
        else:
            async for line in self._ask(asked, by):
                yield line

    async def _forwarded(self, asked: ControlRequest) -> AsyncGenerator[Line, None]:
        if asked.via not in self._observer.cluster.server_names:
            names = ", ".join(self._observer.cluster.server_names)
            yield error_line(f"There is no server {asked.via}; this cluster has {names}.")
        elif asked.op == "watch":
            yield error_line('"watch" works on this server only; ask for "status" via another one.')
        elif self.forward is None:
            yield error_line(f"{self._observer.me} has no link to {asked.via}.")
        else:
            request = {k: v for k, v in msgspec.to_builtins(asked).items() if k != "via" and v is not None}
            async for line in self.forward(asked.via, request, asked.wait_s):
                yield line

    def _events(self, asked: ControlRequest) -> Line:
        limit = max(1, min(asked.limit, 1000))
        notes = self._observer.journal.after(asked.after, limit)
        return {"ok": True, "notes": [msgspec.to_builtins(note) for note in notes]}

    def _outcome(self, asked: ControlRequest) -> Line:
        """Asks for nothing. `answer` null: this agent has never heard of that request, or not since it began."""
        key = str((asked.request or {}).get("id", ""))
        known = self._answered.get(key) or self.outcome(key)
        if known is None and key in self._waiting:
            known = Answer(id=key, code=1, reason="under_way")
        return {"ok": True, "outcome": {"answer": answer_fields(known) if known else None}}

    async def _configuration(self, asked: ControlRequest, by: str) -> Line:
        if self.configurations is None:
            return error_line(f"{self._observer.me} takes no configurations.")
        return await self.configurations.answer(asked.configuration, by)

    async def _watch(self) -> AsyncGenerator[Line, None]:
        with self._observer.subscribed() as changed:
            while True:
                changed.clear()
                yield {"ok": True, "status": self._observer.status()}
                await changed.wait()

    async def _ask(self, asked: ControlRequest, by: str) -> AsyncGenerator[Line, None]:
        try:
            request = msgspec.convert({"id": uuid4().hex, **(asked.request or {})}, Request)
        except (msgspec.ValidationError, TypeError) as error:
            yield error_line(f"The request is not right: {error}.")
            return
        request = msgspec.structs.replace(request, origin=self._observer.me, by=request.by or by)
        try:
            async for step in self.ask(request, max(0.0, min(asked.wait_s, LONGEST_WAIT_S))):
                if isinstance(step, str):
                    yield {"progress": step}
                else:
                    yield {"ok": step.code == 0, "answer": answer_fields(step)}
        except BusyError as error:
            yield error_line(str(error))

    async def ask(self, request: Request, wait_s: float) -> AsyncGenerator[str | Answer, None]:
        """Progress sentences, then one answer. The same id asked again gets the same answer and acts once."""
        if request.op == "inventory":
            # No wish to the engine: it is answered beside it, as a status is.
            yield await inventory_of(request, self._observer, self.inventory, self.forward, wait_s)
            return
        if request.op.startswith("mirror_"):
            yield await self._mirror_order(request, wait_s)
            return
        if request.op == "server_start" and self.configurations is not None and self.configurations.switching:
            text = f"{self._observer.me} is taking a new configuration. Start the service when that is done."
            yield Answer(id=request.id, code=2, reason="configuration_switching", text=text)
            return
        known = self._answered.get(request.id)
        if known is not None:
            yield known
            return
        if len(self._waiting) >= _WAITING_REQUESTS:
            raise BusyError(f"{_WAITING_REQUESTS} requests are waiting for their result already. Try again later.")
        with self._observer.subscribed() as wake:
            waiter = _Waiter(wake)
            others = self._waiting.setdefault(request.id, [])
            others.append(waiter)
            try:
                async for step in self._follow(request, waiter, wait_s, first=len(others) == 1):
                    yield step
            finally:
                others.remove(waiter)
                if not others:
                    del self._waiting[request.id]

    async def _mirror_order(self, request: Request, wait_s: float) -> Answer:
        if self.mirror_orders is None:
            text = f"{self._observer.me} keeps no mirror disks."
            return Answer(id=request.id, code=2, reason="unknown_mirror", text=text)
        self.mirror_orders.sides = lambda name: self._observer.status()["mirrors"].get(name, {}).get("servers", {})
        answer = await self.mirror_orders.answer(request, self.forward, wait_s)
        self.reply(answer)
        return answer

    async def _follow(
        self, request: Request, waiter: _Waiter, wait_s: float, *, first: bool
    ) -> AsyncGenerator[str | Answer, None]:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        shown = self._progress(request)
        if first:
            self._feed(Asked(request=request))
        while True:
            waiter.wake.clear()
            while waiter.answers:
                answer = waiter.answers.popleft()
                if answer.code != 1:
                    yield answer
                    return
                if answer.text:
                    yield answer.text
            lines = self._progress(request)
            for line in lines:
                if line not in shown:
                    yield line
            shown = lines
            try:
                async with asyncio.timeout(max(0.0, end - loop.time())):
                    await waiter.wake.wait()
            except TimeoutError:
                text = f"Not done within {wait_s:g} s; it goes on."
                yield Answer(id=request.id, code=1, reason="not_done_yet", text=text)
                return

    def _progress(self, request: Request) -> list[str]:
        """Where the thing that was asked for stands, on each server that says something of it."""
        lines = []
        for server, report in sorted(self._observer.reports().items()):
            if request.op.startswith("group_"):
                group = report.groups.get(request.target)
                if group is not None and group.state != "Offline":
                    lines.append(f"{request.target}: {group.state} on {server}")
            elif request.op.startswith("cluster_") or server == request.target:
                lines.append(f"{server}: service {report.service}")
        return lines
