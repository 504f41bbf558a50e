"""Tells a manager what this agent knows, as a snapshot and numbered changes, and takes its commands.

Rules. The manager may be dead, slow or wrong without harm: what is sent is the difference between what was sent and
what is now, so a slow manager gets fewer, larger changes and the engine never waits. Nothing is kept for a manager that
is away; it gets a new snapshot when it comes back. News goes at once; then the daemon's own work has its turn, and what
comes meanwhile is one change. What this server says of itself goes first: of the others their own agents tell.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import random
import time
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.daemon.console import BusyError, Console, ControlRequest, answer_fields
from agent.daemon.observer import Observer
from agent.daemon.tasks import give_up
from agent.drivers.pinned import pinned
from agent.wire.peer import Answer, Request, Table
from agent.wire.report import Note, Report
from agent.wire.report_part import part_of, version_of

if TYPE_CHECKING:
    from ssl import SSLContext

    from websockets.asyncio.client import ClientConnection

FRAME_LIMIT = 4 << 20
_PART_BYTES = 3 << 20  # of reports in one frame; the rest follows as changes
SNAPSHOT_NOTES = 500
ALIVE_S = 1.0
RELAY_S = 0.05  # how long reports of other servers wait for more of them
_SHARE = 4  # what telling costs, the daemon has this many times as long for itself
_AHEAD_S = 0.1  # so much of that may be owed: a few changes in a row, as of a failover, go at once
OPEN_S = 5.0
SEND_S = 10.0
PONG_S = 20.0  # A manager to which all agents come at once is slow for a while.
MOST_COMMANDS = 64
LONGEST_DEADLINE_S = 3600.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
VERSION = 2  # from 2 on what changed in a report is told as a part of it
BAD_FRAME = 4400
GOING_AWAY = 1001


class Manager(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of manager.json."""

    url: str
    node: str
    secret: str
    # Who brings a configuration brings scripts, which run as root here. False: this manager may only watch and operate.
    configure: bool = True
    # PEM. With wss this very certificate is expected, whoever signed it; "": one that this machine trusts.
    certificate: str = ""

    def tls(self) -> SSLContext | None:
        """None: as the library does it. ValueError or OSError when the certificate cannot be used."""
        return pinned(self.certificate) if self.certificate and self.endpoint().startswith("wss:") else None

    def endpoint(self) -> str:
        """http and https are taken as ws and wss; a bare address gets the path of the agents' door."""
        url = self.url.replace("http", "ws", 1) if self.url.startswith("http") else self.url
        scheme, _, rest = url.partition("://")
        return url if rest.strip("/").count("/") else f"{scheme}://{rest.rstrip('/')}/ws/agent/"


class ManagerFileError(Exception):
    """manager.json cannot be used; the sentence says why."""


def read_managers(path: Path) -> list[Manager]:
    """Empty without the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ManagerFileError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        managers = msgspec.json.decode(data, type=list[Manager])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManagerFileError(
            f'{path} is not right: {error}. "manage.py agent add" prints what belongs there.'
        ) from error
    for manager in managers:
        if not manager.url.startswith(("ws://", "wss://", "http://", "https://")):
            raise ManagerFileError(f"{path} names {manager.url}: the address must begin with ws:// or wss://.")
    return managers


class Configuration:
    """clp.conf as this daemon runs it (the file may have been edited since)."""

    def __init__(self, data: bytes) -> None:
        self._packed = zlib.compress(data, 6)
        self.hash = sha256(data).hexdigest()

    def base64(self) -> str:
        return base64.b64encode(zlib.decompress(self._packed)).decode()


class Command(msgspec.Struct, frozen=True, tag="command", tag_field="type"):
    id: str
    request: dict[str, Any]
    deadline_s: float = 60.0


class Configure(msgspec.Struct, frozen=True, tag="configuration", tag_field="type"):
    """A step of a delivery, for the agent of `via` ("": this one); see configuration.py."""

    id: str
    configuration: dict[str, Any]
    via: str = ""
    by: str = ""
    deadline_s: float = 60.0


class Consult(msgspec.Struct, frozen=True, tag="consult", tag_field="type"):
    """A question that changes nothing in the cluster, for the agent of `via` ("": this one): a step of a log
    collection (collection.py), or what became of a request."""

    id: str
    op: Literal["logs", "outcome"]
    body: dict[str, Any]
    via: str = ""
    by: str = ""
    deadline_s: float = 60.0


class Resync(msgspec.Struct, frozen=True, tag="resync", tag_field="type"):
    pass


class _Sent:
    """What the manager has been told, so that the next change holds only what is new."""

    def __init__(self) -> None:
        self.rev = 0
        self.reports: dict[str, Report] = {}
        self.table: Table | None = None
        self.notes = 0
        self.relay_at = math.inf  # when the others' reports that the manager does not have yet are due


class ManagerLink:
    """Keeps one manager told, for as long as the daemon runs."""

    def __init__(
        self,
        manager: Manager,
        configuration: Configuration,
        observer: Observer,
        console: Console,
        complain: Callable[[str, str], None],  # address, reason
    ) -> None:
        self._manager = manager
        self._configuration = configuration
        self._observer = observer
        self._console = console
        self._complain = complain
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Command | Configure | Consult | Resync)

    async def run(self) -> None:
        """Never returns; ends by cancellation."""
        # Only an agent with a manager pays for the library (4 MB).
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        url = self._manager.endpoint()
        headers = {"Authorization": f"Bearer {self._manager.node}:{self._manager.secret}"}
        pause_s = FIRST_PAUSE_S
        while True:
            began = asyncio.get_running_loop().time()
            try:
                async with connect(
                    url, ssl=self._manager.tls(), additional_headers=headers, proxy=None, compression=None,
                    max_size=FRAME_LIMIT,
                    open_timeout=OPEN_S, close_timeout=1, ping_interval=10, ping_timeout=PONG_S, max_queue=16,
                ) as socket:  # fmt: skip
                    try:
                        await self._serve(socket)
                    except asyncio.CancelledError:
                        await socket.close(GOING_AWAY, "the agent stops")
                        raise
            except (OSError, TimeoutError, EOFError, WebSocketException, ValueError) as error:
                self._complain(url, _reason(error))
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the agents, protects nothing.
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _serve(self, socket: ClientConnection) -> None:
        resync = asyncio.Event()
        with self._observer.subscribed() as changed:
            tasks = [
                asyncio.ensure_future(self._tell(socket, changed, resync)),
                asyncio.ensure_future(self._listen(socket, changed, resync)),
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await give_up(tasks)

    # --- telling

    async def _tell(self, socket: ClientConnection, changed: asyncio.Event, resync: asyncio.Event) -> None:
        sent, loop = _Sent(), asyncio.get_running_loop()
        await self._send(socket, self._hello())
        resync.set()
        alive_at = rests_until = loop.time()
        while True:
            changed.clear()
            start = time.thread_time()
            if resync.is_set():
                resync.clear()
                frames = self._texts(self._snapshot(sent))
            else:
                frames = self._texts(self._changes(sent, loop.time()))
            cost_s = time.thread_time() - start  # Without what others do while the socket takes it.
            for frame in frames:
                await self._send_text(socket, frame)
            if frames:
                now = loop.time()
                alive_at = now + ALIVE_S
                rests_until = max(rests_until, now - _AHEAD_S) + _SHARE * cost_s
                await asyncio.sleep(min(ALIVE_S, max(0.0, rests_until - now)))
            try:
                async with asyncio.timeout_at(min(alive_at, sent.relay_at)):
                    await changed.wait()
            except TimeoutError:
                if loop.time() >= alive_at:
                    await self._send(socket, self._alive(sent))
                    alive_at = loop.time() + ALIVE_S

    def _texts(self, frames: Iterator[dict[str, Any]]) -> list[str]:
        return [self._encoder.encode(frame).decode() for frame in frames]

    async def _send(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        await self._send_text(socket, self._encoder.encode(frame).decode())

    async def _send_text(self, socket: ClientConnection, text: str) -> None:
        async with asyncio.timeout(SEND_S):
            await socket.send(text)

    def _hello(self) -> dict[str, Any]:
        cluster = self._observer.cluster
        config = self._configuration.base64()
        return {
            "type": "hello", "version": VERSION, "node": self._manager.node,
            "cluster": cluster.name, "config": config, "config_hash": self._configuration.hash,
        }  # fmt: skip

    def _snapshot(self, sent: _Sent) -> Iterator[dict[str, Any]]:
        journal = self._observer.journal
        sent.reports, sent.table, sent.notes = {}, self._observer.table(), journal.total
        sent.relay_at = math.inf
        parts = self._report_parts(sent, self._observer.reports())
        sent.rev += 1
        yield {
            "type": "snapshot", "rev": sent.rev, "at": self._observer.now(), "reports": next(parts, {}),
            "table": sent.table, "notes": journal.newest(SNAPSHOT_NOTES),
        }  # fmt: skip
        for part in parts:
            sent.rev += 1
            yield {"type": "change", "rev": sent.rev, "at": self._observer.now(), "reports": part, "notes": []}

    def _changes(self, sent: _Sent, now: float) -> Iterator[dict[str, Any]]:
        journal = self._observer.journal
        notes: list[Note] = journal.since(sent.notes)
        sent.notes = journal.total
        table = self._observer.table()
        parts = list(self._report_parts(sent, self._due(sent, now))) or [{}]
        if parts == [{}] and not notes and table == sent.table:
            return
        for index, part in enumerate(parts):
            sent.rev += 1
            change = {"type": "change", "rev": sent.rev, "at": self._observer.now(), "reports": part}
            change["notes"] = notes if index == 0 else []
            if index == 0 and table != sent.table:
                change["table"] = table
            yield change
        sent.table = table

    def _due(self, sent: _Sent, now: float) -> dict[str, Report]:
        """Reports that the manager does not have yet and shall have now."""
        new = {s: r for s, r in self._observer.reports().items() if not _same(sent.reports.get(s), r)}
        if now >= sent.relay_at:
            sent.relay_at = math.inf
            return new
        own = self._observer.me
        if new.keys() - {own}:
            sent.relay_at = min(sent.relay_at, now + RELAY_S)
        return {own: new[own]} if own in new else {}

    def _report_parts(self, sent: _Sent, reports: dict[str, Report]) -> Iterator[dict[str, Any]]:
        """In pieces that fit into a frame."""
        ages = self._observer.ages()
        part: dict[str, Any] = {}
        size = 0
        for server, report in reports.items():
            raw = self._encoder.encode(_relayed(sent.reports.get(server), report, ages[server]))
            if part and size + len(raw) > _PART_BYTES:
                yield part
                part, size = {}, 0
            part[server] = msgspec.Raw(raw)
            size += len(raw)
            sent.reports[server] = report
        if part:
            yield part

    def _alive(self, sent: _Sent) -> dict[str, Any]:
        return {"type": "alive", "rev": sent.rev, "at": self._observer.now(), "ages": self._observer.ages()}

    # --- listening

    async def _listen(self, socket: ClientConnection, changed: asyncio.Event, resync: asyncio.Event) -> None:
        commands: set[asyncio.Task[None]] = set()
        try:
            async for frame in socket:
                try:
                    order = self._decoder.decode(frame)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    await socket.close(BAD_FRAME, str(error)[:120])
                    raise ValueError(f"it sent a frame that this agent does not understand ({error})") from error
                if isinstance(order, Resync):
                    resync.set()
                    changed.set()
                elif len(commands) >= MOST_COMMANDS:
                    await self._send(socket, _refused(order, "busy", f"{MOST_COMMANDS} commands are running already."))
                else:
                    task = asyncio.ensure_future(self._carry_out(socket, order))
                    commands.add(task)
                    task.add_done_callback(commands.discard)
        finally:
            await give_up(commands)

    async def _carry_out(self, socket: ClientConnection, order: Command | Configure | Consult) -> None:
        match order:
            case Command():
                await self._obey(socket, order)
            case Configure():
                await self._configure(socket, order)
            case Consult():
                await self._consult(socket, order)

    async def _obey(self, socket: ClientConnection, command: Command) -> None:
        """The command's id is the request's: sent again after a broken connection it acts once."""
        from websockets.exceptions import WebSocketException

        if not self._manager.configure and str(command.request.get("op", "")).startswith("config_"):
            await self._send(socket, _refused(command, "not_allowed", self._not_allowed()))
            return
        fields = {"by": f"manager as {self._manager.node}", **command.request}
        wait_s = _wait_s(command.deadline_s)
        try:
            request = msgspec.convert({**fields, "id": command.id, "origin": self._observer.me}, Request)
            async for step in self._console.ask(request, wait_s):
                if isinstance(step, Answer):
                    await self._send(socket, _result(step))
                else:
                    await self._send(socket, {"type": "progress", "id": command.id, "text": step})
        except (BusyError, msgspec.ValidationError) as error:
            await self._send(socket, _refused(command, "bad_request", str(error)))
        except (OSError, TimeoutError, WebSocketException):
            return  # The connection went; the manager asks again with the same id.

    async def _configure(self, socket: ClientConnection, step: Configure) -> None:
        """Steps may be repeated, so a lost answer does no harm."""
        if not self._manager.configure:
            await self._send(socket, _refused(step, "not_allowed", self._not_allowed()))
            return
        asked = ControlRequest(
            op="configuration", via=step.via, configuration=step.configuration, wait_s=_wait_s(step.deadline_s)
        )
        await self._tell_one(socket, "configuration_result", step, asked)

    async def _consult(self, socket: ClientConnection, question: Consult) -> None:
        wait_s = _wait_s(question.deadline_s)
        if question.op == "logs":
            asked = ControlRequest(op="logs", via=question.via, logs=question.body, wait_s=wait_s)
        else:
            asked = ControlRequest(op="outcome", via=question.via, request=question.body, wait_s=wait_s)
        await self._tell_one(socket, "consulted", question, asked)

    async def _tell_one(
        self, socket: ClientConnection, kind: str, order: Configure | Consult, asked: ControlRequest
    ) -> None:
        from websockets.exceptions import WebSocketException

        try:
            async with contextlib.aclosing(
                self._console.answer(asked, order.by or f"manager as {self._manager.node}")
            ) as lines:
                line = await anext(lines, {"ok": False, "error": f"{self._observer.me} has no answer."})
            await self._send(socket, {"type": kind, "id": order.id, **line})
        except (OSError, TimeoutError, WebSocketException):
            return

    def _not_allowed(self) -> str:
        return f'manager.json on {self._observer.me} lets this manager bring no configurations ("configure": false).'


def _wait_s(deadline_s: float) -> float:
    return max(0.0, min(deadline_s, LONGEST_DEADLINE_S))


def _same(told: Report | None, report: Report) -> bool:
    return told is not None and version_of(told) == version_of(report)


def _relayed(told: Report | None, report: Report, age_s: float) -> dict[str, Any]:
    """Where the manager has an earlier one of the same start, only what has changed since."""
    if told is None or told.incarnation != report.incarnation:
        return {"report": report, "age_s": age_s}
    return {"part": part_of(told, report), "base": version_of(told), "age_s": age_s}


def _result(answer: Answer) -> dict[str, Any]:
    return {"type": "result", "id": answer.id, "answer": answer_fields(answer)}


def _refused(order: Command | Configure | Consult, reason: str, text: str) -> dict[str, Any]:
    if not isinstance(order, Command):
        kind = "configuration_result" if isinstance(order, Configure) else "consulted"
        return {"type": kind, "id": order.id, "ok": False, "error": text, "reason": reason}
    return _result(Answer(id=order.id, code=3, reason=reason, text=text))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return str(error).rstrip(".") or type(error).__name__
