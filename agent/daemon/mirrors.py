"""The mirror disks of this server: their processes, what the cluster says to them, and what they ask of it.

Rules of this file
- What the engine knows is looked at after each of its steps and told on only where it has changed: nothing here decides
  who may run what.
- A permit to go on alone is for the activation that the group has here, while the view in force leaves the other server
  out and that one has certainly stopped what it ran: the rule by which the cluster starts its groups elsewhere.
- What lets a mirror process go on alone says up to when this daemon answers for it (`_answers_until`), so that a word
  which waited while the process, or the whole server, was held up is not obeyed.
- While the service is stopped no mirror process runs. A daemon that makes way for another one leaves them alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import traceback
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agent.clpconf.model import Cluster
from agent.daemon.binding import BoundResource, Machine
from agent.daemon.clock import steady
from agent.daemon.console import Console
from agent.daemon.journal import Journal
from agent.daemon.mirror import Mirror, Standing, abort, activation_epoch, deactivate
from agent.daemon.mirror_backup import Backups
from agent.daemon.mirror_client import Message, MirrorGoneError, look, order
from agent.daemon.mirror_hold import thaw_left
from agent.daemon.mirror_notes import MirrorNotes
from agent.daemon.mirror_orders import MirrorOrders
from agent.daemon.mirror_process import MirrorProcess, left_behind
from agent.daemon.mirror_questions import Forward, Questions
from agent.daemon.mirror_settings import servers_of, settings_of
from agent.daemon.paths import Paths
from agent.daemon.tasks import give_up
from agent.drivers.machine import boot_id
from agent.engine.detector import LEASE
from agent.engine.engine import Engine
from agent.engine.events import Responded
from agent.engine.states import OFFLINE, ONLINE, STOP_FAILED, STOPPING
from agent.messages import mirrors as md
from agent.mirrord.holder import Holder
from agent.mirrord.settings import Settings
from agent.ports import DriverError
from agent.resources import mounting
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.mirror import MirrorState

_LOOK_S = 0.3  # whether another server has certainly stopped, by the coordinator's word
_END_S = 5.0


def here(cluster: Cluster, me: str, key: bytes, run: str) -> tuple[dict[str, Settings], dict[str, str]]:
    """The mirrors that have a disk on this server, and why some cannot be used."""
    found: dict[str, Settings] = {}
    wrong: dict[str, str] = {}
    boot = boot_id()
    for resource in cluster.resources:
        if resource.type == "md" and me in servers_of(cluster, resource.name):
            try:
                found[resource.name] = settings_of(cluster, me, resource, key=key, run=run, boot=boot)
            except ValueError as error:
                wrong[resource.name] = str(error)
    return found, wrong


class View:
    """What is asked of the engine (Questions.ClusterView)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def epoch(self) -> Epoch:
        membership = self._engine.membership
        return membership.view.epoch if membership.in_view else NO_EPOCH

    @property
    def members(self) -> tuple[str, ...]:
        return self._engine.membership.view.members

    @property
    def coordinator(self) -> str:
        return self._engine.membership.view.coordinator

    def gone(self, server: str) -> bool:
        membership = self._engine.membership
        return membership.coordinates and server in membership.peers and membership.gone(server)

    def next_serial(self) -> int:
        orders = self._engine.coordinator.orders
        orders.serial += 1
        return orders.serial


class Mirrors:
    """Also `ports.Mirrors` for the resources and monitors of this server."""

    def __init__(
        self,
        engine: Engine,
        settings: Mapping[str, Settings],
        wrong: Mapping[str, str],
        *,
        places: Paths,
        journal: Journal,
        now: Callable[[], float],
        feed: Callable[[Responded], None],
        forward: Forward,
        bug: Callable[[str], None],
        lease_since: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`lease_since`: by CLOCK_BOOTTIME; 0.0 without a lease."""
        self._engine = engine
        self._me = engine.core.me
        self._cluster = engine.core.cluster
        self._places = places
        self._journal = journal
        self._now = now
        self._feed = feed
        self._bug = bug
        self._lease_since = lease_since
        self._wrong = wrong
        self._view = View(engine)
        self.questions = Questions(self._me, self, self._view, forward)
        self.backups = Backups(self._me, Path(places.run), self.questions, self._kind, self._point, self._note)
        self._notes: dict[str, MirrorNotes] = {}
        self.by_name = {name: self._make(one) for name, one in settings.items()}
        self._told: dict[tuple[str, str], asyncio.Event] = {}
        self._asking: set[tuple[str, str]] = set()
        self._gone: dict[tuple[Epoch, str], bool] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[str] = set()
        self._closed = False
        self._machine: Machine | None = None

    def _make(self, settings: Settings) -> Mirror:
        name = settings.mirror
        notes = self._notes[name] = MirrorNotes(self._journal, name, self._me, settings.peer)
        mirror = Mirror(settings, Path(self._places.log), Holder(settings), said=self._said, note=notes.write)
        mirror.number, mirror.look, mirror.answers_until = self.questions.number, self.look, self._answers_until
        mirror.unshown = partial(self.backups.end_for_activation, mirror)
        mirror.mounting, mirror.unmounting = partial(self._mounted, name), partial(self._unmounted, name)
        return mirror

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self._bug(f"mirror disks: an error of this program\n{traceback.format_exc()}")

    # ---- life ----
    def serve(self, machine: Machine, console: Console) -> None:
        """Its resources and monitors, operators, and the other daemons."""
        machine.mirrors = self
        self._machine = machine
        servers = self._cluster.server_names
        console.mirror_orders = MirrorOrders(self._me, lambda: self.by_name, lambda: servers, self.backups.carry_out)
        console.mirror_questions = self.questions.answer

    def start(self) -> None:
        """Finds what runs already; the rest is started as soon as the service is not stopped."""
        for name, why in self._wrong.items():
            self._journal.write(md.UNUSABLE, "resource", name, name, self._me, why, module="md")
        self._spawn(self._thaw_left())
        left = left_behind(Path(self._places.run), set(self.by_name))
        for settings in left.values():
            self._spawn(self._end_left(settings))
        self.look()

    async def _thaw_left(self) -> None:
        for point in await asyncio.to_thread(thaw_left, Path(self._places.run)):
            self._journal.write(md.THAWED, "server", self._me, point, self._me, module="md")

    async def _end_left(self, settings: Settings) -> None:
        """Of a mirror that clp.conf does not have any more; its group was stopped before."""
        with contextlib.suppress(MirrorGoneError, TimeoutError, DriverError):
            await deactivate(settings, Holder(settings))
            await order(settings.control, "stop", _END_S)
        MirrorProcess(settings, Path(self._places.log), lambda _how: None).forget()

    async def close(self) -> None:
        """This daemon ends; what runs goes on."""
        self._closed = True
        self.backups.close()
        await give_up([*self._running.values(), *self._tasks])

    async def stop(self) -> None:
        """The service ends: no mirror process is left."""
        self._closed = True
        self.backups.close()
        await give_up([*self._running.values(), *self._tasks])
        await asyncio.gather(*(self._end(mirror) for mirror in self.by_name.values()))

    async def _end(self, mirror: Mirror) -> None:
        if not await mirror.end():
            self._journal.write(
                md.STUCK, "resource", mirror.name, mirror.name, self._me, "it waits for the kernel", module="md"
            )

    def _stop_one(self, mirror: Mirror) -> None:
        self._ending.add(mirror.name)
        self._spawn(self._stopped(mirror, self._running.pop(mirror.name)))

    async def _stopped(self, mirror: Mirror, running: asyncio.Task[None]) -> None:
        await give_up([running])
        await self._end(mirror)
        self._ending.discard(mirror.name)
        self.look()

    # ---- by hand ----
    async def _mounted(self, name: str, device: str) -> None:
        bound = self._bound(name)
        await mounting.mount(bound.values, bound.ports, device)

    async def _unmounted(self, name: str) -> None:
        async def broken() -> bool:
            return False

        bound = self._bound(name)
        await mounting.unmount(bound.values, bound.ports, broken)

    def _kind(self, name: str) -> str:
        """Of its file system, "" none."""
        values = self._bound(name).values
        return str(values["parameters/fs"]) if mounting.point_of(values) else ""

    async def _point(self, name: str) -> str:
        """Where it is mounted now, "" nowhere."""
        bound = self._bound(name)
        point = mounting.point_of(bound.values)
        return point if point and await bound.ports.mounts.at(point) is not None else ""

    def _note(self, name: str, number: int, *params: str) -> None:
        self._notes[name].write(number, *params)

    def _bound(self, name: str) -> BoundResource:
        assert self._machine is not None
        return self._machine.resource(name)

    # ---- what the engine knows ----
    def look(self) -> None:
        """After each step of the engine."""
        if self._closed or not self.by_name:
            return
        stopped = self._engine.membership.service == "stopped"
        for mirror in self.by_name.values():
            self._keep(mirror, stopped=stopped)
            mirror.stand(self._standing(mirror))

    def _keep(self, mirror: Mirror, *, stopped: bool) -> None:
        runs = mirror.name in self._running
        if mirror.name in self._ending:
            return
        if stopped and runs:
            self._stop_one(mirror)
        elif not stopped and not runs:
            self._running[mirror.name] = self._spawn(mirror.run())
        elif runs and mirror.state is not None and mirror.process.outdated and mirror.is_idle:
            self._journal.write(md.REPLACED, "resource", mirror.name, mirror.name, self._me, module="md")
            self._stop_one(mirror)

    def _standing(self, mirror: Mirror) -> Standing:
        membership, epoch = self._engine.membership, self._view.epoch
        peer_here = mirror.peer in membership.view.members
        held, online = self._activation(mirror)
        group = self._cluster.group_of(mirror.name)
        local = self._engine.groups.local.get(group.name) if group is not None else None
        return Standing(
            epoch=epoch, since=membership.continuity.since, peer_is_here=peer_here,
            peer_is_gone=epoch != NO_EPOCH and not peer_here and self._is_gone(mirror.peer, epoch),
            held=held, online=online, stopping=local is not None and local.state in (STOPPING, STOP_FAILED),
            cut_off=epoch == NO_EPOCH or not membership.lease_held or bool(self._engine.partition.cut_off),
        )  # fmt: skip

    def _answers_until(self) -> float:
        """So long nobody can have been started in the place of this server, by what it knows now."""
        timeout_s, since = self._cluster.timeout_s, self._lease_since()
        return min(steady() + timeout_s, since + LEASE * timeout_s if since else math.inf)

    def _activation(self, mirror: Mirror) -> tuple[Epoch | None, bool]:
        """That which the group, or an operator, has here; and whether it was carried out."""
        group = self._cluster.group_of(mirror.name)
        local = self._engine.groups.local.get(group.name) if group is not None else None
        if local is not None and (resource := local.resources.get(mirror.name)) and resource.state != OFFLINE:
            number = activation_epoch(local.start_epoch, local.start_serial)
            return number, resource.state in (ONLINE, STOPPING, STOP_FAILED)
        return mirror.by_hand, mirror.by_hand is not None

    def _is_gone(self, server: str, epoch: Epoch) -> bool:
        if self._view.coordinator == self._me:
            return self._view.gone(server)
        if (epoch, server) not in self._gone:
            self._gone = {key: value for key, value in self._gone.items() if key[0] == epoch}
            self._gone[epoch, server] = False
            self._spawn(self._ask_gone(server, epoch))
        return self._gone[epoch, server]

    async def _ask_gone(self, server: str, epoch: Epoch) -> None:
        """Until the coordinator of this view knows it."""
        while self._view.epoch == epoch and not self._closed:
            if await self.questions.gone(server):
                self._gone[epoch, server] = True
                self.look()
                return
            await asyncio.sleep(_LOOK_S)
        self._gone.pop((epoch, server), None)

    # ---- what the mirror processes say ----
    def _said(self, mirror: Mirror, message: Message) -> None:
        kind, notes = message.get("type"), self._notes[mirror.name]
        if kind == "state" and mirror.state is not None:
            notes.seen(self._now(), mirror.state)
            self._feed(Responded(mirrors={mirror.name: mirror.state}))
        elif kind == "gone":
            self._feed(Responded(mirrors={mirror.name: None}))
        elif kind == "stood_down":
            notes.stood_down(str(message.get("why", "")))
        elif kind == "note":
            notes.said(self._now(), str(message.get("severity", "")), str(message.get("text", "")))
        elif kind == "told":
            if event := self._told.get((mirror.name, str(message.get("generation", "")))):
                event.set()
        elif kind == "ask_outdated":
            self._ask_outdated(mirror, str(message.get("generation", "")), message.get("epoch"))

    def _ask_outdated(self, mirror: Mirror, generation: str, epoch: object) -> None:
        """It says so again and again while writes wait."""
        standing = mirror.standing
        if not standing.peer_is_here:
            mirror.tell_view()  # A permit needs no word of the other side.
            return
        held = list(standing.held) if standing.held is not None else None
        if epoch != held or held is None or (mirror.name, generation) in self._asking:
            return
        self._asking.add((mirror.name, generation))
        self._spawn(self._outdate(mirror, generation, held))

    async def _outdate(self, mirror: Mirror, generation: str, epoch: list[int]) -> None:
        try:
            if await self.questions.outdate(mirror, generation, epoch):
                mirror.outdated_there(generation)
        finally:
            self._asking.discard((mirror.name, generation))

    def expect(self, name: str, generation: str) -> asyncio.Event:
        return self._told.setdefault((name, generation), asyncio.Event())

    def forget(self, name: str, generation: str) -> None:
        self._told.pop((name, generation), None)

    # ---- ports.Mirrors ----
    async def state(self, name: str) -> MirrorState | None:
        mirror = self._one(name)
        return mirror.state or await look(mirror.settings.control)

    async def activate(self, name: str, *, full: bool) -> tuple[str, bool]:
        mirror = self._one(name)
        self.look()
        epoch, _ = self._activation(mirror)
        if epoch is None:
            raise DriverError(f"{name} belongs to no group that is being started here", retryable=False)
        return await mirror.activate_here(epoch, full=full)

    async def deactivate(self, name: str) -> None:
        await self._one(name).deactivate_here()

    async def abort(self, name: str) -> None:
        await self._one(name).abort()

    def _one(self, name: str) -> Mirror:
        if name not in self.by_name:
            raise DriverError(self._wrong.get(name, f"{name} has no disk on this server"), retryable=False)
        return self.by_name[name]


class MirrorsAlone:
    """`ports.Mirrors` where no daemon runs (agent/daemon/release.py): takes down, and activates nothing."""

    def __init__(self, settings: Mapping[str, Settings]) -> None:
        self._settings = settings
        self._holders: dict[str, Holder] = {}

    def _one(self, name: str) -> Settings:
        if name not in self._settings:
            raise DriverError(f"{name} has no disk on this server", retryable=False)
        return self._settings[name]

    async def state(self, name: str) -> MirrorState | None:
        return await look(self._one(name).control)

    async def activate(self, name: str, *, full: bool) -> tuple[str, bool]:
        raise DriverError(f"{name} is not activated without a daemon", retryable=False)

    async def deactivate(self, name: str) -> None:
        settings = self._one(name)
        process = MirrorProcess(settings, Path(settings.run), lambda _how: None)
        process.find()
        await deactivate(settings, self._holder(name), process)

    async def abort(self, name: str) -> None:
        await abort(self._holder(name))

    def _holder(self, name: str) -> Holder:
        return self._holders.setdefault(name, Holder(self._one(name)))
