"""The heartbeat child: beats, listens and judges on time, whatever else happens on this server.

A process of its own, started as `python -I -S`, standard library only, in real time, memory locked, no garbage
collection, no forks, no files after its start. One loop: wait, take the time, drain every socket, judge, beat.

Who speaks to it: the supervisor by a socket pair (`released`, `replace`, `stop`), one daemon at a time by
`heartbeat.sock` (`beat`, `alive`). Until a daemon has spoken it only listens; after the daemon's death it goes on with
its last words, and so does a new child after the death of this one.
When both are gone for good, nobody could stop what runs here while peers believe it alive: the child then has the
emergency stopper run, says "released", and ends.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from agent.daemon.complaints import Complaints
from agent.daemon.confirmations import Confirmations
from agent.daemon.drill_filter import DrillFilter
from agent.daemon.drill_memory import DrillMemory
from agent.daemon.heartbeat_figures import Teller
from agent.daemon.heartbeat_lan import LanPath, ReceiveClock, canonical, steady
from agent.daemon.heartbeat_settings import ALIVE_S, Settings, Words, electorates_of
from agent.daemon.lease import Lease
from agent.daemon.watchdog import PET, WatchdogKeeper
from agent.drivers import kernel
from agent.drivers.message_sockets import CONTROL_FD, Correspondent, listen
from agent.engine import detector
from agent.engine.verdicts import Verdict
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.heartbeat import SERVICES, UNTOLD, Codec, Packet

PRIORITY = 20
_VERDICTS_A_MESSAGE = 100
_LISTEN_S = 0.1  # so often the LANs are looked at, at least
_FAREWELLS, _FAREWELL_S = 4, 0.03  # last beats, so that one of them arrives


class HeartbeatChild:
    def __init__(self, settings: Settings, control: socket.socket) -> None:
        self._settings = settings
        self._me = settings.servers.index(settings.me)
        self._now = now = steady()
        self._codec = Codec(settings.cluster, bytes.fromhex(settings.key), len(settings.servers), len(settings.paths))
        self._lease = Lease(settings.lease_fd)
        memory = DrillMemory(settings.lease_fd)
        self._drill = DrillFilter(memory, bytes.fromhex(settings.key), settings.cluster, settings.paths)
        self._detector = detector.Detector(
            settings.me, settings.servers, settings.paths, settings.interval_s, settings.timeout_s, settings.majority,
            now, incarnation=settings.incarnation,
            # Rises over restarts of this process within one boot, as nobody beats a thousand times a second.
            first_seq=int(now * 1000) + 1,
            absent=[(s, p) for s in settings.servers for p in settings.paths if p not in settings.addresses[s]],
            lease_since=self._lease.read(),
            speaks=settings.service != "stopped",
        )  # fmt: skip
        self._meter = self._detector.measure(now)
        self._teller = Teller(self._meter, self._detector.daemon_ages)
        self._words = Words(settings.service, Epoch(*settings.epoch), tuple(settings.members), settings.holding,
                            electorates_of(settings.electorates), settings.armed,
                            Epoch(*settings.promised), settings.config)  # fmt: skip
        self._tell_detector()
        # A booting server says nothing before its daemon does: "stopped" would tell the others not to wait for it.
        self._silent = settings.service == "stopped"
        self._lans = [self._lan(index, name) for index, name in enumerate(settings.paths)]
        self._clock = ReceiveClock()
        # Packets have their times from the kernel: with short intervals we look every now and then, which is cheaper
        # than being woken by each; with long ones news should not wait.
        self._eager = settings.interval_s > 2 * _LISTEN_S
        self._lan_poll = select.poll()
        self._lan_of: dict[int, LanPath] = {}
        self._watched: list[int] = []
        self._handlers: dict[int, Callable[[], None]] = {}
        self._control = Correspondent(self._watch, self._unwatch, self._lose_supervisor)
        self._control.open(control, self._read_control)
        self._listener = listen(settings.socket)
        self._watch(self._listener.fileno(), self._accept)
        if settings.confirm:
            self._confirmations = Confirmations(settings.confirm, settings.incarnation)
            self._watch(self._confirmations.socket.fileno(), self._read_confirmations)
        self._client = Correspondent(self._watch, self._unwatch)
        self._daemon_seen = now
        self._complaints = Complaints(self._note)
        self._failing: dict[str, str] = {}
        self._neighbours: dict[tuple[str, str], list[str]] = {}
        self._urgent = True
        self._next_beat = now
        self._next_chore = now
        self._fenced = False
        self._watchdog = WatchdogKeeper(
            settings.watchdog, settings.watchdog_none, settings.timeout_s, self._tell_watchdog
        )
        self._farewells = -1  # beats left before the end, -1: no end in sight
        self._orphaned_at = 0.0
        self._release_pid = 0
        self.exit_code = 0

    def _lan(self, index: int, name: str) -> LanPath | None:
        addresses = self._settings.addresses
        own = addresses[self._settings.me].get(name)
        if own is None:
            return None
        peers = {
            number: addresses[server][name]
            for number, server in enumerate(self._settings.servers)
            if number != self._me and name in addresses[server]
        }
        return LanPath(index, name, own, peers, self._settings.port, self._close)

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        while self._farewells != 0:
            self._turn()
        if self.exit_code == 0:
            self._watchdog.release()
        return self.exit_code

    def _turn(self) -> None:
        if self._drill.hangs:
            self._drill.hang(self._lans)
        if self._drill.ended:
            self._send_client({"type": "drill_over", "id": self._drill.ended})
            self._drill.ended = ""
        until = min(self._next_beat, self._detector.next_deadline())
        if not self._eager:
            until = min(until, self._now + _LISTEN_S)
        # Not poll(), which rounds up to milliseconds.
        ready = select.select(self._watched, (), (), max(until - steady(), 0.0))[0]
        # The time is taken before the drain: whatever came until then is counted before anything is judged.
        self._now = now = self._clock.begin()
        self._drill.turn(now)
        if now > until:
            self._meter.late.add(now - until, now)
        for fd, _ in self._lan_poll.poll(0):
            self._drain(self._lan_of[fd])
        for fd in ready:
            handler = self._handlers.get(fd)
            if handler is not None:
                handler()
        # Judged with every beat, so that both need one waking only.
        if self._urgent or now >= min(self._next_beat, self._detector.next_deadline()):
            self._judge(now)
        if self._settings.majority:
            since = self._detector.lease_since()
            self._lease.write(since)
            self._meter.lease_renewed(since, now)
        self._watchdog.turn(now, self._words.service, armed=self._words.armed, healthy=self._may_pet(now))
        if now >= self._next_beat:
            self._send_beats(now)
        if now >= self._next_chore:
            self._next_chore = now + 1.0
            self._chores(now)

    def _judge(self, now: float) -> None:
        self._urgent = False
        verdicts = self._detector.judge(now)
        if verdicts:
            self._report(verdicts)
        if self._words.holding and self._words.armed and self._detector.fence_due(now):
            self._fence()
        elif self._fenced and not self._detector.fence_due(now):
            self._fenced = False

    def _may_pet(self, now: float) -> bool:
        """Nothing is held, or the lease is young (agent/daemon/watchdog.py has the arithmetic)."""
        later = now + (detector.FENCE - PET) * self._settings.timeout_s
        return not (self._words.holding and self._detector.fence_due(later))

    def _send_beats(self, now: float) -> None:
        pace_s = self._detector.pace(now)
        # Absolute schedule; what was missed is not sent in a burst.
        self._next_beat += pace_s * (1 + int((now - self._next_beat) / pace_s))
        if self._farewells > 0:
            self._farewells -= 1
            self._next_beat = now + min(pace_s, _FAREWELL_S)
        self._detector.daemon_age_ms = int((now - self._daemon_seen) * 1000)
        packet = self._detector.beat(now)
        for lan in self._lans:
            if lan is not None:
                if lan.socket is None:
                    self._open(lan, now)
                if not self._silent and lan.index not in self._drill.mute:
                    lan.send(self._codec.encode(packet._replace(path=lan.index, hardware=lan.hardware)))
        if not self._silent and all(lan.failing for lan in self._lans if lan is not None):
            self._detector.health.late(now, pace_s)  # Who cannot speak on any LAN should not call others silent.
        if self._client.behind:
            self._tell_all()

    def _chores(self, now: float) -> None:
        self._tell_supervisor()
        for lan in self._lans:
            if lan is not None and lan.failing != self._failing.get(lan.name, ""):
                self._failing[lan.name] = lan.failing
                what = lan.failing or f"the address {lan.own} is in use again"
                self._complaints.add(now, f"lan {what}", "warning" if lan.failing else "info", f"{lan.name}: {what}")
        if self._detector.refused.pop("old incarnation", 0):
            self._complaints.add(
                now, "old incarnation", "error", "Heartbeats of an earlier start of a peer arrive: a second agent of "
                "the same name, replayed packets, or a server whose clock and OPENCLP_STATE went back.",
            )  # fmt: skip
        if self._client.connected:
            for message in self._teller.messages(now):
                self._send_client(message)
        if self._orphaned_at:
            self._orphan_rule(now)

    # -- packets -------------------------------------------------------------------------------------------------

    def _open(self, lan: LanPath, now: float) -> None:
        if lan.open(now):
            assert lan.socket is not None
            self._lan_of[lan.socket.fileno()] = lan
            self._lan_poll.register(lan.socket, select.POLLIN)
            if self._eager:
                self._watched.append(lan.socket.fileno())

    def _close(self, end: socket.socket) -> None:
        """Called by a LanPath that gives its socket up."""
        self._lan_of.pop(end.fileno())
        self._lan_poll.unregister(end)
        if self._eager:
            self._watched.remove(end.fileno())

    def _drain(self, lan: LanPath) -> None:
        for source, data, at in lan.drain(self._clock):
            packet = self._codec.decode(data)
            if lan.index in self._drill.deaf and packet is not None:
                continue
            if packet is None:
                if not self._drill.is_end(data):
                    self._not_understood(lan, source)
            elif packet.path != lan.index or packet.sender != lan.senders.get(source):
                self._not_from_there(lan, source, packet)
            else:
                if self._detector.heard(packet, lan.index, at):
                    self._urgent = True
                if lan.hardware_of.get(packet.sender) != packet.hardware:
                    self._learn(lan, packet, source)

    def _read_confirmations(self) -> None:
        for arbiter, sent_at in self._confirmations.read(self._now):
            if self._detector.arbiter_confirmed(arbiter, sent_at):
                self._urgent = True

    def _not_understood(self, lan: LanPath, source: str) -> None:
        why, sender = self._codec.why, lan.senders.get(source)
        who = self._settings.servers[sender] if sender is not None else "an unknown host"
        remedy = {
            "wrong key": "it has another cluster key: copy cluster.key of one server to all of them",
            "other configuration": "it has another clp.conf: upload the same one to all servers",
            "other version": "it runs another version of the agent",
            "other cluster": "it belongs to another cluster: give each cluster its own LAN addresses or key",
        }.get(why, "it is no heartbeat")
        text = f"{lan.name}: a packet from {source} ({who}) was refused; {remedy}."
        self._complaints.add(self._now, f"{why} {lan.name} {source}", "error", text)

    def _not_from_there(self, lan: LanPath, source: str, packet: Packet) -> None:
        server = self._settings.servers[packet.sender]
        expected = self._settings.addresses[server].get(lan.name, "none")
        text = (
            f"{lan.name}: {source} calls itself {server}, whose address there is {expected} in clp.conf: "
            "a second agent of the same name, or a wrong address. Its heartbeats do not count."
        )
        self._complaints.add(self._now, f"stranger {lan.name} {source}", "error", text)

    def _learn(self, lan: LanPath, packet: Packet, source: str) -> None:
        lan.hardware_of[packet.sender] = packet.hardware
        if any(packet.hardware):
            item = [self._settings.servers[packet.sender], lan.name, source, packet.hardware.hex(":")]
            self._neighbours[item[0], item[1]] = item
            self._send_client({"type": "neighbours", "items": [item]})

    # -- the daemon ----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        if self._client.accept(self._listener, self._read_client):
            self._daemon_seen = self._now
            self._drill.end()
            self._send_client({"type": "hello", "version": 1, "incarnation": self._settings.incarnation})
            self._tell_all()

    def _tell_all(self) -> None:
        self._client.behind = False
        self._report(self._detector.state(self._now), again=True)
        self._send_client({"type": "neighbours", "items": list(self._neighbours.values())})
        self._watchdog.told()

    def _report(self, verdicts: list[Verdict], *, again: bool = False) -> None:
        for first in range(0, len(verdicts), _VERDICTS_A_MESSAGE):
            items = [[type(v).__name__, v._asdict()] for v in verdicts[first : first + _VERDICTS_A_MESSAGE]]
            self._send_client({"type": "verdicts", "again": again, "items": items})

    def _read_client(self) -> None:
        for message in self._client.read():
            if message is None:
                self._client.close()
                return
            self._see_daemon()
            if message.get("op") == "drill":
                self._drill.begin(message, self._now)
            elif message.get("op") == "drill_end":
                self._drill.end()
            elif message.get("op") == "beat" and not self._take_beat(message):
                self._note("error", "The daemon said something that cannot be beaten: this is a fault of the agent.")
                self._client.close()
                return

    def _see_daemon(self) -> None:
        late_s = self._now - self._daemon_seen - ALIVE_S
        self._daemon_seen = self._now
        if late_s > 0:
            self._meter.daemon.add(late_s, self._now)
            self._detector.health.daemon_late(self._now, late_s)

    def _take_beat(self, message: dict[str, Any]) -> bool:
        try:
            epoch = Epoch(*[int(part) for part in message["epoch"]])
            members = tuple([str(name) for name in message["members"]])
            electorates = electorates_of(message.get("electorates", ()))
            armed = bool(message.get("armed", True))
            promised = Epoch(*[int(part) for part in message.get("promised", NO_EPOCH)])
            config = str(message.get("config", ""))
            words = Words(message["service"], epoch, members, bool(message["holding"]), electorates, armed, promised,
                          config, float(message.get("at", 0.0)))  # fmt: skip
            known = bytes.fromhex(config)
        except (KeyError, TypeError, ValueError):
            return False
        if len(known) not in (0, len(UNTOLD)) or words.service not in SERVICES:
            return False
        if not all(0 <= e[0] < 2**64 and 0 <= e[1] < 2**32 for e in (epoch, promised)):
            return False
        self._say(words)
        return True

    def _say(self, words: Words) -> None:
        if self._silent:
            self._silent = False
            self._detector.begins(self._now)
        if self._farewells > 0 or words._replace(at=0.0) == self._words._replace(at=0.0):
            return
        if words._replace(holding=False, at=0.0) != self._words._replace(holding=False, at=0.0):
            self._next_beat = min(self._next_beat, self._now)  # Peers wait for it.
        self._words = words
        self._tell_detector()
        self._tell_supervisor()

    def _tell_detector(self) -> None:
        words = self._words
        self._detector.say(words.epoch, words.service, words.members, words.electorates, words.promised, words.config,
                           min(words.at, self._now))  # fmt: skip

    def _tell_supervisor(self) -> None:
        """The next child, should we die, goes on with these words."""
        self._control.send({"type": "alive", "words": self._words._asdict()})

    def _send_client(self, message: dict[str, Any]) -> None:
        if not self._client.behind:  # Else it is told everything again.
            self._client.send(message)

    # -- the supervisor ------------------------------------------------------------------------------------------

    def _read_control(self) -> None:
        for message in self._control.read():
            if message is None:
                self._control.close()
                return
            if message.get("op") == "released":
                self._say(self._words._replace(service="released", holding=False))
            elif message.get("op") == "replace":
                self._farewells = 0  # No word to anybody: the next one goes on in a moment.
            elif message.get("op") == "stop":
                self._farewell("released" if self._words.service == "released" else "stopped")

    def _farewell(self, service: str) -> None:
        self._say(self._words._replace(service=service, holding=False))
        self._farewells = _FAREWELLS
        self._drill.end()  # What is said now must be heard.
        self._next_beat = self._now

    def _lose_supervisor(self) -> None:
        self._orphaned_at = self._now

    def _orphan_rule(self, now: float) -> None:
        """The supervisor died; it told the daemon to stop its groups (parent death signal)."""
        if self._release_pid:
            pid, status = os.waitpid(self._release_pid, os.WNOHANG)
            if pid and status == 0:
                self._farewell("released")
            elif pid or now - self._orphaned_at > self._settings.timeout_s:
                self._release_failed(pid == 0)
        elif self._client.connected and now - self._daemon_seen < self._settings.grace_s:
            self._orphaned_at = now
        elif self._words.service in ("stopped", "released"):
            self._farewell(self._words.service)
        elif now - self._orphaned_at > self._settings.grace_s:
            self._orphaned_at = now
            self._kill_daemon()  # Never two who act.
            command = self._settings.release
            self._release_pid = os.posix_spawn(command[0], command, dict(os.environ), setpgroup=0)

    def _kill_daemon(self) -> None:
        if self._client.socket is not None:
            credentials = self._client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            os.kill(int.from_bytes(credentials[:4], sys.byteorder), signal.SIGKILL)
            self._client.close()

    def _release_failed(self, hangs: bool) -> None:
        if hangs:
            os.killpg(self._release_pid, signal.SIGKILL)
            os.waitpid(self._release_pid, 0)
        self._fence()
        # Peers take over after the timeout whatever we do now; beating on would only leave this process behind.
        self.exit_code = 1
        self._farewells = 0

    # -- small things --------------------------------------------------------------------------------------------

    def _fence(self) -> None:
        if self._fenced:
            return
        self._fenced = True
        if self._settings.fence == "reboot":
            error = kernel.panic() if self._settings.panics else kernel.reboot()
            self._note("error", f"The lease is lost and this server cannot be reset: {error}.")
        elif self._settings.fence == "report":
            self._send_client({"type": "fenced"})
            self._control.send({"type": "fenced"})

    def _tell_watchdog(self, state: str, detail: str) -> None:
        self._send_client({"type": "watchdog", "state": state, "detail": detail})

    def _note(self, severity: str, text: str) -> None:
        self._send_client({"type": "note", "severity": severity, "text": text})
        self._control.send({"type": "note", "severity": severity, "text": text})

    def note_start(self, errors: list[str]) -> None:
        if errors:
            text = "Heartbeats may be late under load, this process lacks privileges: " + "; ".join(errors)
            self._note("warning", text)

    def _watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._watched.append(descriptor)
        self._handlers[descriptor] = handler

    def _unwatch(self, descriptor: int) -> None:
        self._watched.remove(descriptor)
        self._handlers.pop(descriptor, None)


def _read_settings() -> Settings:
    settings = Settings(**json.load(sys.stdin))
    for ways in settings.addresses.values():
        for address in ways.values():
            canonical(address)  # Raises here rather than in the loop.
    return settings


def run() -> None:
    """Entry point, called by the supervisor's command line."""
    # The terminal's Ctrl-C is for the supervisor; SIGTERM has its default: the end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = _read_settings()
    child = HeartbeatChild(settings, socket.socket(fileno=CONTROL_FD))
    gc.disable()
    gc.freeze()
    errors = []
    if error := kernel.run_in_real_time(PRIORITY):
        errors.append(f"SCHED_DEADLINE and SCHED_FIFO: {error}")
    if error := kernel.lock_memory():
        errors.append(f"mlockall: {error}")
    child.note_start(errors)
    sys.exit(child.run())
