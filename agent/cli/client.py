"""The commands' side of the agent's control socket: one JSON object a line, every wait with a deadline."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

OK, REFUSED, USAGE, UNREACHABLE, NOT_YET = 0, 1, 2, 3, 4
EXIT_CODES = (
    (OK, "done"),
    (REFUSED, "refused or failed; the reason is on standard error"),
    (USAGE, "wrong usage"),
    (UNREACHABLE, "no agent answers"),
    (NOT_YET, "accepted, but not done within the timeout; it goes on"),
)
Json = dict[str, Any]

# A status of 32 servers with thousands of objects needs some MiB; more than this is not an agent.
_MAX_ANSWER_BYTES = 64 << 20
_CONNECT_TIMEOUT_S = 5.0
_RESTART_S, _RETRY_S = 5.0, 0.1
_STATUS_TIMEOUT_S = 10.0
# The agent itself answers "not yet" at the end of wait_s; we give up this much later, when it is dead or hung.
_SLACK_S = 5.0


class CommandError(Exception):
    """What ends a command: the text is one or two sentences for the operator."""

    def __init__(self, exit_code: int, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        self.text = text


class NotRunningError(CommandError):
    """Nobody listens at the agent's socket."""


@dataclass(frozen=True, slots=True)
class View:
    """A status and the name of the server whose view it is."""

    me: str
    status: Json


@dataclass(frozen=True, slots=True)
class Result:
    """How one request ended."""

    exit_code: int
    reason: str
    text: str


def socket_path() -> Path:
    return Path(os.environ.get("OPENCLP_RUN") or "/run/openclp") / "agent.sock"


def config_directory() -> Path:
    return Path(os.environ.get("OPENCLP_ETC") or "/etc/openclp")


def state_directory() -> Path:
    return Path(os.environ.get("OPENCLP_STATE") or "/var/lib/openclp")


def own_name() -> str:
    """This server's name in clp.conf: the file `server`, else the host name."""
    try:
        named = (config_directory() / "server").read_text("utf-8").strip()
    except OSError:
        named = ""
    return named or socket.gethostname().split(".", 1)[0]


def status(host: str = "") -> View:
    """The view of the agent here, or of the agent on `host`, asked through the one here."""
    with Connection(_STATUS_TIMEOUT_S) as connection:
        connection.send({"op": "status", **_via(host)})
        return _view(connection.receive(), host)


def watch(host: str = "", every_s: float = 2.0) -> Iterator[View]:
    """A view at once, after each change, and every `every_s` without one (what is shown ages, too).

    Ends with CommandError only. The agent tells its changes here only; another server's view is asked for.
    """
    if host and host != own_name():
        while True:
            yield status(host)
            time.sleep(min(every_s, 1.0))
    with Connection(_STATUS_TIMEOUT_S) as connection:
        connection.send({"op": "watch"})
        while True:
            connection.allow(_STATUS_TIMEOUT_S)
            yield _view(connection.receive(), "")
            while not connection.readable(every_s):
                yield status()


def ask(
    op: str,
    command: str,
    *,
    target: str = "",
    server: str = "",
    via: str = "",
    wait_s: float,
    progress: Callable[[str], None] = lambda text: None,
    more: Mapping[str, Any] | None = None,
) -> Result:
    """Send one request, to the agent here or on `via`, and wait for its end. CommandError: no agent can be asked.
    `more`: further fields of the request."""
    request = {
        "id": uuid.uuid4().hex, "op": op, "target": target, "server": server, "by": f"{_user()}@{command}",
        **(more or {}),
    }  # fmt: skip
    with Connection(wait_s + _SLACK_S) as connection:
        connection.send({"op": "ask", "request": request, "wait_s": wait_s, **_via(via)})
        try:
            while "progress" in (line := connection.receive()):
                progress(str(line["progress"]))
        except TimeoutError:
            return Result(NOT_YET, "timeout", f"No answer within {wait_s:g} s; it may go on. See clpstat.")
    return _result(line)


class Connection:
    """One conversation with the agent. TimeoutError when its time is over, CommandError when it breaks."""

    def __init__(self, timeout_s: float) -> None:
        self._buffer = bytearray()
        self.allow(timeout_s)
        self._socket = _connect(socket_path())

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def allow(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s

    def send(self, request: Mapping[str, Any]) -> None:
        self._socket.settimeout(_CONNECT_TIMEOUT_S)
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            _broken(error)

    def receive(self) -> Json:
        while (end := self._buffer.find(b"\n")) < 0:
            self._fill()
        raw = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            line = json.loads(raw)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise CommandError(UNREACHABLE, f"What listens at {socket_path()} is no agent of openclp.")
        return line

    def readable(self, timeout_s: float) -> bool:
        """Has something arrived (a line, a part of one, or the end)?"""
        if self._buffer.find(b"\n") >= 0:
            return True
        self._deadline = time.monotonic() + timeout_s
        try:
            self._fill()
        except TimeoutError:
            return False
        return True

    def _fill(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        try:
            piece = self._socket.recv(1 << 18)
        except TimeoutError:
            raise
        except OSError as error:
            _broken(error)
        if not piece:
            raise CommandError(UNREACHABLE, "The agent ended the connection without an answer. Its agent.log says why.")
        self._buffer += piece
        if len(self._buffer) > _MAX_ANSWER_BYTES:
            raise CommandError(UNREACHABLE, f"The answer at {socket_path()} is longer than any of an agent of openclp.")


def _connect(path: Path) -> socket.socket:
    """A daemon that begins anew (with another configuration, or after its death) is waited for."""
    end = time.monotonic() + _RESTART_S
    while True:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(_CONNECT_TIMEOUT_S)
        try:
            channel.connect(str(path))
            return channel
        except OSError as error:
            channel.close()
            away = isinstance(error, FileNotFoundError | ConnectionRefusedError)
            if not away or not _clpd_lives(path) or time.monotonic() >= end:
                raise _why_not(path, error) from None
        time.sleep(_RETRY_S)


def _clpd_lives(path: Path) -> bool:
    """It has written its number into its lock."""
    try:
        number = path.with_name("clpd.lock").read_text("ascii").strip()
    except (OSError, ValueError):
        return False
    return number.isdecimal() and Path(f"/proc/{number}").exists()


def _why_not(path: Path, error: OSError) -> CommandError:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        text = f"The agent does not run on this server (nobody answers at {path}). Start it with clpcl -s."
        return NotRunningError(UNREACHABLE, text)
    if isinstance(error, PermissionError):
        text = f"You may not use {path}. Run the command as root."
    elif isinstance(error, TimeoutError | BlockingIOError):
        text = f"The agent does not answer at {path}. Its agent.log says why."
    else:
        text = f"The agent cannot be reached at {path}: {error.strerror or error}. Check OPENCLP_RUN."
    return CommandError(UNREACHABLE, text)


def _broken(error: OSError) -> NoReturn:
    text = f"The connection to the agent broke: {error.strerror or error}. It may have been restarted: try again."
    raise CommandError(UNREACHABLE, text) from None


def _via(host: str) -> Json:
    return {"via": host} if host and host != own_name() else {}


def _view(line: Json, host: str) -> View:
    found = line.get("status")
    if not line.get("ok") or not isinstance(found, dict):
        text = str(line.get("error") or "The agent gave no status.")
        # The agent here answers; the one asked through it does not.
        raise CommandError(UNREACHABLE if host else REFUSED, text)
    return View(str(line.get("me") or host or own_name()), found)


def _result(line: Json) -> Result:
    answer = line.get("answer")
    if not isinstance(answer, dict):
        return Result(REFUSED, "error", str(line.get("error") or "The agent gave no answer."))
    code, reason, text = answer.get("code", 3), str(answer.get("reason", "")), str(answer.get("text", ""))
    if code == 0:
        return Result(OK, reason, text)
    if code == 1:
        return Result(NOT_YET, reason, text or "Accepted, not done yet.")
    return Result(REFUSED, reason, text or ("Refused." if code == 2 else "Failed."))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
