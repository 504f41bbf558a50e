"""Sends what waits in the alert store to its receivers: one worker a way, each with its own limits of time and rate.

A receiver that is slow or away holds up nobody else; what waits is bounded (alert_store.QUEUE) and ages (DROP_S).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from agent.alerts import formats
from agent.alerts.routing import ONCE
from agent.clpconf.alert_settings import AlertSettings, Channel, Mail, TrapReceiver
from agent.daemon.alert_store import AlertStore, Delivery
from agent.drivers import syslog
from agent.ports import DriverError
from agent.wire.alerts import Alert

DROP_S = 24 * 3600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
_LOOK_S = 60.0


class Limits(NamedTuple):
    at_once: int  # alerts of one sending
    burst: int
    every_s: float  # then one sending in so many seconds


LIMITS: dict[Channel, Limits] = {
    "syslog": Limits(1, 200, 0.02),
    "mail": Limits(50, 5, 10.0),
    "trap": Limits(1, 50, 0.1),
    "webhook": Limits(1, 20, 0.2),
    "script": Limits(1, 10, 1.0),
}


class Rate:
    """A bucket of sendings."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = float(limits.burst)
        self._at = time.monotonic()

    def wait_s(self) -> float:
        """Seconds until one more may go."""
        now = time.monotonic()
        self._left = min(self._limits.burst, self._left + (now - self._at) / self._limits.every_s)
        self._at = now
        return max(0.0, (1 - self._left) * self._limits.every_s)

    def take(self) -> None:
        self._left -= 1


class Pause(NamedTuple):
    until: float
    length_s: float


class Deliverer:
    def __init__(
        self, store: AlertStore, settings: AlertSettings, cluster: str, me: str, *,
        told: Callable[[Channel, Sequence[Delivery]], None], say: Callable[..., None],
        limits: dict[Channel, Limits] = LIMITS,
    ) -> None:  # fmt: skip
        """`told`: they have been told, within a change of the store. `say(number, *params)`: about the alerts."""
        self._store = store
        self._settings = settings
        self._cluster = cluster
        self._me = me
        self._told = told
        self._say = say
        self._limits = limits
        self._wakes: dict[Channel, asyncio.Event] = {channel: asyncio.Event() for channel in limits}
        self._pauses: dict[tuple[Channel, str], Pause] = {}
        self._dropped: dict[Channel, int] = {}
        self._busy: set[Channel] = set()
        self._request = int(time.time())

    def receivers(self, channel: Channel) -> tuple[str, ...]:
        """Their names in the queue."""
        settings = self._settings
        if channel == "trap":
            return tuple(f"{one.host}:{one.port}" for one in settings.traps)
        return settings.webhooks if channel == "webhook" else (channel,)

    def wake(self, channel: Channel) -> None:
        self._wakes[channel].set()

    def dropped(self, channel: Channel, count: int) -> None:
        if count > 0:
            self._dropped[channel] = self._dropped.get(channel, 0) + count

    def has_work(self) -> bool:
        """Where there is no syslog (containers), its lines wait for the next time that we are needed anyway."""
        waits = set(self._store.waits())
        if not self._settings.syslog and ("syslog", "syslog") in self._pauses:
            waits.discard("syslog")
        return bool(waits)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for channel in self._limits:
                group.create_task(self._work(channel))

    async def drain(self, limit_s: float) -> None:
        """At the end: what goes at once goes; the rest is sent after the next start, or by others."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end and (self._busy or any(self._next(channel) for channel in self._limits)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def _next(self, channel: Channel) -> list[Delivery]:
        """Of one receiver that is not paused, the oldest ones."""
        now = time.monotonic()
        paused = [name for (one, name), pause in self._pauses.items() if one == channel and now < pause.until]
        waiting = self._store.waiting(channel, self._limits[channel].at_once, paused)
        return [one for one in waiting if one.receiver == waiting[0].receiver]

    async def _work(self, channel: Channel) -> None:
        rate, wake = Rate(self._limits[channel]), self._wakes[channel]
        while True:
            wake.clear()
            batch = self._next(channel)
            if not batch:
                await _wait(wake, self._look_s(channel))
            elif wait_s := rate.wait_s():
                await asyncio.sleep(wait_s)
            else:
                rate.take()
                await self._deliver(channel, batch)

    def _look_s(self, channel: Channel) -> float:
        ends = [pause.until for (one, _), pause in self._pauses.items() if one == channel]
        now = time.monotonic()
        return max(0.05, min([_LOOK_S, *(end - now for end in ends if end > now)]))

    async def _deliver(self, channel: Channel, batch: Sequence[Delivery]) -> None:
        old = [one for one in batch if time.time() - one.made > DROP_S]
        send = self._sender(channel, batch)
        if old or send is None:
            with self._store.change():
                self._store.done(old or batch)
            self.dropped(channel, len(old))
            return
        self._busy.add(channel)
        try:
            await asyncio.to_thread(send)
        except DriverError as error:
            self._failed(channel, batch, error)
        except Exception as error:  # An alert that trips our own code must not stop the others.
            with self._store.change():
                self._store.done(batch)
            self._say(5, f"{channel}: {type(error).__name__}")
        else:
            self._went(channel, batch)
        finally:
            self._busy.discard(channel)

    def _went(self, channel: Channel, batch: Sequence[Delivery]) -> None:
        with self._store.change():
            self._store.done(batch)
            if channel in ONCE:
                self._told(channel, batch)
        if self._pauses.pop((channel, batch[0].receiver), None) and channel != "script":
            self._say(2, channel)
        if count := self._dropped.pop(channel, 0):
            self._say(3, channel, str(count))

    def _failed(self, channel: Channel, batch: Sequence[Delivery], error: DriverError) -> None:
        if channel == "script":
            # Once: what it does is not known, so it must not be done again.
            with self._store.change():
                self._store.done(batch)
            self._say(5, error.detail.rstrip("."))
            return
        key = (channel, batch[0].receiver)
        length_s = min(LONGEST_PAUSE_S, 2 * self._pauses[key].length_s) if key in self._pauses else FIRST_PAUSE_S
        if key not in self._pauses and channel != "syslog":
            self._say(1, channel, error.detail.rstrip("."))
        self._pauses[key] = Pause(time.monotonic() + length_s, length_s)

    def _sender(self, channel: Channel, batch: Sequence[Delivery]) -> Callable[[], None] | None:
        """None for a receiver that the configuration does not name any more."""
        one, settings, cluster = batch[0], self._settings, self._cluster
        alert = one.alert
        if channel == "syslog":
            if settings.syslog:
                line = formats.syslog_line(alert, cluster, self._me)
                return partial(syslog.send_remote, line, settings.syslog, settings.syslog_port)
            return partial(syslog.send_local, formats.syslog_line(alert, cluster))
        if channel == "mail" and settings.mail is not None:
            return _mail([each.alert for each in batch], cluster, self._me, settings.mail)
        if channel == "script":
            return partial(_command, one.receiver, formats.variables(alert, cluster))
        if channel == "webhook" and one.receiver in settings.webhooks:
            return partial(_post, one.receiver, formats.payload(alert, cluster), settings.webhook_token)
        for receiver in settings.traps:
            if channel == "trap" and one.receiver == f"{receiver.host}:{receiver.port}":
                self._request += 1
                return partial(_trap, receiver, alert, cluster, self._request)
        return None


async def _wait(wake: asyncio.Event, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await wake.wait()
    except TimeoutError:
        return


# What many servers never use is not imported before: mail alone is 4 MB.


def _mail(alerts: Sequence[Alert], cluster: str, me: str, settings: Mail) -> Callable[[], None]:
    from agent.alerts.mail_text import mail
    from agent.drivers import smtp

    sender = next((server.sender for server in settings.servers if server.sender), f"openclp@{me}")
    message_id = f"<{alerts[0].id.replace(':', '.')}.{len(alerts)}@{cluster}.openclp>"
    return partial(smtp.send, mail(alerts, cluster, settings, sender, message_id), settings)


def _post(url: str, body: bytes, token: str) -> None:
    from agent.drivers import webhook

    webhook.post(url, body, token)


def _command(command: str, values: Mapping[str, str]) -> None:
    from agent.drivers import alert_command

    alert_command.run(command, values)


def _trap(receiver: TrapReceiver, alert: Alert, cluster: str, request: int) -> None:
    from agent.alerts.trap import trap
    from agent.drivers.snmp import send_trap

    # Of the machine: this process lives for seconds, and a receiver would take each for a new start of the server.
    uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    data = trap(
        alert, cluster, version=receiver.version, community=receiver.community, request=request, uptime_s=uptime_s
    )
    send_trap(data, receiver.host, receiver.port)
