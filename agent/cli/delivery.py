"""Taking configurations from agents and bringing them there, step by step (see agent/daemon/configuration.py).

A delivery: the archive goes to every server and is checked and stored there. With the service stopped, or for scripts
alone, they are switched when all have it, and then, with the service stopped, each agent begins anew with it; what goes
wrong before the last of them is switched is undone. While the service runs, the cluster changes over by itself
(agent/cli/change.py).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from agent.cli import client
from agent.cli.change import ChangeRefusedError
from agent.cli.client import NOT_YET, REFUSED, UNREACHABLE, CommandError, Connection
from agent.clpconf.plan import LEVELS
from agent.wire.delivery import LONGEST_S, MOST_BYTES, PART_BYTES, StepError

Json = dict[str, Any]
_SLACK_S = 10.0
_IDLE = ("stopped", "waiting")  # waiting: it runs nothing, since the other servers have another configuration
_LOOK_S = 0.2
_USUAL_S = 5.0
_WORK = (sys.executable, "-m", "agent.daemon.configuration_work", "install")


class Agents:
    """The agent here, and through it those of the other servers. `end`: time.monotonic() when all of it is over."""

    def __init__(self, me: str, timeout_s: float) -> None:
        self.me = me
        self._end = time.monotonic() + timeout_s

    def left_s(self) -> float:
        return max(0.1, self._end - time.monotonic())

    def step(self, server: str, step: str, **fields: Any) -> Json:
        """What it found. StepError with its words; CommandError when the agent here is gone."""
        wait_s = round(min(self.left_s(), LONGEST_S.get(step, _USUAL_S)), 1)
        request = {"op": "configuration", "wait_s": wait_s, "configuration": {"step": step, **fields}}
        if server != self.me:
            request["via"] = server
        try:
            with Connection(wait_s + _SLACK_S) as connection:
                connection.send(request)
                line = connection.receive()
        except TimeoutError:
            raise StepError(server, "timeout", f"{server} did not answer in time.") from None
        found = line.get("configuration")
        if not line.get("ok") or not isinstance(found, dict):
            raise StepError(server, str(line.get("reason", "")), str(line.get("error") or f"{server} has no answer."))
        return found

    def fetch(self, server: str) -> tuple[bytes, bool]:
        """What runs there with its scripts, as an archive; and whether its clp.conf has been edited since."""
        packed = self.step(server, "pack")
        data = bytearray()
        while len(data) < int(packed["size"]) <= MOST_BYTES:
            part = base64.b64decode(self.step(server, "get", id=packed["id"], offset=len(data))["data"])
            if not part:
                break
            data += part
        if sha256(data).hexdigest() != packed["id"]:
            raise StepError(server, "broken", f"The archive of {server} did not arrive whole. Try again.")
        return bytes(data), bool(packed["edited"])

    def put(self, server: str, data: bytes, key: str) -> None:
        for offset in range(0, len(data), PART_BYTES):
            part = base64.b64encode(data[offset : offset + PART_BYTES]).decode("ascii")
            self.step(server, "put", id=key, offset=offset, size=len(data), data=part)


class Delivery:
    """`tell` shows progress. `result` is what the command says at the end."""

    def __init__(self, agents: Agents, data: bytes, tell: Callable[[str], None]) -> None:
        self._agents = agents
        self._data = data
        self._key = sha256(data).hexdigest()
        self._tell = tell
        self._switched: list[tuple[str, str]] = []  # server, name of its version before
        self.words: list[str] = []
        self.level = ""  # of what the change needs (agent/clpconf/plan.py)
        self.restarts = False
        self._scripts = True  # nothing else changes
        self._config = ""

    def run(self, servers: Sequence[str], force: bool, change: Callable[[str], None]) -> list[str]:
        """Names of those that have it now. CommandError: nobody has it. This server is always the last.

        `change` leads a cluster that runs to what is stored on all of these servers, by its id."""
        reached = self._reached(servers, force)
        before = {name: self._agents.step(name, "state") for name in reached}
        self._refuse_running_while_stopping(before)
        for name in reached:
            self._tell(f"{name}: storing")
            self._try(name, partial(self._store, name), reached)
        stopped = all(one["service"] in _IDLE for one in before.values())
        if not stopped and not self._scripts:
            self._change(change, reached)
            return reached
        for name in sorted(reached, key=lambda name: name == self._agents.me):
            self._tell(f"{name}: switching")
            self._try(name, partial(self._switch, name), reached)
        self.restarts = stopped
        return self._restarted(before) if stopped else reached

    def _change(self, change: Callable[[str], None], reached: Sequence[str]) -> None:
        for word in self.words:
            self._tell(word)
        try:
            change(self._config)
        except ChangeRefusedError as error:
            self._undo(reached)
            raise CommandError(REFUSED, f"Nothing was changed. {error.text}") from None

    def _reached(self, servers: Sequence[str], force: bool) -> list[str]:
        reached, missing = [], []
        for name in servers:
            try:
                self._agents.step(name, "state")
                reached.append(name)
            except StepError as error:
                missing.append(str(error))
        if missing and not force:
            text = f"Nothing was delivered: {' '.join(missing)} With --force the others get it without them."
            raise CommandError(UNREACHABLE, text)
        if not reached:
            raise CommandError(UNREACHABLE, f"Nobody can be reached: {' '.join(missing)}")
        return reached

    def _refuse_running_while_stopping(self, states: dict[str, Json]) -> None:
        """On some servers stopped, on others not: neither way is right for all of them."""
        stopped = [name for name, one in states.items() if one["service"] in _IDLE]
        if stopped and len(stopped) < len(states):
            others = ", ".join(sorted(set(states) - set(stopped)))
            text = f"The service runs on {others}, but not on {', '.join(stopped)}. Stop it everywhere (clpcl -t -a)."
            raise CommandError(REFUSED, text)

    def _store(self, name: str) -> None:
        self._agents.put(name, self._data, self._key)
        found = self._agents.step(name, "store", id=self._key)
        self.words = self.words or [str(word) for word in found["words"]]
        self.level = max(self.level, str(found["level"]), key=LEVELS.index) if self.level else str(found["level"])
        self._scripts = self._scripts and bool(found["scripts"])
        self._config = str(found["config"])

    def _switch(self, name: str) -> None:
        found = self._agents.step(name, "switch", id=self._key)
        self._switched.append((name, str(found["kept"])))

    def _try(self, name: str, work: Callable[[], None], reached: Sequence[str]) -> None:
        try:
            work()
        except (StepError, CommandError) as error:
            left = self._undo(reached)
            text = f"Nothing was changed. {name}: {error}"
            if left:
                text = f"{name}: {error} And it could not be undone on {', '.join(left)}: push again."
            raise CommandError(REFUSED, text) from None

    def _undo(self, reached: Sequence[str]) -> list[str]:
        """Names of those where that did not work."""
        left = []
        for name, kept in self._switched:
            try:
                self._agents.step(name, "restore", kept=kept)
            except (StepError, CommandError):
                left.append(name)
        for name in reached:
            try:
                self._agents.step(name, "discard")
            except (StepError, CommandError):
                self._tell(f"{name}: what was stored is left there")
        return left

    def _restarted(self, before: dict[str, Json]) -> list[str]:
        """All agents begin anew, the one here last, and are waited for."""
        for name in sorted(before, key=lambda name: name == self._agents.me):
            try:
                self._agents.step(name, "restart", id=self._key)
            except StepError as error:
                self._tell(str(error))  # It decides by itself, a little later.
        waiting = dict(before)
        while waiting and self._agents.left_s() > _LOOK_S:
            for name, old in list(waiting.items()):
                if self._is_new(name, old):
                    self._tell(f"{name}: runs with it")
                    del waiting[name]
            time.sleep(_LOOK_S if waiting else 0)
        if waiting:
            text = (
                f"Delivered, but {', '.join(waiting)} did not answer with it in time. See clpstat, and clpd.log there."
            )
            raise CommandError(NOT_YET, text)
        self._start_waiting([name for name, one in before.items() if one["service"] == "waiting"])
        return list(before)

    def _start_waiting(self, servers: Sequence[str]) -> None:
        """Their service was not stopped: they only waited for the right configuration."""
        for name in servers:
            done = client.ask("server_start", "clpcfctrl", target=name, via=name, wait_s=self._agents.left_s())
            self._tell(done.text)
            self.restarts = False

    def _is_new(self, name: str, old: Json) -> bool:
        try:
            return int(self._agents.step(name, "state")["incarnation"]) > int(old["incarnation"])
        except (StepError, CommandError):
            return False  # It is on its way.


def install_here(data: bytes, timeout_s: float) -> Json:
    """Without an agent: on this server alone. What the work has found."""
    try:
        root = str(Path(__file__).resolve().parents[2])  # A checkout need not be installed.
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
        done = subprocess.run(_WORK, input=data, capture_output=True, timeout=timeout_s, check=False, env=environ)
        found = dict(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        raise CommandError(REFUSED, f"It was not installed within {timeout_s:g} s.") from None
    except (OSError, ValueError) as error:
        raise CommandError(REFUSED, f"It could not be installed: {error}.") from None
    if "error" in found:
        raise CommandError(REFUSED, str(found["error"]))
    return found
