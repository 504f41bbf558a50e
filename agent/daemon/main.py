"""The daemon: feeds the engine with what happens on this server and carries out what it wants."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Coroutine
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

from agent.catalog import RESOURCES
from agent.daemon import drill
from agent.daemon.actions import Actions
from agent.daemon.alert_child import AlertChild
from agent.daemon.answers import AnswerTimes
from agent.daemon.arbiter_client import ArbiterClient
from agent.daemon.clock import Pulse, SteadyClock
from agent.daemon.collection import Collections
from agent.daemon.configuration import Configurations
from agent.daemon.console import Console
from agent.daemon.control import ControlSocket
from agent.daemon.drill_memory import DrillMemory
from agent.daemon.effects import Effects
from agent.daemon.fencing import FenceRuns
from agent.daemon.heartbeat_client import HeartbeatClient, Neighbour
from agent.daemon.inventory import look
from agent.daemon.journal import Journal, append_line
from agent.daemon.lease import Lease
from agent.daemon.measurements import Measurements
from agent.daemon.mirrors_start import mirrors_of
from agent.daemon.monitors import MonitorRuns
from agent.daemon.observer import Observer
from agent.daemon.paths import DRILL, EXIT_SWITCH, LEASE_FD, RESTART_CAUSE, paths
from agent.daemon.peers import Carry, Envelope, PeerLinks, Query
from agent.daemon.petting import PET_S, Petting
from agent.daemon.preaction import Preactions
from agent.daemon.precedence import Precedence
from agent.daemon.push import Configuration, ManagerFileError, ManagerLink, read_managers
from agent.daemon.release import make_machine, probe, release_all
from agent.daemon.setup import Setup, SetupError, UnsettledError, prepare
from agent.daemon.state import StateFile
from agent.daemon.switching import keep, tell_return
from agent.daemon.tasks import give_up
from agent.daemon.via import Via
from agent.drivers.machine import halt
from agent.drivers.network import KernelNetwork
from agent.engine.detector import FENCE, LEASE
from agent.engine.effects import HaltServer
from agent.engine.engine import Engine
from agent.engine.events import Event, PathChanged, PeerHeard, PeerLost, PeerSuspected, Received, Stalled, Started, Tick
from agent.ports import DriverError
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import Answer, Request
from agent.wire.switch import Switch, config_id

EXIT_CONFIG = 78
EXIT_BUG = 70
STOP_S = 600.0  # for the groups to leave at SIGTERM; the supervisor has its own patience
_SHORTEST_TICK_S = 0.001
# A shorter stall of this process alone is none of the server: the heartbeat child beats on, and tells its own.
_STALL_S = 1.0
_LIMIT_S = 60.0  # between two notes that say the same of the same
# Of the timeout. A child that is only late says it itself, and knows better: packets with good news may wait for it.
_OVERDUE = (LEASE + FENCE) / 2
_ORDER_S = 0.005  # for the coordinator's order to come, after a loss
_LEAVE_S = 0.5  # for scripts and checks to be ended, before another daemon begins
_SHORTEST_LOOK_S = 0.02  # at a lease that should have been renewed

# Event numbers of agent.messages.daemon.
_LINK, _FINDING, _LEFT_OVER, _MANAGER, _MANAGER_FILE, _MONITOR, _HALTING, _STUCK = 30, 33, 34, 38, 39, 40, 41, 42
_SLOW = 71  # of agent.messages.monitors
_HEARTBEAT = {"info": 35, "warning": 36, "error": 37}
_PM_RESTARTED = 26


class Daemon:
    """Everything happens in one asyncio loop. `feed` is the only way into the engine, in the order of arrival."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        cluster, me = setup.cluster, setup.me
        self.clock = SteadyClock()
        self.journal = Journal(Path(setup.places.log), server=me, incarnation=setup.incarnation, now=self.clock.now)
        self._saved = {**setup.saved, "note_seq": self.journal.highest(setup.saved.get("note_seq", 0))}
        defaults = {r.type: RESOURCES[r.type].spec.depends_on for r in cluster.resources if r.type in RESOURCES}
        self.engine = Engine(cluster, me, setup.incarnation, self._saved, defaults,
                             config=config_id(setup.running.config))  # fmt: skip
        self.state = StateFile(Path(setup.places.state_file), setup.stored)
        self.network = KernelNetwork()
        self.machine = make_machine(setup.running, me, setup.places, self.network, self._object_line)
        self.links = PeerLinks(cluster, me, setup.incarnation, setup.key, receive=self._received,
                               complain=self._link_refused)  # fmt: skip
        self.observer = Observer(cluster, me, self.engine, self.journal, self.clock.now, self.links.unlinked_s)
        self.console = Console(self.observer, self.feed)
        self.via = Via(me, self.links, self.console)
        self._furnish_console()
        measurements = Measurements(len(cluster.servers), cluster.timeout_s, self.feed, self.clock.now)
        self.heartbeat = HeartbeatClient(setup.places.heartbeat_socket, event=self.feed, neighbour=self._neighbour,
                                         note=self._heartbeat_note, measured=measurements.take)  # fmt: skip
        self.arbiters = ArbiterClient(setup.places.arbiter_socket, event=self.feed)
        self._lease = Lease(int(os.environ.get(LEASE_FD) or -1))
        self.actions = Actions(self.machine, self.state, self.feed, self._bug)
        self.preactions = Preactions(self.machine, Path(setup.places.scripts), self.feed, self._bug)
        here = [monitor for monitor in cluster.monitors if monitor.runs_on(me)]
        times = AnswerTimes(len(cluster.servers), here, self.feed, self.clock.now)
        self.monitors = MonitorRuns(self.machine, self.feed, self._monitor_refused, self._bug, self._monitor_slow,
                                    times.take)  # fmt: skip
        self._precedence = Precedence()
        self.fences = FenceRuns(
            cluster, Path(setup.places.fences), Path(setup.places.fence_agents), feed=self.feed,
            log=self._object_line, bug=self._bug,
        )  # fmt: skip
        memory = DrillMemory(int(os.environ.get(LEASE_FD) or -1))
        drills = drill.DrillRuns(cluster, me, setup.key, memory, self.heartbeat, self.feed)
        self.effects = Effects(
            cluster, me, state=self.state, links=self.links, actions=self.actions, monitors=self.monitors,
            heartbeat=self.heartbeat, fences=self.fences, journal=self.journal, console=self.console, halt=self._halt,
            arbiters=self.arbiters, preactions=self.preactions, switch=self._switch, keep=self._keep,
            acted=self._precedence.give_back, drills=drills,
        )  # fmt: skip
        self.mirrors = mirrors_of(self.engine, setup, self.journal, self.clock.now, self.feed, self.via, self._bug,
                                  self._lease.read)  # fmt: skip
        self.mirrors.serve(self.machine, self.console)
        self.control = ControlSocket(Path(setup.places.agent_socket), self.console)
        self.alerts = AlertChild(
            setup.places, cluster, me, setup.key, say=self._bug, is_urgent=lambda: self._precedence.is_taken
        )
        self.journal.written_to = self.alerts.written
        self._queue: deque[Event] = deque()
        self._open = False  # before Started, and at the end, events wait
        self._stepping = False
        self._armed_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stop_asked = asyncio.Event()
        self._switched = False  # another configuration is in place: the next daemon begins with it
        limit_s = max(_STALL_S, cluster.timeout_s)
        self._pulse = Pulse(self.clock.now(), period_s=min(1.0, limit_s / 4), limit_s=limit_s)

    def _furnish_console(self) -> None:
        setup, console, me = self.setup, self.console, self.setup.me
        console.forward = self.via.forward
        console.inventory = partial(look, me, self.network)
        console.outcome = self.engine.operations.again.outcome
        console.collections = Collections(Path(setup.places.state) / "logs", me, self.clock.now)
        console.configurations = Configurations(
            setup.places, me, setup.running.config, setup.incarnation, say=partial(self.journal.line, "info"),
            service=self._service, holds=lambda: bool(self.state.held), forward=self.via.forward,
            feed=self.feed, leave=self._leave_for_another, stored=setup.configuration,
            others=[name for name in setup.cluster.server_names if name != me],
        )  # fmt: skip

    # --- the step

    def feed(self, event: Event) -> None:
        self._queue.append(event)
        if self._open and not self._stepping:
            self._drain()

    def _drain(self) -> None:
        self._stepping = True
        try:
            while self._queue:
                now = self.clock.now()
                self._notice_stall(now, timer=False)
                self._notice_lease()
                event = self._queue.popleft()
                self._look(event, now)
                self.effects.carry_out(self.engine.handle(event, now))
        except Exception:
            # An engine that is wrong must not go on; a new daemon adopts what runs.
            self._bug(traceback.format_exc())
            os._exit(EXIT_BUG)
        self._stepping = False
        self._arm()
        self.mirrors.look()
        self.observer.touch()

    def _look(self, event: Event, now: float) -> None:
        """What the shell itself makes of an event."""
        if isinstance(event, PeerHeard):
            self.links.heard(event.server)
            self.observer.peer_heard(event.server)
        elif isinstance(event, PeerLost):
            self.observer.peer_lost(event.server, now - event.silence_s)
            self._precedence.take(_ORDER_S)
        elif isinstance(event, PeerSuspected):
            self._precedence.take(self.setup.cluster.timeout_s)
        elif isinstance(event, PathChanged):
            self.links.path_changed(event.server, event.heartbeat, event.ok)
        elif isinstance(event, Stalled):
            self.actions.stalled()
            self.monitors.stalled()

    def _arm(self) -> None:
        at = self.engine.next_deadline()
        if at == self._armed_at and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_at = at
        if at < math.inf:
            delay_s = max(_SHORTEST_TICK_S, at - self.clock.now())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed(Tick())

    def _beat_pulse(self) -> None:
        self._notice_stall(self.clock.now(), timer=True)
        asyncio.get_running_loop().call_later(self._pulse.period_s, self._beat_pulse)
        if self._queue and self._open and not self._stepping:
            self._drain()

    def _notice_stall(self, now: float, *, timer: bool) -> None:
        """A stall goes before everything that waited meanwhile."""
        gap_s = self._pulse.beat(now, timer=timer)
        if gap_s:
            self._queue.appendleft(Stalled(gap_s=gap_s))

    def _notice_lease(self) -> None:
        """A lease that has run out goes before every order that waited meanwhile."""
        since, waiting = self._lease.read(), len(self._queue)
        if since and time.clock_gettime(time.CLOCK_BOOTTIME) >= since + _OVERDUE * self.setup.cluster.timeout_s:
            self.heartbeat.lease_ran_out(time.clock_gettime(time.CLOCK_BOOTTIME) - since)
            self._queue.rotate(len(self._queue) - waiting)

    def _watch_lease(self) -> None:
        """A child that hangs cannot say that the lease is lost; the memory that it no longer writes does."""
        now, since = time.clock_gettime(time.CLOCK_BOOTTIME), self._lease.read()
        ends = since + _OVERDUE * self.setup.cluster.timeout_s
        if since and now >= ends:
            self.heartbeat.lease_ran_out(now - since)
        elif since:
            self.heartbeat.lease_runs()
        delay_s = ends - now if since and now < ends else self.setup.cluster.timeout_s / 10
        asyncio.get_running_loop().call_later(max(_SHORTEST_LOOK_S, delay_s), self._watch_lease)

    # --- what comes in

    def _received(self, peer: str, envelope: Envelope) -> None:
        if isinstance(envelope, Carry):
            self.feed(Received(sender=peer, message=envelope.message))
        elif isinstance(envelope, Query):
            self.via.queried(peer, envelope)
        else:
            self.via.replied(peer, envelope)

    def _link_refused(self, reason: str, peer: str, text: str) -> None:
        name = peer or "a stranger"
        self.journal.write_limited(_LIMIT_S, _LINK, "server", name, name, text)
        self.observer.touch()

    def _heartbeat_note(self, level: str, text: str) -> None:
        self.journal.write_limited(_LIMIT_S, _HEARTBEAT.get(level, 36), "server", self.setup.me, text)
        self.observer.touch()

    def _monitor_refused(self, name: str, reason: str) -> None:
        self.journal.write(_MONITOR, "monitor", name, name, reason)
        self.observer.touch()

    def _monitor_slow(self, name: str, words: str) -> None:
        self.journal.write(_SLOW, "monitor", name, name, self.machine.me, words, module="rm")
        self.observer.touch()

    def _manager_away(self, address: str, reason: str) -> None:
        self.journal.write_limited(10 * _LIMIT_S, _MANAGER, "server", address, address, reason)

    def _neighbour(self, neighbour: Neighbour) -> None:
        self._spawn(self._pin(neighbour))

    async def _pin(self, neighbour: Neighbour) -> None:
        mac = bytes.fromhex(neighbour.hardware.replace(":", ""))
        try:
            await self.network.pin_neighbour(ip_address(neighbour.address), mac)
        except DriverError as error:
            self.journal.line("warning", f"{neighbour.server} at {neighbour.address}: {error.detail}")

    def _object_line(self, name: str, text: str) -> None:
        self.journal.line("info", f"{name}: {text}")

    def _bug(self, text: str) -> None:
        self.journal.line("error", text)

    def _halt(self, effect: HaltServer) -> None:
        self.journal.write(_HALTING, "server", self.setup.me, self.setup.me, effect.how, effect.reason)
        if effect.how in ("panic", "reset"):
            halt(effect.how)
        self._spawn(self._halt_orderly(effect))

    async def _halt_orderly(self, effect: HaltServer) -> None:
        # It writes all disks first, which may take long; the heartbeats go on meanwhile.
        try:
            await asyncio.to_thread(halt, effect.how)
        except DriverError as error:
            self.journal.line("error", error.detail)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- life

    async def run(self) -> int:
        """Until SIGTERM has been obeyed, or another configuration is in place. The exit code."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_error)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked.set)
        for finding in self.setup.findings:
            self.journal.write(_FINDING, "cluster", self.setup.cluster.name, finding)
        tell_return(self.journal, self.setup.cluster.name, self.setup.me, self.setup.record)
        drill.tell(self.journal, os.environ.get(DRILL, ""), self.setup.me, self.clock.now())
        if cause := os.environ.get(RESTART_CAUSE):
            self.journal.write(_PM_RESTARTED, "server", self.setup.me, "daemon", cause, module="pm")
        self._spawn(self.heartbeat.run())
        self._start_resolvers()
        await self.links.start()
        await self._begin()
        await self.control.start()
        self._start_managers()
        self._spawn(self.alerts.run())
        self._beat_pulse()
        if self.setup.cluster.majority:
            self._watch_lease()
        gc.collect()
        gc.freeze()
        await self._stop_asked.wait()
        if self._switched:
            await self._make_way()
            return EXIT_SWITCH
        await self._stop()
        return 0

    async def _begin(self) -> None:
        """Adopt, or first put down, what an earlier daemon left; then let the engine begin."""
        held = self.state.held
        self.mirrors.start()
        running: dict[str, bool] = {}
        if self.setup.adopts:
            answers = await asyncio.gather(*(probe(self.machine, name) for name in held))
            running = dict(zip(held, answers, strict=True))
        elif held:
            await self._put_down_left_overs(held)
        self._open = True
        if self.setup.cluster.fences:
            self._queue.appendleft(self.fences.known())
        record = self.setup.record
        self._queue.appendleft(
            Started(running=running, switch=record.switch if record else None, stored=self.setup.configuration)
        )
        self._drain()

    async def _put_down_left_overs(self, held: tuple[str, ...]) -> None:
        """They may be active elsewhere by now. While one of them does not stop, this server starts nothing."""
        me = self.setup.me
        failures = await release_all(self.machine, self.state, self._bug, only_active=True)
        if not failures:
            self.journal.write(_LEFT_OVER, "server", me, me, ", ".join(held))
            return
        self.journal.write(_STUCK, "server", me, me, ", ".join(self.state.held), " ".join(failures))
        self._saved["local"] = {"service": "stopped"}

    def _start_resolvers(self) -> None:
        cluster = self.setup.cluster
        if cluster.arbiters:
            self._spawn(self.arbiters.run())
        if cluster.pings:
            from agent.daemon.resolvers import PingResolvers

            self._spawn(PingResolvers(cluster, self.setup.me, self.feed, self.clock.now).run())

    def _start_managers(self) -> None:
        try:
            managers = read_managers(Path(self.setup.places.manager))
        except ManagerFileError as error:
            self.journal.write(_MANAGER_FILE, "server", self.setup.me, str(error))
            return
        configuration = Configuration(self.setup.running.config) if managers else None
        for manager in managers:
            assert configuration is not None
            link = ManagerLink(manager, configuration, self.observer, self.console, self._manager_away)
            self._spawn(link.run())

    async def _stop(self) -> None:
        """The cluster service stops here: groups move or stop, peers hear that it was meant, then we go."""
        request = Request(id=f"stop-{uuid4().hex}", op="server_stop", target=self.setup.me, by="clpd")
        async for step in self.console.ask(request, STOP_S):
            if isinstance(step, Answer) and step.code != 0:
                self.journal.line("info", f"stopping: {step.text}")
        self._open = False
        await self.monitors.close()
        await self.preactions.close()
        await self.actions.close()
        await self.fences.close()
        if self.state.held:
            for failure in await release_all(self.machine, self.state, self._bug):
                self.journal.line("error", f"stopping: {failure}")
        if not self.state.held:
            self.heartbeat.beat(NO_EPOCH, "stopped")
        await self.mirrors.stop()
        await self._close()

    def _service(self) -> str:
        """For who brings a configuration. `waiting`: it runs nothing, since the others have another one."""
        report = self.engine.report
        return "waiting" if report.service == "online" and self.engine.membership.voice.waiting else report.service

    def _switch(self, switch: Switch) -> None:
        assert self.console.configurations is not None
        self.console.configurations.begin(switch)

    def _keep(self, switch: Switch) -> None:
        keep(self.setup.places, switch, self.setup.incarnation)

    def _leave_for_another(self) -> None:
        self._switched = True
        self._stop_asked.set()

    async def _make_way(self) -> None:
        """What runs goes on; no word to anybody, as when this daemon is killed, but its own processes end with it."""
        self._open = False
        self.journal.line("info", "The configuration is exchanged: another daemon goes on with it.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await asyncio.gather(
                    self.monitors.close(),
                    self.preactions.close(),
                    self.actions.close(),
                    self.fences.close(),
                    self.mirrors.close(),
                )
        self.journal.close()

    async def _close(self) -> None:
        await self.via.close()
        await self.control.close()
        if self.console.collections:
            await self.console.collections.close()
        await self.links.close()
        await give_up(self._tasks)
        with contextlib.suppress(DriverError):
            await self.network.unpin_neighbours()
        self.network.close()
        self.journal.close()
        await self.alerts.close()

    def _loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        lines = traceback.format_exception(error) if error else []
        self._bug(f"{context.get('message', 'error in the loop')}\n{''.join(lines)}")


async def _main() -> int:
    petting = Petting()
    petting.begin()
    try:
        setup = await prepare(paths())
    except UnsettledError:
        return EXIT_SWITCH
    except SetupError as error:
        return _refused(str(error))
    petting.period_s = min(PET_S, setup.cluster.grace_s / 8)
    try:
        code = await Daemon(setup).run()
    except OSError as error:
        return _refused(str(error))
    if code == EXIT_SWITCH:
        os._exit(code)  # Nothing here is worth waiting for: this server is without a daemon until the next one.
    return code


def _refused(text: str) -> int:
    """To whoever started clpd, and to the log that an administrator looks into."""
    sys.stderr.write(f"{text}\n")
    places = paths()
    append_line(Path(places.log), places.own_name(), f"The daemon cannot start: {text}")
    return EXIT_CONFIG


def main() -> int:
    return asyncio.run(_main())


if __name__ == "__main__":
    sys.exit(main())
