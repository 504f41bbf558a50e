"""The arbiter child: asks the witnesses and shared disks of the cluster for their votes, each at its own pace.

A process of its own, started as `python -I -S`, standard library only, in real time, memory locked. It beats to each
arbiter every interval, tells the heartbeat child the sending time of each beat that was confirmed (by datagram, with
no daemon between), and the daemon who can be reached and what was answered to its questions.

Who speaks to it: the supervisor by a socket pair (`released`, `stop`), one daemon at a time by `arbiter.sock` (`beat`,
`ask`, `alive`). Until a daemon has spoken it is silent; after the daemon's death it goes on with its last words. When
the supervisor is gone it goes on for as long as the heartbeat child that it serves: the daemon then stops its groups,
and needs its lease until it is done.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from agent.daemon.arbiter_http import NEVER, HttpArbiter, Question
from agent.daemon.arbiter_settings import PERIOD_MS, PRIORITY, RUNTIME_MS, ArbiterSettings
from agent.daemon.heartbeat_lan import steady
from agent.drivers import kernel
from agent.drivers.message_sockets import CONTROL_FD, Correspondent, listen
from agent.wire.epoch import Epoch
from agent.wire.heartbeat import SERVICES
from agent.wire.witness import Answer, Record

_CHORES_S = 1.0
_UNREACHABLE = 0.5  # of the timeout without an answer: before the lease runs out
_ORPHAN_LOOKS = 3  # at the heartbeat child's socket, before we believe that it is gone
_FAREWELL_S = 0.3


class State:
    """What we know of one arbiter."""

    def __init__(self, now: float) -> None:
        self.ok: bool | None = None
        self.detail = ""
        self.answered_at = now


class ArbiterChild:
    def __init__(self, settings: ArbiterSettings, control: socket.socket) -> None:
        self._settings = settings
        now = steady()
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._control = Correspondent(self.watch, self.unwatch)
        self._control.open(control, self._read_control)
        self._listener = listen(settings.socket)
        self.watch(self._listener.fileno(), self._accept)
        self._client = Correspondent(self.watch, self.unwatch)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._wake, self._woken)
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._serves = _inode(settings.confirm)
        self._service = settings.service
        self._states = {arbiter["name"]: State(now) for arbiter in settings.arbiters}
        self._arbiters = {a["name"]: self._make(a) for a in settings.arbiters if "unused" not in a}
        self._answers: dict[str, dict[str, Any]] = {}  # newest of each arbiter
        self._next_chore = now
        self._orphaned = 0
        self._ends_at = NEVER
        for arbiter in settings.arbiters:
            if "unused" in arbiter:
                self._set_state(arbiter["name"], False, arbiter["unused"])
        if self._service:
            self._say(self._service)

    def _make(self, arbiter: dict[str, Any]) -> Any:
        s = self._settings
        common: dict[str, Any] = {
            "me": s.me, "cluster": s.cluster, "incarnation": s.incarnation, "interval_s": s.interval_s,
            "timeout_s": s.timeout_s,
        }  # fmt: skip
        if arbiter["type"] == "httpnp":
            secret = bytes.fromhex(s.secret)
            return HttpArbiter(self, arbiter["name"], arbiter["host"], arbiter["port"], secret=secret, **common)
        # Threads are only for those who have a disk.
        from agent.daemon.arbiter_disk import DiskArbiter

        return DiskArbiter(self, arbiter["name"], arbiter["path"], run=s.run, **common)

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        while steady() < self._ends_at:
            self._turn()
        for arbiter in self._arbiters.values():
            arbiter.close()
        return 0

    def _turn(self) -> None:
        until = min([self._next_chore, self._ends_at, *[a.deadline() for a in self._arbiters.values()]])
        for descriptor, _ in self._poll.poll(max(until - steady(), 0.0) * 1000):
            # One handler may have closed what the next was for.
            if handler := self._handlers.get(descriptor):
                handler()
        now = steady()
        for arbiter in self._arbiters.values():
            arbiter.tick(now)
        if now >= self._next_chore:
            self._next_chore = now + _CHORES_S
            self._chores()

    def _chores(self) -> None:
        if self._control.connected:
            self._control.send({"type": "alive", "words": {"service": self._service}})
            self._serves = _inode(self._settings.confirm)
        elif _inode(self._settings.confirm) == self._serves and self._heartbeats_go_on():
            self._orphaned = 0
        else:
            self._orphaned += 1
            if self._orphaned >= _ORPHAN_LOOKS:
                self._ends_at = 0.0
        if self._client.behind:
            self._tell_all()

    def _heartbeats_go_on(self) -> bool:
        """Is somebody behind the socket of the heartbeat child?"""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self._settings.confirm)
            except OSError:
                return False
        return True

    # -- what the arbiters say (Owner) ---------------------------------------------------------------------------

    def watch(self, descriptor: int, handler: Callable[[], None], *, write: bool = False) -> None:
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.POLLOUT if write else select.POLLIN)

    def unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def wake(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _woken(self) -> None:
        os.eventfd_read(self._wake)

    def confirmed(self, name: str, sent_at: float) -> None:
        message = {"arbiter": name, "sent_at": sent_at, "incarnation": self._settings.incarnation}
        # It may be about to be restarted: the next beat confirms again.
        with contextlib.suppress(OSError):
            self._out.sendto(json.dumps(message).encode(), self._settings.confirm)

    def reachable(self, name: str, detail: str) -> None:
        state, now = self._states[name], steady()
        if not detail:
            state.answered_at = now
            self._set_state(name, True, "")
        elif now - state.answered_at >= _UNREACHABLE * self._settings.timeout_s:
            self._set_state(name, False, detail)

    def answered(self, name: str, epoch: Epoch, answer: Answer) -> None:
        message = {
            "type": "answer", "name": name, "epoch": list(epoch), "granted": answer.granted,
            "promised": list(answer.promised), "before": _fields(answer.before), "heard_s": answer.heard_s,
            "detail": answer.detail,
        }  # fmt: skip
        self._answers[name] = message
        self._send_client(message)

    def _set_state(self, name: str, ok: bool, detail: str) -> None:
        state = self._states[name]
        news = state.ok is not ok
        state.ok, state.detail = ok, detail
        if news:
            self._send_client(self._state_message(name))

    def _state_message(self, name: str) -> dict[str, Any]:
        state = self._states[name]
        return {"type": "state", "name": name, "ok": state.ok, "detail": state.detail}

    # -- the daemon ----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        if self._client.accept(self._listener, self._read_client):
            self._answers.clear()  # To questions of its predecessor.
            self._tell_all()

    def _tell_all(self) -> None:
        self._client.behind = False
        for name, state in self._states.items():
            if state.ok is not None:
                self._send_client(self._state_message(name))
        for answer in self._answers.values():
            self._send_client(answer)

    def _read_client(self) -> None:
        for message in self._client.read():
            if message is None or not self._take(message):
                self._client.close()
                return

    def _take(self, message: dict[str, Any]) -> bool:
        """False: the daemon does not speak as it should."""
        try:
            if message["op"] == "beat":
                if message["service"] not in SERVICES:
                    return False
                self._say(message["service"])
            elif message["op"] == "ask":
                epoch, in_force = (Epoch(*map(int, message[key])) for key in ("epoch", "in_force"))
                members, voters = (tuple(map(str, message[key])) for key in ("members", "voters"))
                now = steady()
                question = Question(epoch, members, voters, in_force, now + self._settings.timeout_s)
                self._ask(message["name"], question, now)
        except (KeyError, TypeError, ValueError):
            return False
        return True

    def _say(self, service: str) -> None:
        if self._ends_at == NEVER:
            now = steady()
            if not self._service:  # Only from now on anybody is asked.
                for state in self._states.values():
                    state.answered_at = now
            self._service = service
            for arbiter in self._arbiters.values():
                arbiter.say(service, now)

    def _ask(self, name: str, question: Question, now: float) -> None:
        arbiter = self._arbiters.get(name)
        if arbiter is not None:
            self._answers.pop(name, None)
            arbiter.ask(question, now)

    def _send_client(self, message: dict[str, Any]) -> None:
        if not self._client.behind:  # Else it is told everything again.
            self._client.send(message)

    # -- the supervisor ------------------------------------------------------------------------------------------

    def _read_control(self) -> None:
        for message in self._control.read():
            if message is None:
                self._control.close()
                return
            if message.get("op") in ("released", "stop"):
                self._say("released" if message["op"] == "released" else "stopped")
            if message.get("op") == "stop":
                # Time enough for one beat that says so.
                self._ends_at = steady() + min(_FAREWELL_S, self._settings.timeout_s)

    def note(self, severity: str, text: str) -> None:
        self._control.send({"type": "note", "severity": severity, "text": text})


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _fields(record: Record) -> dict[str, Any]:
    return {"open": [[list(epoch), list(voters)] for epoch, voters in record.open]}


def run() -> None:
    """Entry point, called by the supervisor's command line."""
    # The terminal's Ctrl-C is for the supervisor; SIGTERM has its default: the end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = ArbiterSettings(**json.load(sys.stdin))
    child = ArbiterChild(settings, socket.socket(fileno=CONTROL_FD))
    gc.collect()
    gc.freeze()
    errors = []
    if error := kernel.run_in_real_time(PRIORITY, RUNTIME_MS, PERIOD_MS):
        errors.append(f"SCHED_DEADLINE and SCHED_FIFO: {error}")
    if error := kernel.lock_memory():
        errors.append(f"mlockall: {error}")
    if errors:
        child.note("warning", "Arbiters may be asked late under load, privileges are missing: " + "; ".join(errors))
    sys.exit(child.run())
