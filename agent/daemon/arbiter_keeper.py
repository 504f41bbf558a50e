"""The supervisor's care for the arbiter child: started when there are arbiters, restarted when it dies or hangs."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from agent.daemon import spawn
from agent.daemon.arbiter_settings import ArbiterSettings
from agent.daemon.cluster_facts import Facts
from agent.daemon.paths import Paths
from agent.drivers.message_sockets import ALL, messages

_SILENT_S = 3.0  # it says "alive" each second, in real time
_RETRY_S = 0.5
MODULE = "agent.daemon.arbiter"


class ArbiterKeeper:
    """Does nothing at all where clp.conf has neither witness nor shared disk."""

    def __init__(
        self, places: Paths, facts: Facts, incarnation: int, root: str, environ: Mapping[str, str],
        log: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self._places = places
        self._facts = facts
        self._incarnation = incarnation
        self._root = root
        self._environ = environ
        self._log = log
        self._control: socket.socket | None = None
        self._service = ""  # what it said last: the next one goes on with it
        self._started = self._heard = float("-inf")
        self._leaving = False
        self._replaced = False
        self.pid = 0

    def watch(self, now: float, tick_s: float) -> None:
        """In every turn of the supervisor."""
        if not self._facts.arbiters:
            return
        self._read(now)
        if self.pid and now - self._heard > _SILENT_S + 2 * tick_s:
            self._log("error", "The arbiter child hangs: it is killed and started anew.")
            spawn.kill_group(self.pid)
            self._heard = now
        elif not self.pid and not self._leaving and now >= self._started + _RETRY_S:
            self._start(now)

    def ended(self, status: int, now: float) -> None:
        """It has been reaped. Not before then another one may use the same disk."""
        self._read(now)
        self._close()
        self.pid = 0
        if self._replaced:
            self._replaced = False
            self._started = float("-inf")
        elif not self._leaving:
            self._log("error", f"The arbiter child {spawn.ending(status)}; it is started anew.")

    def renew(self, facts: Facts) -> None:
        """By another configuration: the next one begins with its settings, where they differ."""
        before, self._facts = self._settings(), facts
        if self.pid and self._settings() != before:
            self._replaced = True
            spawn.kill_group(self.pid)

    def tell(self, op: str) -> None:
        """`released` or `stop`; after `stop` it is not started again."""
        self._leaving = self._leaving or op == "stop"
        if self._control is not None:
            with contextlib.suppress(OSError):  # It is dying, and reaped soon.
                self._control.send(json.dumps({"op": op}).encode())

    def kill(self) -> None:
        """At the very end. One that waits for a disk ends when the disk answers; nobody waits for it."""
        if self.pid:
            spawn.kill_group(self.pid)

    def _start(self, now: float) -> None:
        command = spawn.child_command(MODULE, self._root)
        # No death signal: the daemon needs its lease until it has stopped its groups.
        self.pid, self._control = spawn.start_child(command, self._environ, self._settings()._asdict(), {})
        self._started = self._heard = now

    def _settings(self) -> ArbiterSettings:
        facts = self._facts
        return ArbiterSettings(
            facts.me, facts.cluster, facts.servers, self._incarnation, facts.interval_s, facts.timeout_s,
            facts.witness_secret, facts.arbiters, self._places.arbiter_socket, self._places.confirm_socket,
            self._places.run, self._service,
        )  # fmt: skip

    def _read(self, now: float) -> None:
        for message in messages(self._control, ALL):
            if message is None:
                self._close()
                return
            self._heard = now
            self._take(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        if message.get("type") == "alive":
            self._service = message["words"]["service"]
        elif message.get("type") == "note":
            self._log(str(message["severity"]), str(message["text"]))

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
