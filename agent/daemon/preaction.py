"""Runs the script of a monitor before a step of its recovery; each ends in exactly one ScriptDone."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable
from pathlib import Path

from agent.clpconf.model import Group
from agent.daemon.binding import Machine
from agent.daemon.tasks import give_up
from agent.engine.effects import RunScript
from agent.engine.events import ScriptDone
from agent.ports import DriverError, Exit, Run
from agent.version import VERSION

_FOLDER = "monitor.s"
_OVERTIME_S = 10.0  # for a driver that does not keep the script's own limit
_SHOWN_CHARACTERS = 200


class Preactions:
    """`done` feeds the engine; `log` takes tracebacks of our own errors."""

    def __init__(
        self, machine: Machine, scripts: Path, done: Callable[[ScriptDone], None], log: Callable[[str], None]
    ) -> None:
        self._machine = machine
        self._scripts = scripts
        self._done = done
        self._log = log
        self._group = {g.name: g for g in machine.cluster.groups}
        self._running: dict[int, asyncio.Task[None]] = {}

    def run(self, effect: RunScript) -> None:
        self._running[effect.token] = asyncio.get_running_loop().create_task(self._run(effect))

    async def close(self) -> None:
        """Gives up what runs, without a word to the engine."""
        tasks = list(self._running.values())
        self._running.clear()
        await give_up(tasks)

    async def _run(self, effect: RunScript) -> None:
        failure = await self._attempt(effect)
        if self._running.pop(effect.token, None) is not None:
            self._done(ScriptDone(token=effect.token, ok=not failure, detail=failure))

    async def _attempt(self, effect: RunScript) -> str:
        """Why it failed, "" when it succeeded."""
        path = os.path.join(self._scripts, _FOLDER, effect.monitor, effect.path)
        run = Run(
            key=f"{effect.monitor}.preaction", argv=(path,), environment=self._environment(effect),
            directory=os.path.dirname(path), timeout_s=effect.timeout_s,
        )  # fmt: skip
        try:
            async with asyncio.timeout(effect.timeout_s + _OVERTIME_S):
                done = await self._machine.processes.run(run)
        except DriverError as error:
            return error.detail or "failed without a reason"
        except TimeoutError:
            return f"{path} did not end within {effect.timeout_s:g} s"
        except Exception as error:
            self._log(f"{effect.monitor}: an error of this program\n{traceback.format_exc()}")
            return f"an error of this program ({type(error).__name__}: {error}); agent.log has the details"
        return _failure(run, done)

    def _environment(self, effect: RunScript) -> dict[str, str]:
        group = self._group.get(effect.group, Group(name=""))
        me, policy = self._machine.me, group.policy
        return {
            "CLP_MONITORNAME": effect.monitor,
            "CLP_RECOVERY": effect.step.upper(),
            "CLP_GROUPNAME": effect.group,
            "CLP_SERVER": "HOME" if policy[:1] == (me,) else "OTHER",
            "CLP_PRIORITY": str(policy.index(me) + 1 if me in policy else 1),
            "CLP_OSNAME": "Linux",
            "CLP_PATH": os.path.dirname(self._scripts),
            "CLP_VERSION_FULL": VERSION,
        }


def _failure(run: Run, done: Exit) -> str:
    if done.code == 0:
        return ""
    ended = f"ended with code {done.code}" if done.code is not None else f"did not end within {run.timeout_s:g} s"
    last = next((line.strip() for line in reversed(done.tail.split("\n")) if line.strip()), "")
    said = f"; it said: {last[:_SHOWN_CHARACTERS]}" if last else ""
    return f"{run.argv[0]} {ended}{said}"
