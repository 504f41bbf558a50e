"""The two websockets: /ws/agent/ (agents push, take commands) and /ws/console/ (browsers watch)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import logging
import weakref
from typing import Any, cast
from urllib.parse import parse_qs

import msgspec
from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from webmanager import access, agents, frames, selectors
from webmanager.accounts import addresses, people
from webmanager.commands import Link, LinkError
from webmanager.hub import Hub, hub
from webmanager.ledger import in_db
from webmanager.sessions import session_user
from webmanager.sockets import READ, WRITE, Read, Write, frame

log = logging.getLogger(__name__)

HELLO_WITHIN_S = 10
# What may wait for a browser that reads slowly; its snapshot comes on top of it.
WAITING_BYTES = 1024 * 1024
SESSION_CHECK_S = 60
_REASON_BYTES = 123  # RFC 6455: a control frame holds no more.

BAD_FRAME, NOT_AUTHENTICATED, FORBIDDEN, NO_CLUSTER, TOO_SLOW = 4400, 4401, 4403, 4404, 4008
FAILED = 1011
_told: weakref.WeakValueDictionary[bytes, _Told] = weakref.WeakValueDictionary()
_STRANGER = "wrong node or secret; make a new one: manage.py agent add NODE, or clpjoin"
_WHY = {
    NOT_AUTHENTICATED: "log in first",
    FORBIDDEN: "no cluster may be watched by this user, from this address, with this password",
    NO_CLUSTER: "there is no such cluster",
}


class _Lean(AsyncWebsocketConsumer):
    """Without a channel of its own and without Channels' database hop before each message; see hub.py."""

    channel_layer_alias = None  # type: ignore[assignment]
    channel_layer = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.base_send = scope, send
        with contextlib.suppress(StopConsumer):
            while True:
                message = await receive()
                await getattr(self, get_handler_name(message))(message)

    async def say(self, text: str) -> None:
        await self.base_send({"type": "websocket.send", "text": text})

    async def end(self, code: int, reason: str) -> None:
        cut = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
        try:
            await self.base_send({"type": "websocket.close", "code": code, "reason": cut})
        except Exception:  # The other side was faster; nothing is left to close.
            log.debug("closing a connection that is closed already")


class AgentConsumer(_Lean):
    """Identity comes from the handshake, never from a frame."""

    hub: Hub
    agent: Any = None
    link: Link | None = None
    ended = False
    _config: _Told | None = None
    _deadline: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        self.agent = await in_db(agents.authenticate, headers.get(b"authorization", b"").decode("latin-1"))
        await self.accept()
        if self.agent is None:
            # Accepted first, so that the agent's log can say why it was turned away.
            log.warning("an agent at %s was turned away: wrong node or secret", _address(self.scope))
            await self._refuse(NOT_AUTHENTICATED, _STRANGER)
            return
        self.hub = await hub().ready()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(HELLO_WITHIN_S, self._too_late)

    def _too_late(self) -> None:
        self.hub.spawn(self._refuse(BAD_FRAME, f"no hello within {HELLO_WITHIN_S} s"))

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        text = message.get("text")
        if self.ended:
            return
        try:
            if text is None:
                raise frames.FrameError("frames are JSON text")
            if self.link is None:
                await self._hello(text)
            else:
                self._take(text)
        except frames.FrameError as error:
            await self._refuse(BAD_FRAME, str(error))

    async def _hello(self, text: str) -> None:
        if self._deadline is not None:
            self._deadline.cancel()  # How long the database takes is no fault of the agent.
        hello = frames.decode(text)
        if not isinstance(hello, frames.Hello):
            raise frames.FrameError("hello must come first")
        if hello.version not in frames.PROTOCOLS:
            spoken = " and ".join(map(str, frames.PROTOCOLS))
            raise frames.FrameError(
                f"protocol version {hello.version}; this manager speaks {spoken}: bring both to one release"
            )
        if hello.node != self.agent.node:
            raise frames.FrameError(f"this secret belongs to {self.agent.node}, the hello says {hello.node}")
        hello, config = _shared(hello)
        problem = await in_db(
            agents.bind,
            agent_id=self.agent.id,
            cluster=hello.cluster,
            config=config.data,
            config_hash=hello.config_hash,
        )
        if problem:
            raise frames.FrameError(problem)
        right = (self.agent.id, self.agent.secret_sha256)
        link = Link(hello.cluster, hello.node, self._send_or_lost, self._refuse, hello, right)
        await self.hub.join(link, hello, config.data)
        self.link, self._config = link, config
        cast("Read", self.scope["extensions"][READ])(self._take)  # webmanager/serve.py is the one web server.
        log.info("agent %s of cluster %s connected from %s", hello.node, hello.cluster, _address(self.scope))

    def _take(self, text: str) -> None:
        """A frame after the hello, on the short way."""
        if self.ended or self.link is None:
            return
        try:
            self.hub.feed(self.link, text)
        except frames.FrameError as error:
            self.hub.spawn(self._refuse(BAD_FRAME, str(error)))
        except Exception:
            log.exception("a frame of agent %s cannot be taken", self.agent.node)
            self.hub.spawn(self._refuse(FAILED, "the manager failed with this frame; its log says why"))

    async def _send_or_lost(self, text: str) -> None:
        try:
            await self.say(text)
        except Exception as error:
            raise LinkError from error

    async def _refuse(self, code: int, reason: str) -> None:
        self.ended = True
        if self.agent is not None:
            log.warning("the connection of agent %s is closed: %s", self.agent.node, reason)
        self._leave()
        await self.end(code, reason)

    def _leave(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self.link is not None:
            link, self.link = self.link, None
            self.hub.leave(link)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        self.ended = True
        self._leave()
        raise StopConsumer


class _Told:
    """A clp.conf as an agent sent it, kept once for all that send the same: it may have a megabyte."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise frames.FrameError("config is not base64") from None


def _shared(hello: frames.Hello) -> tuple[frames.Hello, _Told]:
    found = _told.get(key := hashlib.sha256(hello.config.encode()).digest())
    if found is None:
        found = _told[key] = _Told(hello.config)
    return msgspec.structs.replace(hello, config=found.text), found


def _address(scope: dict[str, Any]) -> str:
    return (scope.get("client") or ("unknown", 0))[0]


class ConsoleConsumer(_Lean):
    """A tab of a browser."""

    hub: Hub
    user_id = 0
    _write: Write
    _live = False
    _limit = WAITING_BYTES
    _watch: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self._origin = addresses.of_scope(self.scope)
        self.cluster = parse_qs(self.scope["query_string"].decode("latin-1")).get("cluster", [""])[0]
        self.hub = await hub().ready()
        code, self.user_id, self.cluster = await in_db(self._judge)
        await self.accept()
        if code:
            await self.end(code, _WHY[code])
            return
        self._write = cast("Write", self.scope["extensions"][WRITE])  # webmanager/serve.py is the one web server.
        self._live = True
        self._watch = self.hub.spawn(self._check_session())
        self._enter()

    def _enter(self) -> None:
        """A snapshot, then what changes."""
        self.hub.watch(self, self.cluster)

    def _exit(self) -> None:
        self.hub.unwatch(self)

    def _judge(self) -> tuple[int, int, str]:
        """(close code or 0, the user, the cluster that may be watched; "": the first one that comes)."""
        user = session_user(self.scope.get("session_key", ""))
        if user is None:
            return NOT_AUTHENTICATED, 0, ""
        if people.must_change(user):
            return FORBIDDEN, user.pk, ""
        if not self.cluster and not selectors.clusters() and access.may_see(user):
            return 0, user.pk, ""
        visible = [c.name for c in selectors.clusters() if access.role_of(user, c, from_=self._origin)]
        name = self.cluster or next(iter(visible), "")
        if name in visible:
            return 0, user.pk, name
        # What somebody may not see is not told from what is not there.
        return (NO_CLUSTER if self.cluster else FORBIDDEN), user.pk, name

    def put(self, text: str) -> None:
        if self._write(frame(text), self._limit):
            return
        self._leave()
        self.hub.spawn(self.end(TOO_SLOW, "too slow; connect again for a snapshot"))

    def begin(self, snapshot: str) -> None:
        self._limit = WAITING_BYTES + len(snapshot)
        self.put(snapshot)

    async def _check_session(self) -> None:
        while True:
            await asyncio.sleep(SESSION_CHECK_S)
            try:
                await self.recheck()
            except DatabaseError:
                log.exception("a session cannot be looked at now; in a minute again")

    async def recheck(self) -> None:
        """Logged out, deactivated, expired, a role taken away: the live view ends as well."""
        code = (await in_db(self._judge))[0]
        if code and self._live:
            self._leave()
            await self.end(code, _WHY[code])

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if not self._live:
            return
        if message.get("text") != '{"type":"resync"}':
            self._leave()
            await self.end(BAD_FRAME, "only resync is understood")
            return
        self._exit()
        self._enter()

    def _leave(self) -> None:
        if not self._live:
            return
        self._live = False
        self._exit()
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        self._leave()
        raise StopConsumer
