"""Carries out what operators ask of a mirror disk (op "mirror_..."), beside the engine: nothing of the cluster moves.

Rules of this file
- The server that is named carries it out: its daemon tells its own mirror process. Any agent takes the request and
  hands it on to that server's daemon.
- A forced recovery is decided where the data shall stay, by what both sides say at that moment
  (`agent.wire.mirror.plan_of_force`): the own mirror process over its socket, the other one in its server's report, if
  that is heard. So nothing is forced over what is active there, also when only the mirror connect is cut. The other
  server's daemon is asked to give its own up.
- An id is carried out once; asked again, its answer is repeated.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from agent.wire.mirror import SENTENCES, MirrorState, Plan, plan_of_force, size_text, told
from agent.wire.peer import Answer, Request

_KEPT = 256
_LEAST_S, _LONGEST_S = 1.0, 3600.0

Side = Mapping[str, Any] | None
Sides = Callable[[str], Mapping[str, Side]]  # mirror -> server -> its side as the cluster shows it, None: not heard
Forward = Callable[[str, dict[str, Any], float], AsyncGenerator[dict[str, Any], None]]
# Of a request's op: what the mirror process is told, and what is said when it is done.
_SIMPLE = {
    "mirror_break": ("break", "{name} stays apart on {me} until it is told to join."),
    "mirror_join": ("join", "{name} joins again on {me}: what differs is copied."),
    "mirror_discard": ("discard", "{me} gives up what it has alone of {name}."),
    "mirror_verify": ("verify", "Both disks of {name} are compared; clpmdstat -m {name} tells what is found."),
    "mirror_verify_stop": ("verify_stop", "The comparison of {name} ends."),
}


class MirrorRefusedError(Exception):
    """The mirror process, or the agent before it, will not: the text is a sentence for the operator."""


class Mirror(Protocol):
    """One md resource on this server, as the daemon keeps it."""

    name: str
    peer: str

    @property
    def state(self) -> MirrorState | None:
        """The newest word of its mirror process; None: it does not run."""

    async def order(self, op: str, **fields: Any) -> None:
        """Tells the mirror process `{"op": op, ...}` with an id and waits for its "done". Raises MirrorRefusedError."""

    async def activate(self, *, force: bool, mount: bool) -> None:
        """By hand, outside of its group: activated, attached, and mounted if wanted. Raises MirrorRefusedError."""

    async def deactivate(self) -> None:
        """The other way; also of what is active without being attached. Raises MirrorRefusedError."""

    async def take_over(self) -> None:
        """By force: its own data is the newest, durably; not active afterwards. Raises MirrorRefusedError."""


class MirrorOrders:
    """`mirrors`: those of this server by name; may change with the configuration. `sides`: the daemon sets it.
    `backups` carries out what mirror_backup.py has."""

    def __init__(
        self,
        me: str,
        mirrors: Callable[[], Mapping[str, Mirror]],
        servers: Callable[[], tuple[str, ...]],
        backups: Callable[[Any, Request, Mapping[str, Side]], Awaitable[str]] | None = None,
    ) -> None:
        self._backups = backups
        self._me = me
        self._mirrors = mirrors
        self._servers = servers
        self.sides: Sides = lambda name: {}
        self._answers: OrderedDict[str, asyncio.Task[Answer]] = OrderedDict()

    async def answer(self, request: Request, forward: Forward | None, wait_s: float) -> Answer:
        """The same id asked again gets the same answer."""
        known = self._answers.get(request.id)
        if known is None:
            known = asyncio.get_running_loop().create_task(self._carry_out(request, forward, wait_s))
            self._answers[request.id] = known
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.shield(known)
        except TimeoutError:
            text = f"Not done within {wait_s:g} s; it goes on."
            return Answer(id=request.id, code=1, reason="not_done_yet", text=text)

    async def _carry_out(self, request: Request, forward: Forward | None, wait_s: float) -> Answer:
        limit_s = max(_LEAST_S, min(wait_s, _LONGEST_S))
        server = request.server or self._me
        if server not in (known := self._servers()):
            return _refused(request, "unknown_server", f"There is no server {server}; known: {', '.join(known)}.")
        if server != self._me:
            return await self._handed_on(server, request, forward, limit_s)
        mirror = self._mirrors().get(request.target)
        if mirror is None:
            names = ", ".join(self._mirrors()) or "none"
            text = (
                f"No mirror process of {request.target} runs on {self._me} (running: {names}). If the cluster service "
                f"is stopped there, start it first: clpcl -s -h {self._me}."
            )
            return _refused(request, "unknown_mirror", text)
        try:
            async with asyncio.timeout(limit_s):
                return await self._here(mirror, request, forward, limit_s)
        except MirrorRefusedError as error:
            return _refused(request, "mirror_refuses", str(error))
        except TimeoutError:
            text = f"The mirror process of {mirror.name} on {self._me} did not answer within {limit_s:g} s."
            return Answer(id=request.id, code=3, reason="no_answer", text=text)

    async def _here(self, mirror: Mirror, request: Request, forward: Forward | None, limit_s: float) -> Answer:
        if request.op == "mirror_join" and mirror.state is not None and mirror.state.separated_at:
            # It may be mounted for somebody who reads it.
            request = msgspec.structs.replace(request, op="mirror_backup_end")
        if request.op.startswith(("mirror_backup_", "mirror_restore_")) and self._backups is not None:
            text = await self._backups(mirror, request, self._both(mirror))
            return Answer(id=request.id, code=0, text=text)
        if request.op == "mirror_force":
            return await self._force(mirror, request, forward, limit_s)
        if request.op == "mirror_activate":
            other = self._both(mirror)[mirror.peer]
            if request.force and other is not None and other["active"]:
                text = f"{mirror.name} is active on {mirror.peer}. Stop its group, or deactivate it there, first."
                raise MirrorRefusedError(text)
            await mirror.activate(force=request.force, mount=request.mount)
            text = f"{mirror.name} is active on {self._me}."
        elif request.op == "mirror_deactivate":
            await mirror.deactivate()
            text = f"{mirror.name} is not active on {self._me} any more."
        elif request.op == "mirror_pace":
            await mirror.order("pace", bytes_s=request.bytes_s)
            most = f"takes at most {size_text(request.bytes_s)}/s" if request.bytes_s else "takes what it can get"
            text = f"A recovery of {mirror.name} from {self._me} {most}."
        else:
            op, text = _SIMPLE[request.op]
            try:
                await (mirror.order(op, repair=True) if op == "verify" and request.force else mirror.order(op))
            except TimeoutError:
                # A comparison is answered at its end, which may be hours away.
                if op != "verify" or mirror.state is None or not mirror.state.verify.get("running"):
                    raise
            text = text.format(name=mirror.name, me=self._me)
        return Answer(id=request.id, code=0, text=text)

    async def _force(self, mirror: Mirror, request: Request, forward: Forward | None, limit_s: float) -> Answer:
        plan = plan_of_force(mirror.name, self._me, self._both(mirror))
        if plan.does == "construct":
            await mirror.order("construct", full=True)
        elif plan.does == "activate":
            await mirror.take_over()
        elif plan.does == "discard":
            wish = Request(id=f"{request.id}:discard", op="mirror_discard", target=mirror.name, server=mirror.peer,
                           by=request.by, why=request.why)  # fmt: skip
            given_up = await self._handed_on(mirror.peer, wish, forward, limit_s)
            if given_up.code:
                return msgspec.structs.replace(given_up, id=request.id)
        return Answer(id=request.id, code=0 if plan.does else 2, reason="" if plan.does else "nothing_to_force",
                      text=_said(plan))  # fmt: skip

    def _both(self, mirror: Mirror) -> dict[str, Side]:
        own = msgspec.structs.asdict(mirror.state) if mirror.state is not None else None
        return {self._me: own, mirror.peer: self.sides(mirror.name).get(mirror.peer)}

    async def _handed_on(self, server: str, request: Request, forward: Forward | None, limit_s: float) -> Answer:
        if forward is None:
            text = f"{self._me} has no link to the agent of {server}. Ask on {server} itself."
            return Answer(id=request.id, code=3, reason="no_link", text=text)
        wish = {**msgspec.to_builtins(request), "server": server}
        text = f"The agent of {server} gave no answer."
        async for line in forward(server, {"op": "ask", "request": wish, "wait_s": limit_s}, limit_s):
            if found := line.get("answer"):
                return msgspec.convert(found, Answer, strict=False)
            text = str(line.get("error", text))
        return Answer(id=request.id, code=3, reason="no_answer", text=text)


def _said(plan: Plan) -> str:
    return told(*plan.facts[0], size=size_text, when=str, sentence=SENTENCES.__getitem__)


def _refused(request: Request, reason: str, text: str) -> Answer:
    return Answer(id=request.id, code=2, reason=reason, text=text)
