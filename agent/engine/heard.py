"""What the detector has heard of one other server, by each path and over all. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from agent.engine.gaps import Gaps
from agent.wire.epoch import NO_EPOCH
from agent.wire.heartbeat import NEVER, UNTOLD, Row

LONG_AGO = float("-inf")
NEW, HEARD, LOST = "new", "heard", "lost"


class HeardPath:
    """One heartbeat resource towards one peer."""

    __slots__ = ("at", "bit", "gaps", "heartbeat", "ok", "seq", "worst")

    def __init__(self, heartbeat: str, bit: int) -> None:
        self.heartbeat = heartbeat
        self.bit = bit
        self.seq = NEVER
        self.at = LONG_AGO
        self.ok: bool | None = None  # None: never heard, and not yet long enough to complain
        self.worst = 0.0  # longest silence since it came up
        self.gaps: Gaps | None = None


class HeardPeer:
    __slots__ = (
        "at", "back", "config", "confirmed", "daemon_age_ms", "deaf", "epoch", "gaps", "heard_on",
        "incarnation", "index", "name", "news",
        "paths", "promised", "rows", "seq", "service", "state", "suspected",
    )  # fmt: skip

    def __init__(self, index: int, name: str, paths: dict[int, HeardPath]) -> None:
        self.index = index
        self.name = name
        self.paths = paths
        self.state = NEW
        self.heard_on = 0  # bitmap of the paths that are ok
        self.news = False  # something that the engine must hear came with the newest beat
        self.incarnation = 0
        self.seq = NEVER
        self.at = LONG_AGO
        self.back = LONG_AGO  # since when we hear it without a break
        self.epoch = NO_EPOCH
        self.service = "stopped"
        self.promised = NO_EPOCH
        self.config = UNTOLD
        self.daemon_age_ms = 0
        self.rows: Sequence[Row] = ()
        self.confirmed = LONG_AGO  # when we sent the newest beat of ours that it has heard
        self.deaf = False
        self.suspected = False
        self.gaps: Gaps | None = None  # over all paths
