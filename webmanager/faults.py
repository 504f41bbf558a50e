"""The demo's side doors: what its client measured, and faults on request. Used only when OPENCLP_DEMO is set."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from django.utils.translation import gettext as _

OPS = ("crash", "hang", "recover", "cut", "isolate", "cut-witness", "mend-witness", "heal")
_TIMEOUT_S = 15
_ANSWER_LIMIT = 64 * 1024
_STATE_LIMIT = 1024 * 1024


class OutageReader:
    """state.json of the demo, read again when it was replaced."""

    def __init__(self, directory: str) -> None:
        self._file = os.path.join(directory, "state.json")
        self._stamp = (0, 0)
        self.value: Any = None

    def changed(self) -> bool:
        try:
            found = os.stat(self._file)
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp == self._stamp or found.st_size > _STATE_LIMIT:
                return False
            with open(self._file, "rb") as file:
                value = json.loads(file.read(_STATE_LIMIT))
        except (OSError, ValueError):
            return False  # Not there yet, or just being replaced: the next look will tell.
        self._stamp = stamp
        if value == self.value:
            return False
        self.value = value
        return True


def inject(*, directory: str, op: str, server: str, lan: str) -> dict[str, Any]:
    """Asks the running demo for a fault; {"ok", "text"}."""
    if op not in OPS:
        return {
            "ok": False,
            "text": _("Unknown fault “%(op)s”. Known: %(known)s.") % {"op": op, "known": ", ".join(OPS)},
        }
    line = json.dumps({"op": op, "server": server, "lan": lan}).encode() + b"\n"
    try:
        answer = _ask(os.path.join(directory, "control.sock"), line)
    except (OSError, ValueError) as error:
        return {"ok": False, "text": _("The demo does not answer (%(error)s). Is it still running?") % {"error": error}}
    return {"ok": bool(answer.get("ok")), "text": str(answer.get("error") or answer.get("text") or "")}


def _ask(path: str, line: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(path)
        connection.sendall(line)
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < _ANSWER_LIMIT:
            if not (block := connection.recv(4096)):
                break
            answer += block
    found = json.loads(answer)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found
