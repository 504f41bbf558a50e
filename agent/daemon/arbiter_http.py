"""One HTTP witness as the arbiter child sees it: beats, proposals, kept connections; nothing here waits.

Beats and proposals have a connection each, so that a proposal that is being written to the witness' disk delays no
beat. An exchange that takes longer than half a lease is given up with its connection: the next one may do better.
"""

from __future__ import annotations

import _thread
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from agent.daemon.heartbeat_lan import steady
from agent.wire import witness as wire
from agent.wire.epoch import Epoch

_HEAD_BYTES = 16 << 10
_EXCHANGE = 0.35  # of the timeout: half a lease
_RETRY_S = 0.1
_LOOK_UP_S = 30.0
NEVER = float("inf")


class Owner(Protocol):
    """The arbiter child."""

    def watch(self, descriptor: int, handler: Callable[[], None], *, write: bool = False) -> None: ...
    def unwatch(self, descriptor: int) -> None: ...
    def wake(self) -> None:
        """From a thread: call tick() of all soon."""

    def confirmed(self, name: str, sent_at: float) -> None: ...
    def reachable(self, name: str, detail: str) -> None:
        """`detail` "" when it answers, else why it does not."""

    def answered(self, name: str, epoch: Epoch, answer: wire.Answer) -> None: ...


class Question(NamedTuple):
    """AskArbiter, and until when an answer is of use."""

    epoch: Epoch
    members: tuple[str, ...]
    voters: tuple[str, ...]
    in_force: Epoch
    until: float


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Host:
    """The witness' addresses. Names are looked up by a thread, since that can take long."""

    def __init__(self, name: str, port: int, wake: Callable[[], None]) -> None:
        self.name = name
        self.port = port
        self._wake = wake
        self._found: list[Any] = self._look_up(socket.AI_NUMERICHOST)
        self._literal = bool(self._found)
        self._turn = 0
        self._asking = False
        self._asked_at = float("-inf")
        self.failing = ""

    def address(self, now: float) -> Any:
        """The next one to try, None while none is known."""
        if not self._literal and not self._asking and now >= self._asked_at + _LOOK_UP_S:
            self._asking, self._asked_at = True, now
            # Not by `threading`, which is a quarter of a megabyte.
            _thread.start_new_thread(self._ask, ())
        return self._found[self._turn % len(self._found)] if self._found else None

    def failed(self) -> None:
        """That one did not do."""
        self._turn += 1

    def _ask(self) -> None:
        try:
            found = self._look_up(0)
            if not found:
                self._asked_at = steady() - _LOOK_UP_S + 1.0  # Again in a second.
            self._found = found or self._found
        finally:
            self._asking = False
            self._wake()

    def _look_up(self, flags: int) -> list[Any]:
        try:
            found = socket.getaddrinfo(self.name, self.port, type=socket.SOCK_STREAM, flags=flags)
            self.failing = ""
        except (OSError, UnicodeError) as error:
            self.failing = f"the name {self.name} is not known ({getattr(error, 'strerror', None) or error})"
            return []
        return [(family, address) for family, _, _, _, address in found]


class Lane:
    """One connection with one exchange at a time. Exactly one of `done` and `failed` follows each send()."""

    def __init__(self, owner: Owner, host: Host, done: Callable[[Reply], None], failed: Callable[[str], None]) -> None:
        self._owner = owner
        self._host = host
        self._done = done
        self._failed = failed
        self._socket: socket.socket | None = None
        self._out = b""
        self._in = b""
        self._fresh = False  # nothing was exchanged over this connection before
        self.busy = False
        self.deadline = NEVER

    def send(self, data: bytes, now: float, deadline: float) -> None:
        self.busy, self.deadline = True, deadline
        self._out, self._in = data, b""
        if self._socket is None:
            self._connect(now)
        else:
            self._owner.unwatch(self._socket.fileno())
            self._owner.watch(self._socket.fileno(), self._writable, write=True)
            self._writable()

    def tick(self, now: float) -> None:
        if self.busy and now >= self.deadline:
            self._give_up("no answer in time")

    def close(self) -> None:
        """An exchange under way is forgotten."""
        self.busy, self.deadline = False, NEVER
        self._disconnect()

    def _connect(self, now: float) -> None:
        self._fresh = True
        place = self._host.address(now)
        if place is None:
            self._give_up(self._host.failing or f"the name {self._host.name} is being looked up")
            return
        family, address = place
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = self._socket.connect_ex(address)
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in (0, errno.EINPROGRESS):
            self._give_up(os.strerror(code))
            return
        assert self._socket is not None
        self._owner.watch(self._socket.fileno(), self._writable, write=True)

    def _writable(self) -> None:
        assert self._socket is not None
        try:
            if code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, os.strerror(code))
            sent = self._socket.send(self._out, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error.strerror or str(error))
            return
        self._out = self._out[sent:]
        if not self._out:
            self._owner.unwatch(self._socket.fileno())
            self._owner.watch(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error.strerror or str(error))
            return
        if not self.busy:
            self._disconnect()  # Closed by the witness while nothing was asked, or talking out of turn.
            return
        if not data:
            self._broken("it closed the connection")
            return
        self._in += data
        try:
            reply = _parse(self._in)
        except ValueError as error:
            self._give_up(str(error))
            return
        if reply is not None:
            self.busy, self.deadline = False, NEVER
            if reply.headers.get("connection", "").lower() == "close":
                self._disconnect()
            self._done(reply)

    def _broken(self, reason: str) -> None:
        """A kept connection may have ended unnoticed; whoever asked tries again at once over a new one."""
        if not self._fresh and self.busy and not self._in:
            self._host.failing = ""
            self._give_up("")
        elif self.busy:
            self._give_up(reason)
        else:
            self._disconnect()

    def _give_up(self, reason: str) -> None:
        self.busy, self.deadline = False, NEVER
        if self._fresh:
            self._host.failed()
        self._disconnect()
        self._failed(reason)

    def kept(self) -> None:
        """The exchange was a good one."""
        self._fresh = False

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._owner.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _parse(data: bytes) -> Reply | None:
    """None while it is not whole; ValueError when it is no reply of a witness."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        if len(data) > _HEAD_BYTES:
            raise ValueError("it answers too much")
        return None
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = headers.get("content-length", "")
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal() or not length.isdecimal():
        raise ValueError("it answers something that is not HTTP/1.1 with a length")
    if int(length) > wire.BODY_BYTES:
        raise ValueError("it answers too much")
    if len(rest) < int(length):
        return None
    return Reply(int(words[1]), headers, rest[: int(length)])


class HttpArbiter:
    """Beats each interval while the daemon wants it, and carries one question at a time."""

    def __init__(
        self, owner: Owner, name: str, host: str, port: int, *, me: str, cluster: str, secret: bytes,
        incarnation: int, interval_s: float, timeout_s: float,
    ) -> None:  # fmt: skip
        self.name = name
        self._owner = owner
        self._me = me
        self._secret = secret
        self._incarnation = incarnation
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._cluster = cluster
        shown = f"[{host}]" if ":" in host else host
        self._authority = f"{shown}:{port}"
        self._host = Host(host, port, owner.wake)
        self._beats = Lane(owner, self._host, self._beat_done, self._beat_failed)
        self._asks = Lane(owner, self._host, self._ask_done, self._ask_failed)
        # Rises over restarts of this process within one boot, as nobody asks a thousand times a second.
        self._seq = int(steady() * 1000)
        self._life = ""
        self._service = ""
        self._next_beat = NEVER
        self._sent_at = 0.0
        self._sent_service = ""
        self._signature = {"beat": "", "propose": ""}
        self._question: Question | None = None
        self._next_ask = NEVER

    def say(self, service: str, now: float) -> None:
        """What the beats say from now on."""
        if service != self._service:
            self._service = service
            self._next_beat = now

    def ask(self, question: Question, now: float) -> None:
        """A newer question replaces the older one; the same one again changes nothing."""
        current = self._question
        if current is not None and current[:3] == question[:3] and self._asks.busy:
            self._question = question
            return
        self._asks.close()
        self._question = question
        self._next_ask = now

    def tick(self, now: float) -> None:
        self._beats.tick(now)
        self._asks.tick(now)
        if self._question is not None and now >= self._question.until:
            self._question = None
            self._asks.close()
        if self._question is not None and now >= self._next_ask and not self._asks.busy:
            self._send_ask(self._question, now)
        if now >= self._next_beat and not self._beats.busy:
            self._send_beat(now)

    def deadline(self) -> float:
        beat = self._beats.deadline if self._beats.busy else self._next_beat
        ask = NEVER
        if self._question is not None:
            ask = min(self._question.until, self._asks.deadline if self._asks.busy else self._next_ask)
        return min(beat, ask)

    def close(self) -> None:
        self._beats.close()
        self._asks.close()

    # -- beats ---------------------------------------------------------------------------------------------------

    def _send_beat(self, now: float) -> None:
        running = self._service not in ("stopped", "released")
        self._next_beat = now + (self._interval_s if running else max(self._interval_s, 1.0))
        self._seq += 1
        self._sent_at = now  # Before it is sent: the lease counts from here.
        self._sent_service = self._service
        beat = wire.Beat(self._me, self._incarnation, self._seq, self._life, self._timeout_s, self._service, _nonce())
        self._beats.send(self._request("beat", wire.encode_beat(beat)), now, now + _EXCHANGE * self._timeout_s)

    def _beat_done(self, reply: Reply) -> None:
        now = steady()
        problem = self._problem("beat", reply)
        if problem is None:
            return
        if not problem:
            try:
                told = wire.decode_told(reply.body)
            except ValueError as error:
                problem = f"{self._authority}: {error}; it may be of another version"
            else:
                self._beats.kept()
                self._owner.reachable(self.name, "")
                running = self._sent_service not in ("stopped", "released")
                if running and self._me in told.record.members:
                    self._owner.confirmed(self.name, self._sent_at)
                return
        self._next_beat = max(self._next_beat, now + _RETRY_S)
        self._owner.reachable(self.name, problem)

    def _beat_failed(self, reason: str) -> None:
        now = steady()
        if not reason:
            self._next_beat = now
            return
        self._next_beat = max(now + min(_RETRY_S, self._interval_s), self._sent_at + self._interval_s / 2)
        self._owner.reachable(self.name, f"{self._authority}: {reason}")

    # -- questions -----------------------------------------------------------------------------------------------

    def _send_ask(self, question: Question, now: float) -> None:
        self._seq += 1
        ask = wire.Ask(
            self._me, self._incarnation, self._seq, self._life, self._timeout_s, question.epoch, question.members,
            question.voters, _nonce(), question.in_force,
        )  # fmt: skip
        self._next_ask = NEVER
        limit = max(self._timeout_s, 1.0)  # It writes to its disk.
        self._asks.send(self._request("propose", wire.encode_ask(ask)), now, now + limit)

    def _ask_done(self, reply: Reply) -> None:
        problem = self._problem("propose", reply)
        question = self._question
        if problem == "" and question is not None:
            try:
                answer = wire.decode_answer(reply.body)
            except ValueError as error:
                problem = f"{self._authority}: {error}; it may be of another version"
            else:
                self._asks.kept()
                self._question = None
                self._owner.answered(self.name, question.epoch, answer)
                return
        if problem:
            self._next_ask = steady() + _RETRY_S
            self._owner.reachable(self.name, problem)

    def _ask_failed(self, reason: str) -> None:
        self._next_ask = steady() + (_RETRY_S if reason else 0.0)

    # -- both ----------------------------------------------------------------------------------------------------

    def _request(self, op: str, body: bytes) -> bytes:
        path = wire.path_of(self._cluster, op)
        self._signature[op] = signature = wire.sign_request(self._secret, path, body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._authority}\r\nAuthorization: {wire.SCHEME} {signature}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body

    def _problem(self, op: str, reply: Reply) -> str | None:
        """ "" when it is a good reply, None when it told its life and is asked again, else the reason in words."""
        said, life = wire.decode_error(reply.body)
        given = reply.headers.get(wire.SIGNATURE_HEADER.lower(), "")
        if not wire.is_reply(self._secret, self._signature[op], reply.status, reply.body, given):
            if reply.status == wire.OK:
                said = "its answer is not signed with the secret of this cluster"
            return f"{self._authority}: {said or f'it answers {reply.status}'}"
        if reply.status == wire.OUTDATED_LIFE and life and life != self._life:
            self._life = life
            if op == "beat":
                self._next_beat = 0.0
            else:
                self._next_ask = 0.0
            return None
        return "" if reply.status == wire.OK else f"{self._authority}: {said or f'it answers {reply.status}'}"


def _nonce() -> str:
    return os.urandom(8).hex()
