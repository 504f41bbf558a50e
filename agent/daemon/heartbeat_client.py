"""The daemon's end of the heartbeat child: tells it what to beat, turns its verdicts into events of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from agent.daemon.heartbeat_settings import ALIVE_S
from agent.engine import events
from agent.wire.epoch import NO_EPOCH, Epoch

_RETRY_S = 0.1  # the supervisor restarts a dead child at once
_MESSAGE_BYTES = 256 << 10
_BURST = 256  # messages taken in one turn of the loop


class Neighbour(NamedTuple):
    """Where a peer can be reached, proven by its own signed packet: to be pinned in the neighbour table."""

    server: str
    heartbeat: str
    address: str
    hardware: str  # "02:00:00:00:00:01"


class HeartbeatClient:
    """Keeps a connection to `heartbeat.sock` for as long as run() runs. All callbacks come in the daemon's loop.

    After each (re)connection the child tells everything that holds; only what differs from what was told before
    becomes an event.
    """

    def __init__(
        self,
        path: str,
        *,
        event: Callable[[events.Event], None],
        neighbour: Callable[[Neighbour], None],
        note: Callable[[str, str], None],  # severity, sentence
        measured: Callable[[dict[str, Any]], None] = lambda _: None,  # "gaps" and "health" as the child tells them
        connected: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._event = event
        self._neighbour = neighbour
        self._note = note
        self._measured = measured
        self._connected = connected
        self._socket: socket.socket | None = None
        self._gone = asyncio.Event()
        self._beat: dict[str, Any] | None = None
        self._epoch: Epoch = NO_EPOCH
        self._service = "stopped"
        self._members: tuple[str, ...] = ()
        self._electorates: tuple[tuple[str, ...], ...] = ()
        self._holding = False
        self._armed = True
        self._told: dict[tuple[str, ...], events.Event] = {}
        self._overdue = False  # the loss of the lease was told by lease_ran_out, and by the child not yet
        self.incarnation = 0  # of the child's packets

    def beat(
        self, epoch: Epoch, service: str, members: Iterable[str] = (), electorates: Iterable[tuple[str, ...]] = ()
    ) -> None:
        """Carry out the engine's Beat. `members`: of the promised view; only their leases do our packets confirm."""
        self._epoch, self._service, self._members = epoch, service, tuple(members)
        self._electorates = tuple(electorates)
        self._tell()

    def watchdog(self, *, armed: bool) -> None:
        """May the watchdog device run, and the child reset this server?"""
        if armed != self._armed:
            self._armed = armed
            self._tell()

    def holding(self, holding: bool) -> None:
        """Does this server hold anything that must not be active twice? Only then a lost lease resets it."""
        if holding != self._holding:
            self._holding = holding
            self._tell()

    def lease_ran_out(self, silence_s: float) -> None:
        """The child has not said so, as it should have: it hangs, or is about to be restarted."""
        if isinstance(self._told.get(("lease",)), events.LeaseHeld):
            self._verdict("LeaseLost", {"silence_s": silence_s}, again=True)
            self._overdue = True

    def lease_runs(self) -> None:
        """It was renewed after all, so the child has nothing to say: we take back what was said in its place."""
        if self._overdue:
            self._verdict("LeaseHeld", {}, again=True)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await self._connect():
                await self._serve()
            await asyncio.sleep(_RETRY_S)

    async def _connect(self) -> bool:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            # A unix socket connects at once or not at all.
            end.connect(self._path)
        except OSError:
            end.close()
            return False
        self._socket = end
        self._gone.clear()
        return True

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        end = self._socket
        assert end is not None
        loop.add_reader(end, self._readable)
        try:
            self._connected(True)
            if self._beat is not None:
                self._send(self._beat)
            while not self._gone.is_set():
                self._send({"op": "alive"})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), ALIVE_S)
        finally:
            loop.remove_reader(end)
            end.close()
            self._socket = None
            self._connected(False)

    def _tell(self) -> None:
        self._beat = {
            "op": "beat", "epoch": list(self._epoch), "service": self._service, "members": list(self._members),
            "electorates": self._electorates,
            "holding": self._holding, "armed": self._armed,
        }  # fmt: skip
        self._send(self._beat)

    def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(json.dumps(message).encode())
        except BlockingIOError:
            pass  # The child is stopped; the next alive or beat says it again.
        except OSError:
            self._gone.set()

    def _readable(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._socket.recv(_MESSAGE_BYTES) if self._socket else b""
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone.set()
                return
            self._take(json.loads(data))

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "verdicts":
                for name, fields in message["items"]:
                    self._verdict(name, fields, again=message.get("again", False))
            case "neighbours":
                for item in message["items"]:
                    self._neighbour(Neighbour(*item))
            case "gaps" | "health":
                self._measured(message)
            case "watchdog":
                self._event(events.WatchdogState(state=message["state"], detail=message["detail"]))
            case "hello":
                self.incarnation = message["incarnation"]
            case "note":
                self._note(message["severity"], message["text"])

    def _verdict(self, name: str, fields: dict[str, Any], *, again: bool) -> None:
        event = to_event(name, fields)
        if event is None:
            return
        key = _subject(event)
        if key == ("lease",):
            self._overdue = False
        if again and _same(self._told.get(key), event):
            return
        self._told[key] = event
        self._event(event)


def to_event(name: str, fields: dict[str, Any]) -> events.Event | None:
    """One verdict of the detector as the engine's event; None for what the engine does not decide (SelfFence)."""
    match name:
        case "PeerHeard":
            return events.PeerHeard(**{**fields, "epoch": Epoch(*fields["epoch"])})
        case "PeerLost":
            return events.PeerLost(**fields)
        case "PeerSuspected":
            return events.PeerSuspected(**fields)
        case "PathChanged":
            return events.PathChanged(**fields)
        case "DeafPeer":
            return events.DeafPeer(**fields)
        case "LeaseLost":
            return events.LeaseLost(**fields)
        case "LeaseHeld":
            return events.LeaseHeld()
        case "Stalled":
            return events.Stalled(**fields)
        case "Starved":
            return events.Starved(**fields)
    return None


def _subject(event: events.Event) -> tuple[str, ...]:
    """What the event is about: a newer one about the same replaces it."""
    match event:
        case events.PeerHeard() | events.PeerLost() | events.PeerSuspected():
            return ("peer", event.server)
        case events.PathChanged():
            return ("path", event.server, event.heartbeat)
        case events.DeafPeer():
            return ("deaf", event.server)
        case events.LeaseLost() | events.LeaseHeld():
            return ("lease",)
    return (type(event).__name__,)


def _same(old: events.Event | None, new: events.Event) -> bool:
    """Was this told before? Figures that only grow are no news."""
    match old, new:
        case (events.PeerHeard(), events.PeerHeard()):
            return old == new
        case (events.PathChanged(), events.PathChanged()):
            return old.ok == new.ok
    return type(old) is type(new) and isinstance(new, events.PeerLost | events.LeaseLost | events.LeaseHeld)
