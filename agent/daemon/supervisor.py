"""clpd, the supervisor: starts heartbeat child and daemon, mends what dies, stops the groups of a daemon that is lost.

It stays small and simple, since nobody watches it: no asyncio, no msgspec, no network. When it dies itself, the kernel
tells the daemon to stop its groups (SIGTERM), and the heartbeat child ends when that is done (see heartbeat.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from agent.daemon import fork, spawn
from agent.daemon.arbiter_keeper import ArbiterKeeper
from agent.daemon.cluster_facts import LOAD_S, MODEL_BYTES, ConfigurationError, Facts, read_facts
from agent.daemon.drill_crash import CrashDrill
from agent.daemon.first import ROOT, First, read_and_prepare
from agent.daemon.incarnation import next_incarnation
from agent.daemon.lease import make_lease
from agent.daemon.paths import (
    DRILL,
    EXIT_SWITCH,
    FENCE,
    INCARNATION,
    LEASE_FD,
    NEW_START,
    PET_FD,
    READ_AGAIN,
    RESTART_CAUSE,
    SERVICE,
    Paths,
    paths,
)  # fmt: skip
from agent.daemon.supervisor_log import SupervisorLog
from agent.daemon.watch import Watch
from agent.drivers import kernel
from agent.drivers.message_sockets import ALL, messages

EXIT_LOCKED, EXIT_CONFIG = 75, 78
CHILD_SILENT_S = 3.0  # the child says "alive" each second, in real time
CHILD_RETRY_S = 0.5
CHILD_REPLACED_S, CHILD_LEAVES_S = 1.0, 2.0  # for it to end when it is told to
STOP_S = 300.0  # for the daemon to stop its groups, unless OPENCLP_STOP_S says otherwise
DAEMON = (sys.executable, "-m", "agent.daemon.main")
RELEASE = (sys.executable, "-m", "agent.daemon.release")
LOAD = (sys.executable, "-m", "agent.daemon.load")
CHILD = "agent.daemon.heartbeat"
FORKS = True  # the first daemon, with the reader; False: both are executed, as those that come later
_PET, _LOCK, _LEASE = 3, 4, 5  # descriptors of the daemon; the last two are the child's, too
_RELEASE_S = 10.0  # for the emergency stopper, at least; the child beats on meanwhile, so nobody takes over
_SAID_BYTES = 64 << 10  # of the emergency stopper


def steady() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Supervisor:
    def __init__(
        self, places: Paths, facts: Facts, incarnation: int, lock: int, lease: int, first: First | None,
        log: SupervisorLog,
    ) -> None:  # fmt: skip
        self._places = places
        self._facts = facts
        self._incarnation = incarnation
        self._lock = lock
        self._log = log
        self._environ = _environ()
        now = steady()
        self._watch = Watch(facts.grace_s, now)
        self._tick_s = _tick_s(facts)
        self._last_turn = now
        self._cause = ""
        self._hung = False
        self._read_again = False  # clp.conf, for the next daemon
        self._daemon = 0
        self._starved_ns = -1  # -1: not asked since it petted last
        self._petted_at = now
        self._pets = -1
        self._lease = lease
        self.drill = CrashDrill(lease, self._take_down, log.write)
        self._first = first
        self._child = 0
        self._child_started = 0.0
        self._child_heard = 0.0
        self._replace_until = 0.0  # the child makes room for one with other settings
        self._control: socket.socket | None = None
        self._words: dict[str, Any] = {}
        self._arbiter = ArbiterKeeper(places, facts, incarnation, ROOT, self._environ, log.write)
        self._release = 0
        self._release_until = 0.0
        self.asked_to_stop = False
        self._exit_code = 0
        self.again = False  # with the service stopped: the daemon has put another clp.conf in place
        self._stopping_until = 0.0  # of the daemon, after SIGTERM
        self._leaving_until = 0.0  # of the child, at the very end
        self._poll = select.poll()
        self._wake, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._poll.register(self._wake, select.POLLIN)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._start_child()
        self._watch_daemon(steady())  # At once, not after the first tick.
        while not self.drill.over and (
            not self._leaving_until or self._child or (self._arbiter.pid and steady() < self._leaving_until)
        ):
            self._turn()
        self._arbiter.kill()
        return self._exit_code

    def _ask_to_stop(self, *_: object) -> None:
        self.asked_to_stop = True

    def _turn(self) -> None:
        # Only signals (also the death of a child) wake us early; pets and notes can wait for the tick.
        self._poll.poll(self._tick_s * 1000)
        if self.drill.stand_still():
            self._arbiter.kill()  # It has beaten on meanwhile; the next one does so from now on.
            self._child_heard = steady()
        now = steady()
        # What waits is read before anybody is judged: we may have been late ourselves.
        self._empty_wake_pipe()
        self._excuse(now)
        self._read_pets(now)
        self._read_control(now)
        self._reap(now)
        if self.drill.over:
            return
        self._watch_child(now)
        self._arbiter.watch(now, self._tick_s)
        if self.asked_to_stop:
            self._stop(now)
        if self._stopping_until:
            self._stop_step(now)
        elif self._release:
            self._watch_release(now)
        else:
            self._watch_daemon(now)

    # -- daemon --------------------------------------------------------------------------------------------------

    def _watch_daemon(self, now: float) -> None:
        step = self._watch.judge(now)
        if step == "start":
            self._start_daemon(now)
        elif step == "kill":
            self._hung = True
            spawn.kill_group(self._daemon)
        elif step == "release":
            self._start_release(now)

    def _start_daemon(self, now: float) -> None:
        if self._first is not None:
            self._daemon, self._pets = self._first.pid, self._first.pets
            self._first.begin()
            self._first = None
        else:
            self._execute_daemon()
        self._starved_ns = -1
        self._petted_at = now
        self._watch.started(now)
        self._log.write("info", f"Daemon started, process {self._daemon}. {self._cause}".strip())

    def _execute_daemon(self) -> None:
        self._pets, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        environ = {
            **self._environ, PET_FD: str(_PET), LEASE_FD: str(_LEASE), INCARNATION: str(self._incarnation),
            RESTART_CAUSE: self._cause, READ_AGAIN: str(int(self._read_again)),
        }  # fmt: skip
        self._read_again = False
        files = {_PET: write, _LOCK: self._lock, _LEASE: self._lease}
        self._daemon = spawn.start(DAEMON, environ, files, death_signal=signal.SIGTERM)
        os.close(write)

    def _read_pets(self, now: float) -> None:
        if self._pets < 0:
            return
        try:
            pets = os.read(self._pets, 4096)
        except BlockingIOError:
            return
        if NEW_START in pets and not self._stopping_until:
            self.again = self.asked_to_stop = True
        if pets:
            self._watch.petted(now)
            self._petted_at = now
            self._starved_ns = -1
        else:  # It closed the pipe or ended; _reap() tells which.
            os.close(self._pets)
            self._pets = -1

    def _daemon_ended(self, status: int, now: float) -> None:
        self._daemon = 0
        self._read_pets(now)
        self._watch.ended(now)
        if self._stopping_until:
            return
        if not self._hung and os.waitstatus_to_exitcode(status) == EXIT_SWITCH:
            self._change_over(now)
            return
        if self.drill.due:
            self._fail(now)
            return
        how = "hung: it was silent for too long and was killed" if self._hung else spawn.ending(status)
        self._cause, self._hung = f"The daemon {how}.", False
        self._log.write("error", self._cause)
        if os.waitstatus_to_exitcode(status) == EXIT_CONFIG and not self._watch.ever_well:
            self._exit_code = EXIT_CONFIG  # It has said why; trying again would say it again.
            self._stop(now)

    def _fail(self, now: float) -> None:
        """A drill of a crash: the daemon has ended itself for it."""
        if why := self.drill.begin():
            self._cause = f"A drill was given up: {why}"
            self._environ[DRILL] = self.drill.told_given_up(why)
            return
        self.drill.silence({"child": self._child, "arbiter": self._arbiter.pid})
        self._child = 0
        self.drill.stay_away(lambda: self.asked_to_stop)

    def _take_down(self) -> str:
        result = spawn.run(RELEASE, self._environ, self._release_limit_s(), _SAID_BYTES)
        said = " ".join(result.err.decode(errors="replace").split())
        return f"not all groups could be stopped. {said}".strip() if result.code != 0 else ""

    def _change_over(self, now: float) -> None:
        """Another configuration is in place, or its reader has to complete that (switching.py). The next daemon adopts
        what runs; who beats on goes on unless its own settings have changed."""
        self._cause, self._read_again = "", True
        environ = {**self._environ, INCARNATION: str(self._incarnation)}
        try:
            facts = read_facts(
                self._places, lambda: spawn.run(LOAD, environ, LOAD_S, MODEL_BYTES), os.environ.get(FENCE, "")
            )
        except (ConfigurationError, OSError) as error:
            self._log.write(
                "error", f"The configuration could not be read again, the heartbeats stay as they are: {error}"
            )
            return
        self._log.write("info", "The configuration was read again.")
        before, self._facts = self._child_settings(), facts
        self._watch.change(facts.grace_s)
        self._tick_s = _tick_s(facts)
        self._arbiter.renew(facts)
        if self._child and before != self._child_settings():
            self._replace_until = now + CHILD_REPLACED_S
            self._tell_child({"op": "replace"})

    def _excuse(self, now: float) -> None:
        """Time in which we or the daemon waited for a CPU is nobody's silence."""
        late = max(now - self._last_turn - self._tick_s, 0.0)
        self._last_turn = now
        starved = 0.0
        if self._daemon and now - self._petted_at > 2 * self._tick_s:
            total = spawn.starved_ns(self._daemon)
            starved = (total - self._starved_ns) * 1e-9 if self._starved_ns >= 0 else 0.0
            self._starved_ns = total
        worst = max(late, starved)
        if worst > 0.01:
            self._watch.excuse(worst)

    # -- release -------------------------------------------------------------------------------------------------

    def _start_release(self, now: float) -> None:
        if self._daemon:
            spawn.kill_group(self._daemon)
            return  # Never two who act: the release begins when the daemon is reaped.
        self._log.write("error", "The daemon did not come back within its grace time: its groups are stopped now.")
        self._release = spawn.start(RELEASE, self._environ, {_LOCK: self._lock})
        self._release_until = now + self._release_limit_s()

    def _release_limit_s(self) -> float:
        return max(self._facts.timeout_s, _RELEASE_S)

    def _watch_release(self, now: float) -> None:
        if self._release and now > self._release_until:
            self._log.write("error", f"The emergency stop did not end within {self._release_limit_s():g} s.")
            spawn.kill_group(self._release)  # Reaped in the next turn, as failed.
            self._release_until = now + self._release_limit_s()

    def _release_ended(self, status: int, now: float) -> None:
        self._release = 0
        ok = status == 0
        self._watch.release_done(now, ok)
        if ok:
            self._tell_child({"op": "released"})
            self._arbiter.tell("released")
            self._log.write("warning", "All groups of this server are stopped; the other servers may take them over.")
            return
        self._log.write("error", f"The emergency stop {spawn.ending(status)}.")
        self._hard_end()

    def _hard_end(self) -> None:
        """Groups may still run here with nobody in charge."""
        if self._facts.fence == "reboot":
            self._log.write("error", "This server is reset now.")
            self._log.write("error", f"The reset was refused: {kernel.reboot()}.")
        elif self._facts.fence == "report":
            self._log.write("error", "This server would be reset now (OPENCLP_FENCE=report).")
        killed = spawn.kill_orphans(keep={self._child, self._arbiter.pid})
        self._log.write(
            "error",
            f"Groups may still be active here ({killed} left-over processes were killed). While clpd runs no other "
            "server takes them over, and the stop is tried again. Else stop them by hand and restart clpd.",
        )

    # -- heartbeat child -----------------------------------------------------------------------------------------

    def _start_child(self) -> None:
        settings = self._child_settings()
        command, files = spawn.child_command(CHILD, ROOT), {_LOCK: self._lock, _LEASE: self._lease}
        # No death signal: it must beat on until the daemon has stopped its groups.
        self._child, self._control = spawn.start_child(command, self._environ, settings, files)
        self._child_started = self._child_heard = steady()
        self._replace_until = 0.0

    def _child_settings(self) -> dict[str, Any]:
        settings = self._facts.child_settings(self._incarnation, self._places.heartbeat_socket, RELEASE, self._words)
        settings["lease_fd"] = _LEASE
        settings["confirm"] = self._places.confirm_socket if self._facts.arbiters else ""
        return settings

    def _read_control(self, now: float) -> None:
        for message in messages(self._control, ALL):
            if message is None:
                self._close_control()
                return
            self._child_heard = now
            if message["type"] == "alive":
                self._words = message["words"]
            elif message["type"] == "note":
                self._log.write(message["severity"], message["text"])
            elif message["type"] == "fenced":
                self._log.write("error", "The lease is lost: this server would be reset now (OPENCLP_FENCE=report).")

    def _close_control(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _tell_child(self, message: dict[str, str]) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):  # Its death is seen and mended elsewhere.
                self._control.send(json.dumps(message).encode(), socket.MSG_NOSIGNAL)

    def _watch_child(self, now: float) -> None:
        if self._child and not self._leaving_until and now - self._child_heard > CHILD_SILENT_S + 2 * self._tick_s:
            self._log.write("error", "The heartbeat child hangs: it is killed and started anew.")
            spawn.kill_group(self._child)
            self._child_heard = now
        elif self._child and self._replace_until and now > self._replace_until:
            spawn.kill_group(self._child)
        elif not self._child and not self._leaving_until and now >= self._child_started + CHILD_RETRY_S:
            self._start_child()

    def _child_ended(self, status: int, now: float) -> None:
        self._read_control(now)
        self._close_control()
        self._child = 0
        if self._replace_until and not self._leaving_until:
            self._log.write("info", "The heartbeat child is started anew with its new settings.")
            self._start_child()
        elif not self._leaving_until:
            self._log.write("error", f"The heartbeat child {spawn.ending(status)}; it is started anew.")
            self._watch_child(now)

    # -- the end -------------------------------------------------------------------------------------------------

    def _stop(self, now: float) -> None:
        """SIGTERM: the daemon stops its groups, as an operator's stop of the service would."""
        if self._stopping_until:
            return
        limit_s = float(os.environ.get("OPENCLP_STOP_S") or STOP_S)
        self._stopping_until = now + limit_s
        self._log.write("info", "The service is being stopped.")
        if self._daemon:
            os.kill(self._daemon, signal.SIGTERM)
            os.kill(self._daemon, signal.SIGCONT)

    def _stop_step(self, now: float) -> None:
        if self._leaving_until:
            if self._child and now > self._leaving_until:
                spawn.kill_group(self._child)
        elif self._release:
            self._watch_release(now)
        elif not self._daemon:
            self._leave(now)
        elif now > self._stopping_until:
            self._log.write("error", "The daemon did not stop its groups in time: it is killed.")
            spawn.kill_group(self._daemon)

    def _leave(self, now: float) -> None:
        """The daemon is gone. Whatever it could not stop is stopped; then the child says goodbye."""
        result = spawn.run(RELEASE, self._environ, self._release_limit_s(), _SAID_BYTES)
        if result.code != 0:
            self._log.write("error", f"Not all groups could be stopped: {result.err.decode(errors='replace').strip()}")
            self._hard_end()
        self._leaving_until = steady() + CHILD_LEAVES_S  # The release may have taken long.
        self._tell_child({"op": "stop"})
        self._arbiter.tell("stop")

    # -- processes -----------------------------------------------------------------------------------------------

    def _reap(self, now: float) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self._daemon:
                self._daemon_ended(status, now)
            elif pid == self._child:
                self._child_ended(status, now)
            elif pid == self._release:
                self._release_ended(status, now)
            elif pid == self._arbiter.pid:
                self._arbiter.ended(status, now)

    def _empty_wake_pipe(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)


def _tick_s(facts: Facts) -> float:
    return min(1.0, facts.grace_s / 8)


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": _python_path(), "MALLOC_ARENA_MAX": "1"}


def _python_path() -> str:
    return os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])


def _locked(path: str) -> int:
    """The lock that the daemon and the child inherit: held until all three are gone."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
        alive = owner.isdecimal() and os.path.exists(f"/proc/{owner}")
        what = "runs already" if alive else "ended, but what it started is still stopping"
        _give_up(EXIT_LOCKED, f"clpd of {os.path.dirname(path)} {what} (process {owner}).")
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _give_up(code: int, text: str) -> NoReturn:
    sys.stderr.write(f"clpd: {text}\n")
    sys.exit(code)


def main() -> int:
    places = paths()
    try:
        places.make()
        lock, lease = _locked(places.lock), make_lease()
        kernel.adopt_orphans()
        incarnation = next_incarnation(places.incarnation, time.time())
        environ = {**_environ(), INCARNATION: str(incarnation)}
        command = () if FORKS and fork.can_fork() else LOAD
        facts, first = read_and_prepare(places, environ, lock, lease, command, os.environ.get(FENCE, ""))
    except ConfigurationError as error:
        _give_up(EXIT_CONFIG, str(error))
    except OSError as error:
        _give_up(EXIT_CONFIG, f"{error.filename}: {error.strerror}.")
    log = SupervisorLog(places.supervisor_log)
    log.write("info", f"clpd of {facts.me} started, incarnation {incarnation}.")
    supervisor = Supervisor(places, facts, incarnation, lock, lease, first, log)
    code = supervisor.run()
    if supervisor.again and code == 0:
        log.write("info", "clpd begins anew with another configuration; its service stays stopped.")
        # Whoever waits for this process need not know; the lock goes with the descriptors.
        os.execve(sys.executable, sys.orig_argv, {**os.environ, SERVICE: "stopped"})  # noqa: S606 - there is no shell
    if supervisor.drill.over and not supervisor.asked_to_stop:
        os.execve(sys.executable, sys.orig_argv, {**os.environ, DRILL: supervisor.drill.told()})  # noqa: S606 - likewise
    log.write("info", "clpd ended.")
    return code


if __name__ == "__main__":
    sys.exit(main())
