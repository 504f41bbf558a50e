"""The daemon's part in a drill (its rules stand in agent/engine/drills.py): begin it, end it here or elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

import msgspec

from agent.clpconf.model import Cluster
from agent.daemon import drill_end
from agent.daemon.drill_memory import DrillMemory
from agent.daemon.heartbeat_client import HeartbeatClient
from agent.daemon.journal import Journal
from agent.engine.effects import BeginDrill, EndDrill
from agent.engine.events import Asked, Event
from agent.messages.drills import BACK, GIVEN_UP
from agent.wire.drill import BEGINS_S
from agent.wire.heartbeat import derive_key
from agent.wire.peer import Request

PORT = 29002
LAN_HEARTBEATS = ("lanhb", "lankhb")
_NAP_S = 0.05


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class DrillRuns:
    def __init__(
        self, cluster: Cluster, me: str, key: bytes, memory: DrillMemory, heartbeat: HeartbeatClient,
        feed: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._cluster = cluster
        self._me = me
        self._key = key
        self._memory = memory
        self._heartbeat = heartbeat
        self._feed = feed
        self._running = ""
        heartbeat.drill_over = self._over

    def begin(self, effect: BeginDrill) -> None:
        drill, self._running = effect.drill, effect.id
        whole = drill.kind != "link"
        bound_s = drill.bound_s + (BEGINS_S if whole else 0.0)
        way = "" if whole else drill.way  # A drill of the whole server cuts no paths; its id is what ends it.
        self._heartbeat.drill(
            {"op": "drill", "id": effect.id, "bound_s": bound_s, "paths": drill.heartbeats, "way": way}
        )
        if drill.kind in ("crash", "hang"):
            # The word that it begins must be out before nobody speaks any more.
            fail = self._crash if drill.kind == "crash" else self._hang
            asyncio.get_running_loop().call_later(BEGINS_S, fail, effect)

    def end(self, effect: EndDrill) -> None:
        if effect.server != self._me:
            word = drill_end.word(derive_key(self._key), self._cluster.name, effect.id)
            drill_end.send(word, self._addresses(effect.server), PORT)
        elif self._running == effect.id:
            self._running = ""
            self._memory.hangs_until = 0.0
            self._heartbeat.drill({"op": "drill_end"})

    def _over(self, drill: str) -> None:
        """Somebody has ended it whom we could not hear."""
        if self._running == drill:
            by = "an operator, through another server,"
            self._feed(Asked(request=Request(id=f"end-{drill}", op="drill_end", target=self._me, by=by)))

    def _addresses(self, server: str) -> list[str]:
        devices = {device.id: device.info for device in self._cluster.server(server).devices}
        return [
            devices[heartbeat.device]
            for heartbeat in self._cluster.heartbeats
            if heartbeat.type in LAN_HEARTBEATS and devices.get(heartbeat.device)
        ]

    def _crash(self, effect: BeginDrill) -> None:
        """The supervisor does the rest; it is woken by our death."""
        if self._running == effect.id:
            self._memory.name = effect.id
            self._memory.away_until = _boottime() + effect.drill.bound_s
            os.kill(os.getpid(), signal.SIGKILL)

    def _hang(self, effect: BeginDrill) -> None:
        if self._running != effect.id:
            return
        until = self._memory.hangs_until = _boottime() + effect.drill.bound_s
        while _boottime() < min(until, self._memory.hangs_until):
            time.sleep(_NAP_S)  # The loop stands still: that is what is drilled.


class Ended(msgspec.Struct, omit_defaults=True):
    """What the supervisor tells the next daemon of a crash (times of CLOCK_BOOTTIME)."""

    id: str
    began: float = 0.0
    silent: float = 0.0  # from when on nobody spoke for this server
    back: float = 0.0
    given_up: str = ""


def tell(journal: Journal, told: str, me: str, now: float) -> None:
    """Write down once how the drill before this start has ended."""
    if not told:
        return
    with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
        ended = msgspec.json.decode(told.encode(), type=Ended)
        if any(n.event in (BACK, GIVEN_UP) and n.module == "apisv" and n.params[:1] == (ended.id,) for n in
               journal.notes):  # fmt: skip
            return
        if ended.given_up:
            journal.write(GIVEN_UP, "server", me, ended.id, me, ended.given_up, module="apisv")
            return
        origin = now - _boottime()
        times = [f"{origin + at:.3f}" for at in (ended.began, ended.silent, ended.back)]
        taken, away = ended.silent - ended.began, ended.back - ended.silent
        journal.write(BACK, "server", me, ended.id, me, f"{taken:.1f}", f"{away:.1f}", *times, module="apisv")
