"""Who tells mail, traps and webhooks: one server for the whole cluster. No clock and no disk of its own.

Rules
1. An event of the cluster is often written by several servers in the same words (each survivor says that server1 is
   down). Same module, number, object and parameters, written by another server within TWIN_S: that is a twin, and one
   of them is told. Of some messages only the first parameters count, since each server has its own reason.
2. Twins are gathered for GATHER_S. Then the writer that comes first in the cluster's order tells, the others wait.
   A twin that comes later is not told: the first one was.
3. Whoever has told says so to all (Told). Where nobody has said it TAKE_OVER_S later, the first server of those that
   are heard tells it: perhaps twice, rather than never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from agent.clpconf.alert_settings import Channel
from agent.wire.alerts import Alert

GATHER_S = 2.0
TWIN_S = 60.0
TAKE_OVER_S = 60.0
FORGET_S = 600.0
MOST = 5000
_SAME_BY = {("nm", 1): 1, ("nm", 2): 1, ("nm", 30): 1}  # message -> parameters that are compared


class _Event(msgspec.Struct):
    """Twins, as one."""

    alerts: list[Alert]
    writers: list[str]
    channels: tuple[Channel, ...]
    first_at: float
    told: set[Channel]
    decided: bool = False  # the writers' turn is over
    taken: bool = False  # this server tells
    over: bool = False


class Tell(msgspec.Struct, frozen=True):
    """This server shall tell; `ids` are those of all twins."""

    alert: Alert
    channel: Channel
    ids: tuple[str, ...]


class Teller:
    def __init__(self, me: str, order: Sequence[str], channels: Callable[[Alert], tuple[Channel, ...]]) -> None:
        """`order`: the servers by priority. `channels`: the once-told channels of an alert."""
        self._me = me
        self._rank = {name: number for number, name in enumerate(order)}
        self._channels = channels
        self._events: list[_Event] = []
        self._of: dict[str, _Event] = {}  # by id of the note

    def came(self, alert: Alert, writer: str, now: float, *, fresh: bool = True) -> None:
        """Written here or by another server. `fresh`: False after a restart, when the writers' turn is long over."""
        if alert.id in self._of:
            return
        channels = self._channels(alert)
        if not channels:
            return
        twin = self._twin(alert, writer, now)
        if twin is not None:
            twin.alerts.append(alert)
            twin.writers.append(writer)
            self._of[alert.id] = twin
            return
        event = _Event([alert], [writer], channels, now if fresh else now - GATHER_S, set())
        self._events.append(event)
        self._of[alert.id] = event
        if len(self._events) > MOST:
            self._forget([self._events[0]])

    def told(self, ids: Iterable[str], channel: Channel) -> None:
        for one in ids:
            if event := self._of.get(one):
                event.told.add(channel)

    def due(self, now: float, heard: set[str]) -> list[Tell]:
        """`heard`: the other servers that are there."""
        tells: list[Tell] = []
        for event in self._events:
            age_s = now - event.first_at
            if not event.decided and age_s >= GATHER_S:
                event.decided = True
                if self._first(event.writers) == self._me:
                    event.taken = True
                    tells += self._tells(event)
            elif event.decided and not event.over and age_s >= TAKE_OVER_S:
                event.over = True
                if not event.taken and self._first((*heard, self._me)) == self._me:
                    tells += self._tells(event)
        self._forget([event for event in self._events if now - event.first_at > FORGET_S])
        return tells

    def is_settled(self) -> bool:
        """Whatever came has been told, or is another one's."""
        return all(event.over or event.told.issuperset(event.channels) for event in self._events)

    def next_deadline(self) -> float | None:
        ends = [
            event.first_at + (TAKE_OVER_S if event.decided else GATHER_S) for event in self._events if not event.over
        ]
        return min(ends, default=None)

    def _twin(self, alert: Alert, writer: str, now: float) -> _Event | None:
        for event in reversed(self._events):
            if now - event.first_at > TWIN_S:
                return None
            if writer not in event.writers and _key(event.alerts[0]) == _key(alert):
                return event
        return None

    def _tells(self, event: _Event) -> list[Tell]:
        ids = tuple(alert.id for alert in event.alerts)
        return [Tell(event.alerts[0], channel, ids) for channel in event.channels if channel not in event.told]

    def _first(self, servers: Iterable[str]) -> str:
        return min(servers, key=lambda name: (self._rank.get(name, len(self._rank)), name))

    def _forget(self, events: Sequence[_Event]) -> None:
        for event in events:
            self._events.remove(event)
            for alert in event.alerts:
                self._of.pop(alert.id, None)


def _key(alert: Alert) -> tuple[str, int, str, str, tuple[str, ...], str]:
    params = alert.params[: _SAME_BY.get((alert.module, alert.event), len(alert.params))]
    return alert.module, alert.event, alert.kind, alert.name, params, "" if alert.params else alert.text
