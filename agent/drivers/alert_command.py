"""Runs a command for an alert, without a shell: what an alert says can never become a command."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping

from agent.ports import DriverError

TIMEOUT_S = 30.0
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")


def run(command: str, values: Mapping[str, str]) -> None:
    """`values` become its environment; %%MSG%% and the like are filled in after the words were taken apart."""
    marks = {
        "%%MSG%%": values.get("CLP_ALERT_TEXT", ""), "%%MODULE%%": values.get("CLP_ALERT_MODULE", ""),
        "%%ID%%": values.get("CLP_ALERT_EVENT", ""), "%%LEVEL%%": values.get("CLP_ALERT_LEVEL", ""),
    }  # fmt: skip
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise DriverError(f"The command of an alert cannot be read: {error}.") from error
    if not words:
        raise DriverError("The command of an alert is empty.")
    for mark, text in marks.items():
        words = [word.replace(mark, text) for word in words]
    environ = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(values)
    try:
        process = subprocess.Popen(
            words, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )  # fmt: skip
    except OSError as error:
        raise DriverError(f"{words[0]} cannot be started: {error.strerror}.") from error
    try:
        code = process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise DriverError(f"{words[0]} did not end within {TIMEOUT_S:g} s and was killed.") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code:
        raise DriverError(f"{words[0]} ended with {code}.")
