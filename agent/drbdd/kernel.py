"""DRBD's tools and module, as agent/drbdd uses them. Every call may take up to its limit: make it in a thread.

Rules of this file
- What fails is a `DrbdError` with a sentence: what was tried, what DRBD said.
- The module is loaded when it is not there; that and the tools are looked for first, and what is missing is named with
  its remedy. Nothing is done without them.
- The only files written are the resource's own (`resource.py`) and DRBD's meta data on an empty cluster partition.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from agent.drbdd import words
from agent.drbdd.resource import minor_of, resource_text, unfit, unfit_name
from agent.drbdd.words import Generations, Seen
from agent.drivers.files import read_limited, write_atomic
from agent.mirrord.partition import refuse_used
from agent.mirrord.settings import Settings

COMMAND_S, _KILLED_S = 30.0, 1.0
_PROC, _MODULE = Path("/proc/drbd"), Path("/sys/module/drbd")
_PLACE = Path("/etc/drbd.d")
_CONF = Path("/etc/drbd.conf")
_OWN_PLACES = (Path("/var/lib/drbd"), Path("/run/drbd"))  # of the tools
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TEXT_BYTES = 1 << 20
_HEAD_BYTES = 1 << 20  # of the cluster partition that must be empty before DRBD takes it
_SAID_BYTES = 400
_HANDLER = str(Path(__file__).with_name("handler.py"))
_NO_RESOURCE = 10  # what drbdsetup ends with


class DrbdError(Exception):
    """A sentence."""

    def __init__(self, text: str, code: int | None = None) -> None:
        """`code`: what the tool ended with; None: it did not."""
        super().__init__(text)
        self.code = code


def _ended(arguments: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """With all that it has started: a drbdsetup that drbdadm leaves behind would promote later, when nobody expects it.
    OSError, subprocess.TimeoutExpired."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        stdin=subprocess.DEVNULL, env={"PATH": _PATH, "LC_ALL": "C"}, start_new_session=True,
    )  # fmt: skip
    try:
        said, wrong = process.communicate(timeout=limit_s)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # A call that hangs in the kernel does not end: it is left, since we must not hang with it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_S)
        for end in (process.stdout, process.stderr):
            if end is not None:
                end.close()
        raise
    return subprocess.CompletedProcess(arguments, process.returncode, said, wrong)


def _tool(name: str) -> str | None:
    return shutil.which(name, path=_PATH)


def missing() -> str:
    """Why DRBD cannot be used on this machine, with the remedy; "": it can."""
    for name in ("drbdadm", "drbdsetup"):
        if _tool(name) is None:
            return f"{name} is not installed. Install the package drbd-utils."
    if _MODULE.exists():
        return ""
    modprobe = _tool("modprobe")
    if modprobe is not None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run([modprobe, "drbd"], capture_output=True, timeout=COMMAND_S, check=False)
            if done.returncode == 0 and _MODULE.exists():
                return ""
    return (
        f"The kernel {os.uname().release} has no module drbd. Install the package that has it (Debian: the image with "
        "all modules, not -cloud; else drbd-dkms)."
    )


class Kernel:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name, self.minor = settings.mirror, minor_of(settings)
        self.file = _PLACE / f"openclp-{settings.mirror}.res"

    # ---- tools ----
    def _run(self, tool: str, *arguments: str, limit_s: float = COMMAND_S) -> str:
        """What it says. DrbdError."""
        if why := unfit_name(self.name):
            raise DrbdError(why)
        program = _tool(tool)
        if program is None:
            raise DrbdError(missing())
        what = " ".join((tool, *arguments))
        try:
            done = _ended([program, *arguments], limit_s)
        except subprocess.TimeoutExpired:
            raise DrbdError(f"`{what}` did not end within {limit_s:g} s.") from None
        except OSError as error:
            raise DrbdError(f"`{what}` could not be started: {error.strerror or error}.") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[-_SAID_BYTES:]
            raise DrbdError(f"`{what}` failed ({done.returncode}): {said or 'it does not say why'}", done.returncode)
        return done.stdout

    def adm(self, *arguments: str, limit_s: float = COMMAND_S) -> str:
        return self._run("drbdadm", *arguments, self.name, limit_s=limit_s)

    # ---- begin and end ----
    def up(self) -> None:
        """The kernel has the resource as our settings say. DrbdError, DiskError."""
        if why := missing():
            raise DrbdError(f"The engine of {self.name} is DRBD, which this server cannot use: {why}")
        if why := unfit(self.settings):
            raise DrbdError(why)
        for path in (self.settings.data, self.settings.partition):
            if not Path(path).is_block_device():
                raise DrbdError(f"{path} is no block device on this server; DRBD needs one.")
        self._write()
        if not self.look().there and refuse_used(self.settings, _HEAD_BYTES) != "drbd":
            self.create()
        self.adm("adjust")

    def create(self) -> None:
        """The cluster partition is DRBD's from now on; what it held is forgotten. DrbdError."""
        self._write()
        self.adm("create-md", "--force")

    def _write(self) -> None:
        try:
            text = resource_text(self.settings, os.uname().nodename, self._handler(), self._version(), self._digest())
            conf = (read_limited(_CONF, _TEXT_BYTES) or b"").decode("utf-8", "replace")
            if "drbd.d/" not in conf:
                raise DrbdError(f'{_CONF} does not include drbd.d/*.res; add that line: include "drbd.d/*.res";')
            for place in (_PLACE, *_OWN_PLACES):
                place.mkdir(parents=True, exist_ok=True)
            if read_limited(self.file, _TEXT_BYTES) != text.encode():
                write_atomic(self.file, text.encode(), durable=True, mode=0o600)
        except OSError as error:
            raise DrbdError(f"{error.filename or self.file} cannot be used: {error.strerror}.") from error
        except ValueError as error:
            raise DrbdError(str(error)) from error

    def _handler(self) -> str:
        return shlex.join((sys.executable, "-I", "-S", _HANDLER, self.settings.control))

    @staticmethod
    def _version() -> tuple[int, int]:
        text = read_limited(_MODULE / "version", _TEXT_BYTES) or read_limited(_PROC, _TEXT_BYTES) or b""
        return words.version_of(text.decode("utf-8", "replace"))

    @staticmethod
    def _digest() -> str:
        """The proof of the secret that the kernel has or can load."""
        modprobe = _tool("modprobe")
        if modprobe is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run([modprobe, "-q", "hmac"], capture_output=True, timeout=COMMAND_S, check=False)
        if not Path("/sys/module/hmac").exists() and b"hmac(" not in (
            read_limited(Path("/proc/crypto"), 1 << 20) or b""
        ):
            return ""
        return "sha256"

    def down(self) -> None:
        self.adm("down")
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)

    # ---- a look ----
    def look(self) -> Seen:
        """DrbdError: nobody knows. That a tool does not answer never means that the resource is not there."""
        try:
            text = self._run("drbdsetup", "status", self.name, "--verbose", "--statistics")
        except DrbdError as error:
            if error.code == _NO_RESOURCE or not _MODULE.exists():
                return Seen()
            raise
        try:
            generations = words.generations_of(self.adm("get-gi"))
        except DrbdError as error:
            if error.code is None:
                raise
            generations = Generations()
        seen = words.seen_of(text, generations)
        if seen.there and seen.connection == "StandAlone" and not seen.out_of_sync:
            return self._with_proc(seen)
        return seen

    def _with_proc(self, seen: Seen) -> Seen:
        proc = (read_limited(_PROC, _TEXT_BYTES) or b"").decode("utf-8", "replace")
        return msgspec.structs.replace(seen, out_of_sync=words.out_of_sync_of(proc, self.minor))

    # ---- orders ----
    def promote(self, *, apart: bool, force: bool) -> None:
        """`apart`: nothing of the other server is taken from now on, until it follows."""
        if apart:
            self.disconnect()
        self.adm("primary", *(("--force",) if force else ()))
        if apart:
            self.connect()

    def demote(self) -> None:
        self.adm("secondary")
        if self.look().disk in ("Diskless", "Failed"):
            self.adm("down")  # Its I/O was made to fail; the disk is taken up anew.
            self.adm("up")

    def disconnect(self) -> None:
        if self.look().connection != "StandAlone":
            self.adm("disconnect", "--force")

    def connect(self, *, discard: bool = False) -> None:
        if discard:
            self.disconnect()
            self.adm("connect", "--discard-my-data")
        elif self.look().connection == "StandAlone":
            self.adm("connect")

    def reconnect(self) -> None:
        self.disconnect()
        self.connect()

    def outdate(self) -> bool:
        """The disk says from now on that the other one has gone on. Not connected afterwards but trying to be."""
        self.disconnect()
        if self.look().disk not in ("Outdated", "Inconsistent", "Diskless"):
            self.adm("outdate")
        done = self.look().disk in ("Outdated", "Inconsistent", "Diskless")
        self.connect()
        return done

    def construct(self, *, full: bool) -> None:
        """Both are connected, and neither has data."""
        if full:
            self.adm("primary", "--force")
            self.adm("secondary")
        else:
            self._run("drbdadm", "new-current-uuid", "--clear-bitmap", f"{self.name}/0")

    def verify(self) -> None:
        self.adm("verify")

    def pace(self, bytes_s: int) -> None:
        """0: as much as there is room for."""
        if bytes_s:
            self._run(
                "drbdsetup",
                "disk-options",
                str(self.minor),
                "--c-plan-ahead=0",
                f"--resync-rate={max(1, bytes_s >> 10)}K",
            )
        else:
            self.adm("adjust")

    def abort(self) -> None:
        """All I/O of the device fails from now on. Only without a disk may frozen I/O be let go: then it is an error,
        and nothing was written without the other side knowing."""
        self.disconnect()
        self.adm("detach", "--force")
        seen = self.look()
        if seen.disk != "Diskless":
            raise DrbdError(f"DRBD has not let go of the disk of {self.name}: it is {seen.disk}.")
        if seen.frozen:
            self._run("drbdsetup", "resume-io", str(self.minor))
