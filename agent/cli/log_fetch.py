"""Fetches the packed logs of one server over the agents' control sockets, with limits of time and size."""

from __future__ import annotations

import base64
import binascii
import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agent.cli.client import REFUSED, CommandError, Connection, own_name
from agent.cli.log_timeline import Clock

_STEP_S = 20.0
_POLL_S = 0.3
_CLOCKS = 5
_RETRIES = 3


class Fetched(NamedTuple):
    server: str
    path: Path | None
    clock: Clock | None
    error: str = ""


def fetch(
    server: str, kind: str, most_bytes: int, to: Path, end: float, progress: Callable[[str, int], None]
) -> Fetched:
    """`end`: of time.monotonic(). Everything that goes wrong is in the answer: the others go on."""
    source = _Source(server, end)
    clock = None
    try:
        clock = source.clock()
        size = source.pack(kind, most_bytes, lambda percent: progress(server, percent // 2))
        path = to / f"{server}.tar.gz"
        with path.open("wb") as file:
            while file.tell() < size:
                file.write(source.part(file.tell()))
                progress(server, 50 + 50 * file.tell() // max(1, size))
        return Fetched(server, path, clock)
    except CommandError as error:
        return Fetched(server, None, clock, error.text)
    except TimeoutError:
        return Fetched(server, None, clock, f"{server} did not answer in time.")
    except OSError as error:
        return Fetched(server, None, clock, f"The logs of {server} cannot be written: {error.strerror}.")
    finally:
        source.discard()


class _Source:
    def __init__(self, server: str, end: float) -> None:
        self._via = {"via": server} if server != own_name() else {}
        self._id = uuid.uuid4().hex
        self._end = end
        self._began = False

    def clock(self) -> Clock:
        """Asked several times; the shortest way there and back is the surest. Against the agent here."""
        best: Clock | None = None
        for _ in range(_CLOCKS):
            before = float(self._ask({"step": "clock"}, here=True)["at"])
            there = float(self._ask({"step": "clock"})["at"])
            after = float(self._ask({"step": "clock"}, here=True)["at"])
            found = Clock(there - (before + after) / 2, (after - before) / 2)
            best = found if best is None or found.within_s < best.within_s else best
        assert best is not None
        return best if self._via else Clock(0.0, 0.0)

    def pack(self, kind: str, most_bytes: int, progress: Callable[[int], None]) -> int:
        """Waits until the archive is made there; its size."""
        self._began = True
        state = self._ask({"step": "pack", "id": self._id, "kind": kind, "most_bytes": most_bytes})
        while not state["done"]:
            progress(int(state["percent"]))
            time.sleep(_POLL_S)
            state = self._ask({"step": "state", "id": self._id})
        return int(state["size"])

    def part(self, offset: int) -> bytes:
        answer = self._ask({"step": "get", "id": self._id, "offset": offset})
        try:
            data = base64.b64decode(str(answer["data"]), validate=True)
        except binascii.Error:
            data = b""
        if not data:
            raise CommandError(REFUSED, "The collected logs ended too early. Collect them again.")
        return data

    def discard(self) -> None:
        if self._began:
            self._end = max(self._end, time.monotonic() + 2.0)
            with contextlib.suppress(CommandError, TimeoutError):
                self._ask({"step": "discard", "id": self._id})

    def _ask(self, step: dict[str, Any], *, here: bool = False) -> dict[str, Any]:
        for attempt in range(_RETRIES):
            left_s = min(_STEP_S, self._end - time.monotonic())
            if left_s <= 0:
                raise TimeoutError
            try:
                with Connection(left_s) as connection:
                    connection.send({"op": "logs", "logs": step, **({} if here else self._via)})
                    line = connection.receive()
            except CommandError:
                # A daemon that begins anew keeps nothing; a link that breaks does not matter.
                if attempt == _RETRIES - 1:
                    raise
                continue
            if not line.get("ok"):
                raise CommandError(REFUSED, str(line.get("error") or "The agent gave no answer."))
            return dict(line["logs"])
        raise TimeoutError
