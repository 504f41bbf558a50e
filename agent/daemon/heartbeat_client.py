"""The daemon's end of the heartbeat child: tells it what to beat, turns its verdicts into events of the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from agent.daemon.child_client import ChildClient
from agent.daemon.heartbeat_settings import ALIVE_S
from agent.engine import events
from agent.wire.epoch import NO_EPOCH, Epoch

# Bad news of a path waits: when a server is lost so are its paths, and what follows from the server is urgent.
_PATHS_S = 0.01


class Neighbour(NamedTuple):
    """Where a peer can be reached, proven by its own signed packet: to be pinned in the neighbour table."""

    server: str
    heartbeat: str
    address: str
    hardware: str  # "02:00:00:00:00:01"


class HeartbeatClient(ChildClient):
    """After each (re)connection the child tells everything that holds; only what is new becomes an event."""

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
        super().__init__(path, alive_s=ALIVE_S, connected=connected)
        self._event = event
        self._neighbour = neighbour
        self._note = note
        self._measured = measured
        self._epoch: Epoch = NO_EPOCH
        self._service = "stopped"
        self._members: tuple[str, ...] = ()
        self._electorates: tuple[tuple[str, ...], ...] = ()
        self._promised: Epoch = NO_EPOCH
        self._config = ""
        self._at = 0.0
        self._holding = False
        self._armed = True
        self._told: dict[tuple[str, ...], events.Event] = {}
        self._paths: list[events.PathChanged] = []  # waiting to be told
        self._overdue = False  # the loss of the lease was told by lease_ran_out, and by the child not yet
        self.incarnation = 0  # of the child's packets
        self.drill_over: Callable[[str], None] = lambda _: None  # id of a drill that a signed word has ended

    def beat(
        self, epoch: Epoch, service: str, members: Iterable[str] = (), electorates: Iterable[tuple[str, ...]] = (),
        promised: Epoch = NO_EPOCH, config: str = "",
    ) -> None:  # fmt: skip
        """Carry out the engine's Beat. `members`: of the view `promised`; only their leases do our packets confirm.
        `config`: config_id of what this server runs."""
        self._epoch, self._service, self._members = epoch, service, tuple(members)
        self._electorates = tuple(electorates)
        self._promised = promised
        self._config = config
        self._at = time.clock_gettime(time.CLOCK_BOOTTIME)
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

    def drill(self, message: dict[str, Any]) -> None:
        """Once, to the child that is there: a new one shall know nothing of it."""
        self._send(message)

    def lease_ran_out(self, silence_s: float) -> None:
        """The child has not said so, as it should have: it hangs, or is about to be restarted."""
        if isinstance(self._told.get(("lease",)), events.LeaseHeld):
            self._verdict("LeaseLost", {"silence_s": silence_s}, again=True)
            self._overdue = True

    def lease_runs(self) -> None:
        """It was renewed after all, so the child has nothing to say: we take back what was said in its place."""
        if self._overdue:
            self._verdict("LeaseHeld", {}, again=True)

    def _tell(self) -> None:
        beat = {
            "op": "beat", "epoch": list(self._epoch), "service": self._service, "members": list(self._members),
            "electorates": self._electorates, "promised": list(self._promised),
            "holding": self._holding, "armed": self._armed, "config": self._config, "at": self._at,
        }  # fmt: skip
        self._say(beat)

    def _not_taken(self) -> None:
        """The child is stopped; the next alive or beat says it again."""

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
            case "drill_over":
                self.drill_over(message["id"])
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
        if isinstance(event, events.PathChanged):
            self._path_changed(event)
        else:
            self._event(event)

    def _path_changed(self, event: events.PathChanged) -> None:
        self._paths.append(event)
        if event.ok:
            self._tell_paths()
        elif len(self._paths) == 1:
            asyncio.get_running_loop().call_later(_PATHS_S, self._tell_paths)

    def _tell_paths(self) -> None:
        waiting, self._paths = self._paths, []
        for event in waiting:
            self._event(event)


def to_event(name: str, fields: dict[str, Any]) -> events.Event | None:
    """One verdict of the detector as the engine's event; None for what the engine does not decide (SelfFence)."""
    match name:
        case "PeerHeard":
            return events.PeerHeard(**{**fields, "epoch": Epoch(*fields["epoch"])})
        case "PeerLost":
            promised = {server: Epoch(*epoch) for server, epoch in fields["promised"]}
            return events.PeerLost(**{**fields, "promised": promised})
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
