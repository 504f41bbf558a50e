"""Start the agent on this server: by systemd where its unit is installed, else in the background."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from agent.cli import client

_UNIT = "openclp.service"
_POLL_S = 0.05
_TAIL_BYTES = 2000


def launch(timeout_s: float) -> client.View:
    """Returns when the agent answers. Raises CommandError when it does not within the time."""
    end = time.monotonic() + timeout_s
    if os.geteuid() != 0:
        raise client.CommandError(client.UNREACHABLE, "The agent does not run here. Only root can start it.")
    said_before = _log().stat().st_size if _log().exists() else 0
    child = None if _by_systemd() else _in_background()
    while True:
        try:
            return client.status()
        except (client.CommandError, TimeoutError) as error:
            _check(child, error, end, said_before)
        time.sleep(_POLL_S)


def _check(child: subprocess.Popen[bytes] | None, error: Exception, end: float, said_before: int) -> None:
    if child is not None and child.poll() is not None:
        text = f"The agent did not start: clpd ended with exit code {child.returncode}. It said (in {_log()}):"
        raise client.CommandError(client.UNREACHABLE, f"{text}\n{_said(said_before)}")
    if time.monotonic() >= end:
        raise client.CommandError(
            client.NOT_YET, f"The agent was started, but does not answer yet: {error} See {_log()}."
        )


def _by_systemd() -> bool:
    if not Path("/run/systemd/system").is_dir():
        return False
    try:
        known = subprocess.run(["systemctl", "cat", _UNIT], capture_output=True, timeout=10, check=False)
        if known.returncode != 0:
            return False
        started = subprocess.run(["systemctl", "start", _UNIT], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise client.CommandError(client.UNREACHABLE, f"systemctl start {_UNIT} failed: {error}") from None
    if started.returncode != 0:
        text = " ".join(started.stderr.split()) or f"exit code {started.returncode}"
        raise client.CommandError(client.UNREACHABLE, f"systemctl start {_UNIT} failed: {text}")
    return True


def _in_background() -> subprocess.Popen[bytes]:
    log = _log()
    root = str(Path(__file__).resolve().parents[2])  # A checkout need not be installed.
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        # What it prints before its own log is open must not be lost; a log of a service lives next to the others.
        with log.open("ab") as output:
            return subprocess.Popen(
                _command(),
                env={**os.environ, "PYTHONPATH": search},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
    except OSError as error:
        raise client.CommandError(client.UNREACHABLE, f"clpd could not be started: {error}") from None


def _command() -> list[str]:
    beside = Path(sys.executable).with_name("clpd")  # sudo takes the virtual environment out of PATH.
    program = shutil.which("clpd") or (str(beside) if os.access(beside, os.X_OK) else "")
    return [program] if program else [sys.executable, "-m", "agent.daemon.supervisor"]


def _said(since: int) -> str:
    with _log().open("rb") as log:
        log.seek(max(since, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return log.read(_TAIL_BYTES).decode("utf-8", "replace").strip() or "nothing"


def _log() -> Path:
    return Path(os.environ.get("OPENCLP_LOG") or "/var/log/openclp") / "clpd.out"
