"""How one server's packed logs are fetched (agent/daemon/collection.py has the other side), without any network.

`fetch` is a generator: it says what shall be asked, takes the answer, and says the next. Whoever drives it knows a way
to the agent: clplogcc the control socket, the manager the agents' connections.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from agent.wire.logs.timeline import Clock

STEP_S = 20.0  # the longest that one step takes
POLL_S = 0.3
KINDS = ("type1", "type2", "type3")
DEFAULT_MIB, MOST_MIB = 128, 512
AT_ONCE = 8  # servers
_CLOCKS = 5


class Ask(NamedTuple):
    """One step. `here`: of the clock by which all times shall be told, not of the server."""

    step: dict[str, Any]
    here: bool = False


class Pause(NamedTuple):
    seconds: float


Wish = Ask | Pause
Talk = Generator[Wish, dict[str, Any], Clock]


class BrokenError(Exception):
    """What came is not what was packed."""


def fetch(key: str, kind: str, most_bytes: int, write: Callable[[bytes], object], progress: Callable[[int], None],
          *, own_clock: bool = False) -> Talk:  # fmt: skip
    """Sends each part to `write`; `progress` gets percent. Whoever stops before the end asks for `discard(key)`."""
    clock = Clock(0.0, 0.0) if own_clock else (yield from _clock())
    state = yield Ask({"step": "pack", "id": key, "kind": kind, "most_bytes": most_bytes})
    while not state["done"]:
        progress(int(state["percent"]) // 2)
        yield Pause(POLL_S)
        state = yield Ask({"step": "state", "id": key})
    size, came = int(state["size"]), 0
    while came < size:
        part = _decoded((yield Ask({"step": "get", "id": key, "offset": came})))
        write(part)
        came += len(part)
        progress(50 + 50 * came // size)
    return clock


def discard(key: str) -> Ask:
    return Ask({"step": "discard", "id": key})


def _clock() -> Talk:
    """Asked several times; the shortest way there and back is the surest."""
    best: Clock | None = None
    for _ in range(_CLOCKS):
        before = float((yield Ask({"step": "clock"}, here=True))["at"])
        there = float((yield Ask({"step": "clock"}))["at"])
        after = float((yield Ask({"step": "clock"}, here=True))["at"])
        found = Clock(there - (before + after) / 2, (after - before) / 2)
        best = found if best is None or found.within_s < best.within_s else best
    assert best is not None
    return best


def _decoded(answer: dict[str, Any]) -> bytes:
    try:
        data = base64.b64decode(str(answer["data"]), validate=True)
    except binascii.Error:
        data = b""
    if not data:
        raise BrokenError("The collected logs ended too early. Collect them again.")
    return data
