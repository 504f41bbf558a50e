"""Runs fence agents (programs fence_* of the package fence-agents): what they need, and what they do.

The rules of this file:
- Options go by standard input, never on the command line, where every user of the machine could read them.
- A run is a session of its own below `timeout`, so that it ends in time even when the daemon does not.
- "It is off" counts when the agent's own status says so afterwards, where it has one.
- No secret reaches a log or a message: what the agent prints is masked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from agent.clpconf.fences import FenceAgent, is_secret
from agent.clpconf.model import FenceDevice
from agent.drivers import procfs
from agent.drivers.files import read_limited, write_atomic
from agent.drivers.session import end_session
from agent.fences.metadata import LIMIT_BYTES, MetadataError, read_metadata

FENCE_PATH = "OPENCLP_FENCE_PATH"
DIRECTORIES = "/usr/sbin"
METADATA_S = 20.0
STATUS_S = 20.0
KILL_AFTER_S = 2.0
DEATH_LIMIT_S = 2.0  # from SIGKILL until we wait no longer
_OUTPUT_BYTES = 64 << 10
_DETAIL = 300
_SHORTEST_SECRET = 4
_ON, _OFF = 0, 2  # exit codes of status

Action = Literal["off", "reboot", "status"]


class Outcome(NamedTuple):
    """`detail`: how the server is ("on", "off"), or why it failed."""

    ok: bool
    detail: str


class _Run(NamedTuple):
    code: int | None  # None: out of time
    output: str


class InstalledAgents(Mapping[str, FenceAgent]):
    """The fence agents of this server by name; each is asked for its metadata once and remembered in `cache`."""

    def __init__(self, cache: Path | None = None, directories: str = "") -> None:
        self._cache = cache
        self._programs = _programs(directories or os.environ.get(FENCE_PATH) or DIRECTORIES)
        self._known: dict[str, FenceAgent] = {}

    def __getitem__(self, name: str) -> FenceAgent:
        """KeyError when there is none, MetadataError when it does not tell what it needs."""
        if name not in self._known:
            self._known[name] = read_metadata(name, self._metadata(name, self._programs[name]))
        return self._known[name]

    def get(self, name: str, default: object = None) -> FenceAgent | None:  # type: ignore[override]
        """None, too, for one whose metadata is no use: it cannot be checked, and so not be trusted."""
        try:
            return self[name]
        except (KeyError, MetadataError):
            return None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._programs))

    def __len__(self) -> int:
        return len(self._programs)

    def program(self, name: str) -> Path | None:
        return self._programs.get(name)

    def _metadata(self, name: str, program: Path) -> bytes:
        status = program.stat()
        kept = self._cache / f"{name}.{status.st_size}.{int(status.st_mtime)}.xml" if self._cache else None
        if kept is not None:
            with contextlib.suppress(OSError, ValueError):
                data = read_limited(kept, LIMIT_BYTES)
                if data is not None:
                    return data
        data = _ask_metadata(program)
        read_metadata(name, data)  # Only what can be read is kept.
        if kept is not None:
            with contextlib.suppress(OSError):
                kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomic(kept, data, durable=False)
        return data


def _programs(directories: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for directory in filter(None, directories.split(":")):
        with contextlib.suppress(OSError):
            for path in sorted(Path(directory).glob("fence_*")):
                if path.is_file() and os.access(path, os.X_OK):
                    found.setdefault(path.name, path)
    return found


def _ask_metadata(program: Path) -> bytes:
    try:
        done = subprocess.run(
            [program, "-o", "metadata"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=METADATA_S, start_new_session=True, env=_environment(), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise MetadataError(f"{program.name} did not print its metadata within {METADATA_S:g} s.") from None
    except OSError as error:
        raise MetadataError(f"{program} cannot be run: {error.strerror}.") from error
    return done.stdout[: LIMIT_BYTES + 1]


class FenceDriver:
    """`log` takes lines about a device."""

    def __init__(self, agents: InstalledAgents, log: Callable[[str, str], None]) -> None:
        self._agents = agents
        self._log = log

    async def run(self, device: FenceDevice, server: str, action: Action) -> Outcome:
        program = self._agents.program(device.agent)
        if program is None:
            return Outcome(False, f"{device.agent} is not installed on this server; install the package fence-agents")
        known = await asyncio.to_thread(self._agents.get, device.agent)
        verifies = known is not None and "status" in known.actions
        if action == "status":
            if not verifies:
                return Outcome(False, f"{device.agent} cannot tell the status of a server")
            return await self._status(device, server, program, min(device.timeout_s, STATUS_S))
        done = await self._run(device, server, program, action, device.timeout_s)
        if done.code != 0:
            return Outcome(False, _why(done, device.timeout_s))
        if action == "reboot" or not verifies:
            return Outcome(True, "")
        status = await self._status(device, server, program, min(device.timeout_s, STATUS_S))
        if status == Outcome(True, "off"):
            return status
        return Outcome(False, f"it said that {server} is off, but its status then was: {status.detail}")

    async def _status(self, device: FenceDevice, server: str, program: Path, limit_s: float) -> Outcome:
        done = await self._run(device, server, program, "status", limit_s)
        if done.code in (_ON, _OFF):
            return Outcome(True, "on" if done.code == _ON else "off")
        return Outcome(False, _why(done, limit_s))

    async def _run(self, device: FenceDevice, server: str, program: Path, action: str, limit_s: float) -> _Run:
        options = {**device.on(server), "action": action}
        done = await _execute(program, options, limit_s)
        output = masked(done.output, options)
        ended = "ran out of time" if done.code is None else f"exit code {done.code}"
        self._log(device.name, f"{device.agent} {action} {server}: {ended}")
        for line in output.splitlines()[-20:]:
            self._log(device.name, f"  {line}")
        return _Run(done.code, output)


async def _execute(program: Path, options: Mapping[str, str], limit_s: float) -> _Run:
    said = "".join(f"{name}={value}\n" for name, value in options.items()).encode()
    try:
        process = await asyncio.create_subprocess_exec(
            "timeout", f"--kill-after={KILL_AFTER_S:g}", f"{limit_s + KILL_AFTER_S:g}", program,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            start_new_session=True, env=_environment(),
        )  # fmt: skip
    except OSError as error:
        return _Run(126, f"{program} cannot be run: {error.strerror}")
    leader = procfs.find(process.pid)
    output = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            await _converse(process, said, output)
            return _Run(await process.wait(), output.decode("utf-8", "replace"))
    except TimeoutError:
        return _Run(None, output.decode("utf-8", "replace"))
    finally:
        await _end(process, leader.start if leader is not None else 0)


async def _converse(process: asyncio.subprocess.Process, said: bytes, output: bytearray) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):  # It does not read its options: its output says why.
        process.stdin.write(said)
        await process.stdin.drain()
    process.stdin.close()
    while data := await process.stdout.read(4096):
        output += data[: max(0, _OUTPUT_BYTES - len(output))]


async def _end(process: asyncio.subprocess.Process, start: int) -> None:
    """The whole session: what the agent has started could still talk to the device beside the next run."""
    grace_s = KILL_AFTER_S if process.returncode is None else 0.0
    await end_session(process.pid, start, grace_s, DEATH_LIMIT_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEATH_LIMIT_S):
            await process.wait()


def _why(done: _Run, limit_s: float) -> str:
    if done.code is None:
        return f"it did not end within {limit_s:g} s"
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    last = f": {lines[-1][:_DETAIL]}" if lines else ""
    return f"exit code {done.code}{last}"


def masked(text: str, options: Mapping[str, str]) -> str:
    """Without the values of secret options. Very short ones cannot be told from other text: then nothing is shown."""
    secrets = sorted((v for name, v in options.items() if v and is_secret(name)), key=len, reverse=True)
    if any(len(secret) < _SHORTEST_SECRET and secret in text for secret in secrets):
        return "(what it printed may contain a secret)"
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _environment() -> dict[str, str]:
    """No secret of ours, and no warnings of the interpreter before the metadata."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
            "PYTHONWARNINGS": "ignore"}  # fmt: skip
