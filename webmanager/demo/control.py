"""The demo's own socket: status, crash, hang, recover, cut, heal, down, run; one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from webmanager.demo.machine import BedError

LINE = 65536
WAIT_S = 90.0
Handler = Callable[[dict[str, Any]], Mapping[str, Any]]


class ControlServer:
    """Answers until close(); `handle` runs in a thread for each client and may raise BedError."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        outer = handle

        class Talk(socketserver.StreamRequestHandler):
            timeout = WAIT_S

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    while line := self.rfile.readline(LINE):
                        self.wfile.write(json.dumps(_answer(outer, line)).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        try:
            self._server = Server(str(path), Talk)
        except OSError as error:
            raise BedError(f"the demo's socket {path} could not be made: {error}") from error
        os.chmod(path, 0o600)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="demo control", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def _answer(handle: Handler, line: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or not isinstance(request.get("op"), str):
            return {"ok": False, "error": 'A request is one JSON object a line with "op".'}
        return {"ok": True, **handle(request)}
    except ValueError:
        return {"ok": False, "error": "The request is not JSON."}
    except BedError as error:
        return {"ok": False, "error": str(error)}


def ask(path: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """One request to a running demo. BedError when none is running."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(WAIT_S)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            line = client.makefile("rb").readline()
    except OSError as error:
        reason = f"no demo is running here ({path}: {error.strerror or error}); start it with bin/demo"
        raise BedError(reason) from error
    if not line:
        raise BedError("the demo ended before it answered")
    return dict(json.loads(line))


def answers(path: Path) -> bool:
    """A demo listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
