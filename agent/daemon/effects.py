"""Carries out what the engine wants, in its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from agent.clpconf.model import Cluster
from agent.daemon.actions import Actions
from agent.daemon.arbiter_client import ArbiterClient
from agent.daemon.console import Console
from agent.daemon.drill import DrillRuns
from agent.daemon.fencing import FenceRuns
from agent.daemon.heartbeat_client import HeartbeatClient
from agent.daemon.journal import Journal
from agent.daemon.monitors import MonitorRuns
from agent.daemon.peers import Carry, PeerLinks
from agent.daemon.preaction import Preactions
from agent.daemon.state import StateFile
from agent.engine.effects import (
    Abort,
    Activate,
    Announce,
    AskArbiter,
    Beat,
    BeginDrill,
    Deactivate,
    Effect,
    EndDrill,
    Fence,
    HaltServer,
    KeepConfiguration,
    Log,
    Prepare,
    Publish,
    Reply,
    RunScript,
    Save,
    Send,
    StartMonitor,
    StopMonitor,
    SwitchConfiguration,
    Watchdog,
)
from agent.wire.switch import Switch

_STATE_NOT_WRITTEN = 31


class Effects:
    """While a durable state could not be written, nothing is sent: what peers were told might be forgotten."""

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        *,
        state: StateFile,
        links: PeerLinks,
        actions: Actions,
        monitors: MonitorRuns,
        heartbeat: HeartbeatClient,
        fences: FenceRuns,
        journal: Journal,
        console: Console,
        halt: Callable[[HaltServer], None],
        preactions: Preactions,
        switch: Callable[[Switch], None],
        keep: Callable[[Switch], None],  # OSError: not yet
        drills: DrillRuns | None = None,
        arbiters: ArbiterClient | None = None,
        acted: Callable[[], None] = lambda: None,  # what was urgent is done
    ) -> None:
        self._resources: Mapping[str, tuple[str, ...]] = {g.name: g.resources for g in cluster.groups}
        self._me = me
        self._state = state
        self._links = links
        self._actions = actions
        self._monitors = monitors
        self._heartbeat = heartbeat
        self._fences = fences
        self._journal = journal
        self._console = console
        self._halt = halt
        self._switch = switch
        self._keep = keep
        self._arbiters = arbiters
        self._drills = drills
        self._preactions = preactions
        self._acted = acted
        self._unsaved: Save | None = None
        self._unkept: Switch | None = None

    def carry_out(self, effects: Sequence[Effect]) -> None:
        if self._unsaved is not None:
            self._save(self._unsaved)
        if self._unkept is not None:
            self._confirm(self._unkept)
        urgent = [e for e in effects if isinstance(e, Activate) and self._actions.ready(e)]
        if urgent:
            effects = self._hurry(urgent, effects)
        for effect in effects:
            self._one(effect)
        self._heartbeat.holding(bool(self._state.held))

    def _hurry(self, urgent: Sequence[Activate], effects: Sequence[Effect]) -> Sequence[Effect]:
        """What was prepared for a failover goes before all that is only told of it, but not before it is saved. Returns
        what is left to do."""
        first: list[Effect] = [*(e for e in effects if isinstance(e, Save)), *urgent]
        for effect in first:
            self._one(effect)
        self._acted()
        done = set(map(id, first))
        return [e for e in effects if id(e) not in done]

    def _one(self, effect: Effect) -> None:
        match effect:
            case Send():
                if not self._forgetful:
                    self._links.send(effect.to, Carry(effect.message))
            case Save():
                self._save(effect)
            case Activate():
                self._heartbeat.holding(True)  # Before it is true.
                self._actions.activate(effect)
            case Deactivate():
                self._actions.deactivate(effect)
            case Abort():
                self._actions.abort(effect.token)
                self._fences.abort(effect.token)
            case Announce():
                self._actions.announce(self._resources.get(effect.group, ()))
            case RunScript():
                self._preactions.run(effect)
            case StartMonitor():
                self._monitors.start(effect.monitor)
            case StopMonitor():
                self._monitors.stop(effect.monitor)
            case Beat():
                self._heartbeat.beat(
                    effect.epoch, effect.service, effect.members, effect.electorates, effect.promised, effect.config
                )  # fmt: skip
                if self._arbiters is not None:
                    self._arbiters.beat(effect.service)
            case Log():
                self._journal.add(effect.note)
            case Reply():
                self._console.reply(effect.answer)
            case HaltServer():
                self._halt(effect)
            case Prepare():
                self._actions.prepare(effect.resource)
            case Fence():
                self._fences.carry_out(effect)
            case Watchdog():
                self._heartbeat.watchdog(armed=effect.armed)
            case AskArbiter():
                if not self._forgetful and self._arbiters is not None:
                    self._arbiters.ask(effect)
            case SwitchConfiguration():
                self._switch(effect.switch)
            case KeepConfiguration():
                self._confirm(effect.switch)
            case BeginDrill():
                if not self._forgetful and self._drills is not None:
                    self._drills.begin(effect)
            case EndDrill():
                if self._drills is not None:
                    self._drills.end(effect)
            case Publish():
                pass  # Readers look at the engine itself (observer).
            case _:
                assert_never(effect)

    @property
    def _forgetful(self) -> bool:
        return self._unsaved is not None or self._unkept is not None

    def _confirm(self, switch: Switch) -> None:
        self._unkept = None
        try:
            self._keep(switch)
        except OSError as error:
            self._unkept = switch
            self._journal.write_limited(60, _STATE_NOT_WRITTEN, "server", self._me, self._me, str(error))

    def _save(self, save: Save) -> None:
        durable = save.durable or (self._unsaved is not None)
        try:
            self._state.save(save.state, durable=durable)
            self._unsaved = None
        except OSError as error:
            self._unsaved = save if durable else None
            self._journal.write_limited(60, _STATE_NOT_WRITTEN, "server", self._me, self._me, str(error))
