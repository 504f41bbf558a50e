"""Carries out what the engine wants, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from agent.clpconf.model import Cluster
from agent.daemon.actions import Actions
from agent.daemon.console import Console
from agent.daemon.heartbeat_client import HeartbeatClient
from agent.daemon.journal import Journal
from agent.daemon.monitors import MonitorRuns
from agent.daemon.peers import Carry, PeerLinks
from agent.daemon.state import StateFile
from agent.engine.effects import (
    Abort,
    Activate,
    Announce,
    AskArbiter,
    Beat,
    Deactivate,
    Effect,
    Fence,
    HaltServer,
    Log,
    Prepare,
    Publish,
    Reply,
    Save,
    Send,
    StartMonitor,
    StopMonitor,
)

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
        journal: Journal,
        console: Console,
        halt: Callable[[HaltServer], None],
    ) -> None:
        self._resources: Mapping[str, tuple[str, ...]] = {g.name: g.resources for g in cluster.groups}
        self._me = me
        self._state = state
        self._links = links
        self._actions = actions
        self._monitors = monitors
        self._heartbeat = heartbeat
        self._journal = journal
        self._console = console
        self._halt = halt
        self._unsaved: Save | None = None

    def carry_out(self, effects: Iterable[Effect]) -> None:
        if self._unsaved is not None:
            self._save(self._unsaved)
        for effect in effects:
            self._one(effect)
        self._heartbeat.holding(bool(self._state.held))

    def _one(self, effect: Effect) -> None:
        match effect:
            case Send():
                if self._unsaved is None:
                    self._links.send(effect.to, Carry(effect.message))
            case Save():
                self._save(effect)
            case Activate():
                self._actions.activate(effect)
            case Deactivate():
                self._actions.deactivate(effect)
            case Abort():
                self._actions.abort(effect.token)
            case Announce():
                self._actions.announce(self._resources.get(effect.group, ()))
            case StartMonitor():
                self._monitors.start(effect.monitor)
            case StopMonitor():
                self._monitors.stop(effect.monitor)
            case Beat():
                self._heartbeat.beat(effect.epoch, effect.service, effect.members)
            case Log():
                self._journal.add(effect.note)
            case Reply():
                self._console.reply(effect.answer)
            case HaltServer():
                self._halt(effect)
            case Prepare() | AskArbiter() | Fence():
                raise NotImplementedError(type(effect).__name__)
            case Publish():
                pass  # Readers look at the engine itself (observer).
            case _:
                assert_never(effect)

    def _save(self, save: Save) -> None:
        durable = save.durable or (self._unsaved is not None)
        try:
            self._state.save(save.state, durable=durable)
            self._unsaved = None
        except OSError as error:
            self._unsaved = save if durable else None
            self._journal.write_limited(60, _STATE_NOT_WRITTEN, "server", self._me, self._me, str(error))
