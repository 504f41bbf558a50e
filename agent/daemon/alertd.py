"""clpaltd: tells people what the daemon notes. A process of low priority beside the daemon, which never waits for it.

It lives only while there is something to do (alert_child.py): after IDLE_S in which nothing came, with nothing queued
and nothing that a living server lacks or has more of, it says so (alert_rest.py) and ends. Where it offers metrics it
stays.
It follows events.jsonl, so that the file is the queue between both: nothing is lost when this process is not there. Its
own log (alert_store.py) holds the alerts of all servers, exchanged as agent/alerts/sync.py says; who tells is decided
by agent/alerts/telling.py, where to by agent/alerts/routing.py. It ends with its standard input, too: then the daemon
is gone. Its arguments are the sockets that it inherits, "ADDRESS=DESCRIPTOR".
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.alerts import formats
from agent.alerts.routing import ONCE, channels_of, commands_of
from agent.alerts.sync import Effect, Keep, Lost, Send, Sync
from agent.alerts.telling import FORGET_S, Teller
from agent.clpconf.alert_settings import Channel
from agent.clpconf.model import Cluster
from agent.daemon import alert_rest
from agent.daemon.alert_delivery import Deliverer
from agent.daemon.alert_net import AlertNet
from agent.daemon.alert_store import AlertStore, Delivery
from agent.daemon.journal import RotatingFile
from agent.daemon.journal_tail import JournalTail
from agent.daemon.paths import Paths, paths
from agent.daemon.peers import lan_paths
from agent.daemon.running import RUNNING, read_running
from agent.daemon.tasks import give_up
from agent.drivers.inotify import FileWatch
from agent.drivers.machine import boot_id
from agent.messages.catalog import render, severity
from agent.wire.alerts import MODULE, PORT, Alert, Codec, Told, alert_of, derive_key
from agent.wire.metrics import Sample

if TYPE_CHECKING:
    from agent.daemon.metrics_listener import MetricsListener

LOG, STORE, LOCK = "alert.log", "alerts.db", "alerts.lock"
LOG_BYTES = 4 << 20
NICE = 15
EXIT_LOCKED, EXIT_CONFIG = 75, 78
IDLE_S = 15.0
_LOCK_S = 30.0
_GATHER_S = 0.02  # lines that are written together are read together
_LOOK_S = 2.0  # where inotify does not tell
_NEWS_S = 600.0  # the first time ever, what is older is no news
_DRAIN_S = 2.0
_KEEP_TIDY_S = 300.0


class AlertDaemon:
    def __init__(
        self, places: Paths, cluster: Cluster, me: str, key: bytes, *, port: int = PORT,
        sockets: Mapping[str, socket.socket] | None = None,
    ) -> None:  # fmt: skip
        """OSError and sqlite3.Error go up. `sockets`: by their address, those that are bound already."""
        self._places, self._cluster, self._name = places, cluster, me
        self._sockets = sockets
        rested = alert_rest.take_away(places)
        self._settings = settings = cluster.alerts
        self.store = AlertStore(Path(places.state) / STORE, me, boot_id(), settings.most)
        self._log = RotatingFile(Path(places.log) / LOG, LOG_BYTES)
        self._tail = JournalTail(Path(places.events), self.store.cursor())
        self._watch = FileWatch(Path(places.events))
        self._first_time = self.store.cursor() is None
        servers = cluster.server_names
        self._codec = Codec(cluster.name, me, derive_key(key), servers)
        ways = lan_paths(cluster, me)
        own = [way.local for way in ways.pop(me)]
        self._peers = tuple(ways)
        self._net = AlertNet(ways, own if self._peers else (), self._received, port)
        self._sync = self._new_sync(quiet=rested)
        self._teller = Teller(me, servers, lambda alert: _once(channels_of(alert, settings)))
        self.deliverer = Deliverer(
            self.store, settings, cluster.name, me, told=self._have_told, say=self._say
        )  # fmt: skip
        self.metrics: MetricsListener | None = None
        if settings.metrics.port:
            from agent.daemon.metrics_listener import MetricsListener

            where = settings.metrics
            self.metrics = MetricsListener(
                where.address, where.port, places.agent_socket, cluster.name, me, self._samples
            )  # fmt: skip
        self._ahead_s: dict[str, float] = {}  # the clocks of others
        self._said = 0
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._tidied_at = self._active_at = time.monotonic()
        self._error: BaseException | None = None
        self._ended = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Errors of the store go up."""
        loop = asyncio.get_running_loop()
        self._remember()
        self._net.start(self._sockets)
        for complaint in self._net.complaints:
            self._say(5, complaint.rstrip("."))
        await self._start_metrics()
        if self._watch.fd >= 0:
            loop.add_reader(self._watch.fd, self._written)
        work = asyncio.ensure_future(self.deliverer.run())
        self._look_now()
        self._turn()
        try:
            ends = [asyncio.ensure_future(one.wait()) for one in (stop, self._ended)]
            await asyncio.wait((*ends, work), return_when=asyncio.FIRST_COMPLETED)
            await give_up(ends)
            if self._error is not None:
                raise self._error
            if not work.done():
                self._read_journal()
                await self.deliverer.drain(_DRAIN_S)
        finally:
            failed = work.exception() if work.done() and not work.cancelled() else None
            await give_up((work,))
            self._close(loop)
        if failed is not None:
            raise failed

    async def _start_metrics(self) -> None:
        if self.metrics is None:
            return
        try:
            await self.metrics.start()
        except OSError as error:
            where = self._settings.metrics
            self._say(5, f"metrics cannot be offered at {where.address} port {where.port}: {error.strerror}")
            self.metrics = None

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancel()
        if self.metrics is not None:
            self.metrics.close()
        if self._watch.fd >= 0:
            loop.remove_reader(self._watch.fd)
        self._watch.close()
        self._net.close()
        self._tail.close()
        self._log.close()
        self.store.close()

    # --- what the daemon writes

    def _written(self) -> None:
        self._watch.drain()
        if self._look is not None:
            self._look.cancel()
        self._look = asyncio.get_running_loop().call_later(_GATHER_S, self._look_now)

    def _look_now(self) -> None:
        with self._guarded():
            self._watch.renew()
            self._read_journal()
        self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_now)

    def _read_journal(self) -> None:
        while True:
            notes, cursor = self._tail.read()
            if cursor is None or cursor == self.store.cursor():
                return
            newest = time.time() - _NEWS_S if self._first_time else 0.0
            alerts = [alert_of(note) for note in notes if note.time >= newest]
            with self.store.change():
                kept = [alert for alert in alerts if self._take(alert)]
                self.store.move(cursor)
            self._announce(kept)

    def _take(self, alert: Alert) -> bool:
        """Of this server, within a change of the store."""
        channels = channels_of(alert, self._settings)
        if not channels:
            return False
        self.store.append(time.time(), alert)
        if "syslog" in channels:
            self._enqueue("syslog", self.deliverer.receivers("syslog"), alert, (alert.id,))
        if "script" in channels:
            self._enqueue("script", commands_of(alert, self._settings), alert, (alert.id,))
        return True

    def _announce(self, alerts: Sequence[Alert]) -> None:
        """After the change."""
        if not alerts:
            return
        now = self._active_at = time.monotonic()
        for alert in alerts:
            self._keep_line(alert)
            self._teller.came(alert, self._name, now)
        self._carry_out(self._sync.wrote(now, self.store.last(self.store.me)))
        self._turn()

    def _keep_line(self, alert: Alert) -> None:
        if "alert" in channels_of(alert, self._settings):
            self._log.append(formats.log_line(alert).encode("utf-8", "replace"))

    def _say(self, number: int, *params: str) -> None:
        """Something about the alerts themselves."""
        self._said += 1
        alert = Alert(
            f"{self._name}:alert:{time.time_ns()}.{self._said}", time.time(), self._name, MODULE, number,
            severity(MODULE, number), "server", self._name, render(MODULE, number, params), params,
        )  # fmt: skip
        with self.store.change():
            self._take(alert)
        self._announce([alert])

    # --- what others say

    def _new_sync(self, *, quiet: bool = False) -> Sync:
        store = self.store
        return Sync(store.me, self._peers, store.extents(), store.read, time.monotonic(), quiet=quiet)

    def _received(self, data: bytes) -> str:
        opened = self._codec.open(data)
        if opened is None:
            return ""
        sender, packet, at = opened
        self._ahead_s[sender] = at - time.time()
        self._active_at = time.monotonic()
        with self._guarded():
            self._carry_out(self._sync.received(sender, packet, time.monotonic()))
            self._turn()
        return sender

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._net.send(effect.peer, self._codec.seal(effect.packet, time.time()))
            elif isinstance(effect, Keep):
                self._keep(effect)
            elif isinstance(effect, Lost):
                self._say(4, effect.stream.server, str(effect.count))
            else:
                self.store.begin_anew()
                self._sync = self._new_sync()

    def _keep(self, effect: Keep) -> None:
        now = time.monotonic()
        with self.store.change():
            self.store.keep(effect.stream, effect.entries, time.time())
            for entry in effect.entries:
                if entry.told is not None:
                    self.store.told_elsewhere(entry.told.channel, entry.told.ids)
        for entry in effect.entries:
            if entry.told is not None:
                self._teller.told(entry.told.ids, entry.told.channel)
            # What this server wrote itself, before its log was lost, it has told.
            if entry.alert is not None and effect.stream.server != self._name:
                self._keep_line(entry.alert)
                if self._is_news(entry.alert, effect.stream.server):
                    self._teller.came(entry.alert, effect.stream.server, now)

    def _is_news(self, alert: Alert, writer: str) -> bool:
        """By the writer's clock: a server that was away takes over nobody's old mails."""
        return time.time() + self._ahead_s.get(writer, 0.0) - alert.time < FORGET_S

    # --- who tells

    def _remember(self) -> None:
        """What was not decided when this process ended last."""
        now = time.monotonic()
        entries = self.store.since(time.time() - FORGET_S)
        for writer, entry in entries:
            if entry.alert is not None:
                self._teller.came(entry.alert, writer, now, fresh=False)
        for _, entry in entries:
            if entry.told is not None:
                self._teller.told(entry.told.ids, entry.told.channel)

    def _turn(self) -> None:
        """What is due by time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with self._guarded():
            now = time.monotonic()
            self._sync.watchful = not self._teller.is_settled()
            self._carry_out(self._sync.tick(now))
            tells = self._teller.due(now, self._sync.heard(now))
            if tells:
                with self.store.change():
                    for tell in tells:
                        self._enqueue(tell.channel, self.deliverer.receivers(tell.channel), tell.alert, tell.ids)
            self._tidy(now)
            if self._may_rest(now):
                self._rest()
            ends = [self._sync.next_deadline(now), self._teller.next_deadline() or now + IDLE_S, now + IDLE_S / 4]
            delay_s = max(0.01, min(ends) - now)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._turn)

    def _may_rest(self, now: float) -> bool:
        if now - self._active_at < IDLE_S or self.metrics is not None:
            return False
        return self._teller.is_settled() and self._sync.is_settled(now) and not self.deliverer.has_work()

    def _rest(self) -> None:
        """What is written or comes from now on is seen by the daemon, which has us started again."""
        seen = alert_rest.look(self._places)
        self._read_journal()
        if not self._may_rest(time.monotonic()):
            return
        self._net.close()
        self.store.shorten()
        alert_rest.write(self._places, seen)
        self._ended.set()

    def _enqueue(self, channel: Channel, receivers: Sequence[str], alert: Alert, ids: Sequence[str]) -> None:
        self.deliverer.dropped(channel, self.store.enqueue(channel, receivers, alert, ids))
        self.deliverer.wake(channel)

    def _have_told(self, channel: Channel, deliveries: Sequence[Delivery]) -> None:
        ids = tuple(dict.fromkeys(one for delivery in deliveries for one in delivery.ids))
        self.store.append(time.time(), told=Told(ids, channel, self._name))
        self._teller.told(ids, channel)
        self._active_at = time.monotonic()
        asyncio.get_running_loop().call_soon(self._tell_others)

    def _tell_others(self) -> None:
        with self._guarded():
            self._carry_out(self._sync.wrote(time.monotonic(), self.store.last(self.store.me)))
            self._turn()

    def _tidy(self, now: float) -> None:
        if now - self._tidied_at >= _KEEP_TIDY_S:
            self._tidied_at = now
            for stream, first in self.store.shorten().items():
                self._sync.forgot(stream, first)

    def _samples(self) -> Iterator[Sample]:
        labels = {"cluster": self._cluster.name, "server": self._name}
        waits = self.store.waits()
        for channel in ("syslog", *ONCE, "script"):
            yield Sample("openclp_alerts_waiting", {**labels, "channel": channel}, float(waits.get(channel, 0)))
        kept = sum(last - first + 1 for first, last in self.store.extents().values())
        yield Sample("openclp_alerts_kept", labels, float(kept))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """A callback that fails (the disk is full) ends the process; the daemon starts it anew."""
        try:
            yield
        except Exception as error:
            self._error = self._error or error
            self._ended.set()


def _once(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    return tuple(channel for channel in channels if channel in ONCE)


async def _main(places: Paths, sockets: Mapping[str, socket.socket]) -> int:
    running = read_running(Path(places.state) / RUNNING)
    me = places.own_name()
    if running is None or me not in running.cluster.server_names:
        sys.stderr.write(f"clpaltd: {places.state}/{RUNNING} does not say what runs here; the daemon writes it.\n")
        return EXIT_CONFIG
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # At the end of the service systemd tells all processes at once; this one ends after the daemon's last words.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_reader(0, _look_for_end, stop)
    daemon = AlertDaemon(places, running.cluster, me, places.read_key(), sockets=sockets)
    await daemon.run(stop)
    return 0


def _look_for_end(stop: asyncio.Event) -> None:
    with contextlib.suppress(BlockingIOError):
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            stop.set()


def _step_back() -> None:
    """Behind everything that the cluster needs: for the processor (alert_child.py may do more), and without memory."""
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")


def _lock(path: Path) -> int:
    """-1 when the one before does not end."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() >= end:
                return -1
            time.sleep(0.1)


def _inherited(words: Sequence[str]) -> dict[str, socket.socket]:
    """ValueError and OSError go up."""
    pairs = (word.rpartition("=") for word in words)
    return {address: socket.socket(fileno=int(descriptor)) for address, _, descriptor in pairs}


def main() -> int:
    _step_back()
    places = paths()
    try:
        if _lock(Path(places.run) / LOCK) < 0:
            sys.stderr.write("clpaltd: another one runs already.\n")
            return EXIT_LOCKED
        return asyncio.run(_main(places, _inherited(sys.argv[1:])))
    except (OSError, ValueError, sqlite3.Error) as error:
        sys.stderr.write(f"clpaltd: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
