"""Configurations that come to this agent, or are taken from it (op "configuration" of the control socket).

A delivery has steps, so that a cluster gets all of it or nothing: `put` the archive in parts, `store` it (it is checked
here), and when every server has it, `switch` on each; one that cannot lets the others `restore`. Then `restart`: with
the service stopped, clpd begins anew with the new file and goes on waiting for clpcl -s. Between switch and restart the
service cannot be started. Every step may be repeated.

While the service runs, only scripts may be switched so (`scripts` in the answer of `store`). A change of clp.conf is
the engine's: it hears what is stored (ConfigurationStored), and when the operator's request config_apply has made it
want the switch, `begin` carries that out and the daemon ends (switching.py: its head holds the rules).

A deliverer that is lost after a switch: nobody is restarted before all have switched, so if any server runs with the
new file, all have it, and this one goes on to it. If none does, everybody goes back.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from hashlib import sha256
from typing import Any, Literal

import msgspec

from agent.daemon import configuration_files as files
from agent.daemon.paths import NEW_START, PET_FD, Paths
from agent.daemon.switching import SwitchError, alone, read_record, read_stored
from agent.engine.events import ConfigurationStored, Event, SwitchFailed
from agent.wire.delivery import MOST_BYTES, PART_BYTES
from agent.wire.switch import ID_HEX, Stored, Switch

Line = dict[str, Any]
Forward = Callable[[str, Line, float], AsyncGenerator[Line, None]]
WORK_S = 120.0
SWITCH_S = 30.0  # while it lasts nobody recovers anything
LOST_S = 30.0  # without a word from the deliverer after a switch
_ASK_S = 5.0
_SOON_S = 0.2  # for the answer to leave before we do
_WORK = (sys.executable, "-m", "agent.daemon.configuration_work")


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    step: Literal["state", "pack", "get", "put", "store", "switch", "restore", "restart", "discard"]
    id: str = ""  # SHA-256 of the archive, hexadecimal
    offset: int = 0
    size: int = 0
    data: str = ""  # base64
    kept: str = ""  # of restore: what `switch` answered


class Configurations:
    def __init__(
        self, places: Paths, me: str, config: bytes, incarnation: int, *,
        service: Callable[[], str], holds: Callable[[], bool], say: Callable[[str], None],
        feed: Callable[[Event], None], leave: Callable[[], None],
        others: Sequence[str] = (), forward: Forward | None = None, stored: Stored | None = None,
    ) -> None:  # fmt: skip
        """`feed` tells the engine; `leave` ends this daemon, for the next one to begin with another configuration.
        `stored`: what the engine knows of already."""
        self._places = places
        self._me = me
        self._hash = sha256(config).hexdigest()  # of what this agent runs
        self._incarnation = incarnation
        self._service = service
        self._holds = holds
        self._say = say
        self._lock = asyncio.Lock()
        self._switched: dict[str, Line] = {}  # by id: a repeated step is answered as the first one
        self._scripts: dict[str, bool] = {}  # by id: are they all that changes?
        self._feed = feed
        self._leave = leave
        self._stored = stored
        self._begun: asyncio.Task[None] | None = None
        self._lost: asyncio.TimerHandle | None = None
        self._others = others
        self._forward = forward
        self._deciding: asyncio.Task[None] | None = None

    @property
    def switching(self) -> bool:
        """The file is another one than what this agent would start with."""
        return self._lost is not None

    async def answer(self, fields: dict[str, Any] | None, by: str) -> Line:
        try:
            asked = msgspec.convert(fields or {}, Step)
        except (msgspec.ValidationError, TypeError) as error:
            return {"ok": False, "error": f"The step is not right: {error}."}
        if asked.id and not _is_key(asked.id):
            return {"ok": False, "error": "The id is no SHA-256."}
        try:
            async with self._lock:
                found = await self._do(asked, by)
        except (OSError, ValueError, SwitchError) as error:
            found = {"error": f"{self._me} cannot do that: {error}."}
        if "error" in found:
            return {"ok": False, "error": found["error"], "reason": found.get("reason", "failed")}
        return {"ok": True, "configuration": found}

    async def _do(self, asked: Step, by: str) -> Line:
        match asked.step:
            case "state":
                return self._state()
            case "pack":
                self._forget("out-*")
                return await self._work("pack")
            case "get":
                return self._get(asked)
            case "put":
                return self._put(asked)
            case "store":
                return await self._store(asked, by)
            case "switch":
                return await self._switch(asked, by)
            case "restore":
                return await self._restore(asked, by)
            case "restart":
                return self._restart(asked, by)
            case "discard":
                return await self._discard(by)

    def _state(self) -> Line:
        return {
            "server": self._me, "service": self._service(), "holds": self._holds(), "hash": self._hash,
            "incarnation": self._incarnation, "switching": self.switching,
            "config": self._hash[:ID_HEX], "stored": self._stored.config if self._stored else "",
        }  # fmt: skip

    def _get(self, asked: Step) -> Line:
        with (files.folder(self._places) / f"out-{asked.id[:16]}").open("rb") as file:
            file.seek(asked.offset)
            return {"data": base64.b64encode(file.read(PART_BYTES)).decode("ascii")}

    def _put(self, asked: Step) -> Line:
        """Parts come in order; one that comes twice is written twice."""
        if not asked.id or not 0 <= asked.offset <= asked.size <= MOST_BYTES:
            return {"error": f"A part stands between 0 and the size, which is at most {MOST_BYTES}."}
        try:
            data = base64.b64decode(asked.data, validate=True)
        except binascii.Error as error:
            return {"error": f"The data is no base64: {error}."}
        if len(data) > PART_BYTES or asked.offset + len(data) > asked.size:
            return {"error": f"A part has at most {PART_BYTES} bytes, and ends where the archive does."}
        if asked.offset == 0:
            self._forget("in-*")
        path = files.folder(self._places) / f"in-{asked.id[:16]}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(descriptor, data, asked.offset)
        finally:
            os.close(descriptor)
        return {"have": asked.offset + len(data)}

    async def _store(self, asked: Step, by: str) -> Line:
        found = await self._work("store", asked.id)
        await self._tell_stored()
        if "error" not in found:
            self._scripts = {asked.id: bool(found["scripts"])}
            self._say(f"Configuration {asked.id[:12]} is stored, for {by}.")
        return {**found, "service": self._service()}

    async def _switch(self, asked: Step, by: str) -> Line:
        if asked.id in self._switched:
            return self._switched[asked.id]
        service = self._service()
        idle = service in ("stopped", "waiting") and not self._holds()
        if not idle and not self._scripts.get(asked.id, False):
            text = f"The service runs on {self._me}: the cluster as a whole has to change over (clpcfctrl --push)."
            return {"error": text, "reason": "service_runs"}
        if not idle and await asyncio.to_thread(self._on_trial):
            text = f"{self._me} runs a configuration that is not confirmed yet. Keep it (clpcfctrl --keep), or return."
            return {"error": text, "reason": "on_trial"}
        found = await self._work("switch", asked.id, "stopped" if idle else "online")
        await self._tell_stored()
        if "error" in found:
            return found
        self._switched = {asked.id: found}
        if idle:
            self._wait_for_word()
        self._say(f"Configuration {asked.id[:12]} is in force, for {by}. The one before: {found['kept'] or 'none'}.")
        return found

    async def _restore(self, asked: Step, by: str) -> Line:
        found = await self._work("restore", asked.kept)
        await self._tell_stored()
        if "error" not in found:
            self._say(f"The configuration before is in force again, for {by}.")
            self._switched.clear()
            if self.switching and found["hash"] == self._hash:
                self._stop_waiting()
        return found

    def _restart(self, asked: Step, by: str) -> Line:
        if not self.switching or asked.id not in self._switched:
            text = f"{self._me} is not about to take this configuration: it has it already, or has taken it back."
            return {"error": text, "reason": "not_switched"}
        if PET_FD not in os.environ:
            return {"error": f"The agent on {self._me} runs without clpd. Start it anew by hand."}
        self._stop_waiting()
        self._say(f"clpd begins anew with the new configuration, for {by}.")
        self._lost = asyncio.get_running_loop().call_later(_SOON_S, _begin_anew)
        return self._state()

    async def _discard(self, by: str) -> Line:
        await asyncio.to_thread(files.discard, self._places)
        self._scripts.clear()
        await self._tell_stored()
        self._say(f"What was stored is thrown away, for {by}.")
        return {}

    # --- a service that runs

    def begin(self, switch: Switch) -> None:
        """Carry out the engine's SwitchConfiguration, beside what goes on."""
        if self._begun is None or self._begun.done():
            self._begun = asyncio.get_running_loop().create_task(self._change_over(switch))

    async def _change_over(self, switch: Switch) -> None:
        error = "This agent runs without clpd, so that nobody would start it again."
        if PET_FD in os.environ:
            error = await self._try_to_change(switch)
        if error and not await asyncio.to_thread(self._is_begun, switch):
            self._say(f"The configuration was not changed over: {error}")
            self._feed(SwitchFailed(id=switch.id, detail=error))
            return
        if error:
            self._say(f"The change of the configuration was not finished: {error} clpd goes on with it.")
        self._leave()

    async def _try_to_change(self, switch: Switch) -> str:
        """Why it did not end well."""
        change = msgspec.json.encode(switch).decode()
        try:
            async with asyncio.timeout(SWITCH_S), self._lock:
                found = await self._work("apply", str(self._incarnation), str(os.getpid()), change)
        except TimeoutError:
            return f"It took more than {SWITCH_S:g} s."
        except OSError as error:
            return f"The work cannot be begun: {error}."
        return str(found.get("error", ""))

    def _is_begun(self, switch: Switch) -> bool:
        """Then there is no way but on: whoever reads the record finishes it."""
        with contextlib.suppress(OSError, SwitchError), alone(self._places):
            record = read_record(self._places)
            return record is not None and not record.done and record.switch == switch
        return False

    def _on_trial(self) -> bool:
        record = read_record(self._places)
        return record is not None and record.switch.state == "trying"

    async def _tell_stored(self) -> None:
        found = await asyncio.to_thread(read_stored, self._places)
        if found != self._stored:
            self._stored = found
            self._feed(ConfigurationStored(stored=found))

    # --- a service that is stopped

    def _wait_for_word(self) -> None:
        self._stop_waiting()
        if PET_FD in os.environ:
            self._lost = asyncio.get_running_loop().call_later(LOST_S, self._decide_soon)

    def _decide_soon(self) -> None:
        self._deciding = asyncio.get_running_loop().create_task(self._decide())

    async def _decide(self) -> None:
        found = next(iter(self._switched.values()))
        told = await asyncio.gather(*(self._runs_with(name) for name in self._others))
        async with self._lock:
            if self._lost is None or not self._switched:
                return  # Somebody has decided meanwhile.
            if found["hash"] not in told and found["kept"]:
                self._say("Nobody completes the delivery, and no server runs with it: it is taken back.")
                if "error" not in await self._work("restore", found["kept"]):
                    self._switched.clear()
                    self._stop_waiting()
                    return
            self._say("Nobody completes the delivery: clpd begins anew with it.")
            _begin_anew()

    async def _runs_with(self, server: str) -> str:
        """The hash of its configuration, "" when it does not answer."""
        request = {"op": "configuration", "configuration": {"step": "state"}, "wait_s": _ASK_S}
        if self._forward is not None:
            async for line in self._forward(server, request, _ASK_S):
                return str(line.get("configuration", {}).get("hash", ""))
        return ""

    def _stop_waiting(self) -> None:
        if self._lost is not None:
            self._lost.cancel()
            self._lost = None

    def _forget(self, pattern: str) -> None:
        for path in files.folder(self._places).glob(pattern):
            path.unlink(missing_ok=True)

    async def _work(self, *arguments: str) -> Line:
        process = await asyncio.create_subprocess_exec(
            *_WORK, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(WORK_S):
                said, _ = await process.communicate()
        except TimeoutError:
            return {"error": f"{self._me} was not ready within {WORK_S:g} s."}
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        with contextlib.suppress(ValueError):
            return dict(json.loads(said))
        return {"error": f"{self._me} could not do it: the process ended with {process.returncode}."}


def _begin_anew() -> None:
    """clpd stops us in order and starts itself again. While it does not, it is asked once a second."""
    with contextlib.suppress(OSError):
        os.write(int(os.environ[PET_FD]), NEW_START)
    asyncio.get_running_loop().call_later(1.0, _begin_anew)


def _is_key(text: str) -> bool:
    return len(text) == 64 and all(one in "0123456789abcdef" for one in text)
