"""From the status of a cluster to samples of its series, and their form in the database. Pure: no clock, no database.

Rules of this file
- A series is (kind, name, server): the answers of a monitor on one server; the silences on one heartbeat path, or over
  all paths (kind "server"), as one server hears its peers.
- A sample is [shortest, middle, longest, failed] of one span; lengths in ms, None where nothing was measured; for
  silences "failed" counts the peers that were not heard, at most.
- What is not known now gives no sample: a chart shows a gap where nobody looked, and no line through it.
- A frame holds the samples of one span whose names fall into one shard, so that a chart reads a small part only.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

import msgspec

SHARDS = 64
FINE_S, COARSE_S = 60, 900
MANY_S, MANY = 300, 1000  # of more series than that, the fine spans are longer
DAY_S = 86400
SPANS = {"day": DAY_S, "month": 30 * DAY_S}  # of a chart
_TELLING = ("Normal", "Caution", "Error")

Key = tuple[str, str, str]
Sample = tuple[float | None, float | None, float | None, int]
Frame = dict[str, dict[str, dict[str, Sample]]]  # kind -> name -> server


class Point(NamedTuple):
    """A sample as a chart shows it."""

    at: int  # the beginning of its span
    span_s: int
    sample: Sample


_decoder = msgspec.json.Decoder(Frame)


class Collector:
    """Looks at one cluster's status now and then; `close` gives what was seen since the last time."""

    def __init__(self) -> None:
        self._seen: dict[Key, list[Sample]] = {}
        self._failed: dict[Key, int] = {}  # as told so far

    def __len__(self) -> int:
        """How many series there are."""
        return len(self._seen)

    def look(self, status: Mapping[str, Any]) -> None:
        for key, sample in series(status):
            low, mid, high, failed = sample
            if key[0] == "monitor":
                known = self._failed.get(key, failed)
                self._failed[key] = failed
                failed = max(0, failed - known)
            self._seen.setdefault(key, []).append((low, mid, high, failed))

    def close(self) -> dict[Key, Sample]:
        seen, self._seen = self._seen, {}
        return {key: merged(samples, add=key[0] == "monitor") for key, samples in seen.items()}


def series(status: Mapping[str, Any]) -> Iterator[tuple[Key, Sample]]:
    """Every series with what is told of it now; failed checks of monitors are counted since the agent began."""
    for name, monitor in status["monitors"].items():
        for server, there in monitor["servers"].items():
            found = there["responses"]
            if found is not None and there["status"] in _TELLING:
                low, mid, high = found["lately"] or (None, None, None)
                yield ("monitor", name, server), (low, mid, high, found["timeouts"] + found["failures"])
    for server, entry in status["servers"].items():
        yield from _silences(server, entry)


def _silences(server: str, entry: Mapping[str, Any]) -> Iterator[tuple[Key, Sample]]:
    for path, heartbeat in entry["heartbeats"].items():
        peers = heartbeat["peers"].values()
        heard = [gaps["lately_ms"] for one in peers if one["status"] == "Normal" and (gaps := one["gaps"]) is not None]
        if sample := _sample(heard, sum(one["status"] == "Error" for one in peers)):
            yield ("heartbeat", path, server), sample
    lost = [peer for peer in entry["hears"] if _is_lost(entry["heartbeats"].values(), peer)]
    heard = [gaps["lately_ms"] for peer, gaps in entry["hears"].items() if gaps is not None and peer not in lost]
    if sample := _sample(heard, len(lost)):
        yield ("server", server, server), sample


def _is_lost(heartbeats: Iterable[Mapping[str, Any]], peer: str) -> bool:
    """On every path."""
    words = [one["peers"][peer]["status"] for one in heartbeats if peer in one["peers"]]
    return bool(words) and all(word == "Error" for word in words)


def _sample(lengths: list[float], failed: int) -> Sample | None:
    known = [length for length in lengths if length]
    if known:
        return min(known), median(known), max(known), failed
    return (None, None, None, failed) if failed else None


def merged(samples: Iterable[Sample], *, add: bool) -> Sample:
    """Of several spans one. `add`: failures of each are others."""
    all_ = list(samples)
    lows = [low for low, _, _, _ in all_ if low is not None]
    mids = [mid for _, mid, _, _ in all_ if mid is not None]
    highs = [high for _, _, high, _ in all_ if high is not None]
    failed = [failed for _, _, _, failed in all_]
    return (
        min(lows, default=None),
        round(median(mids), 2) if mids else None,
        max(highs, default=None),
        sum(failed) if add else max(failed, default=0),
    )


# Frames.


def shard_of(kind: str, name: str) -> int:
    return zlib.crc32(f"{kind}/{name}".encode()) % SHARDS


def packed(samples: Mapping[Key, Sample]) -> dict[int, bytes]:
    """By shard."""
    frames: dict[int, Frame] = {}
    for (kind, name, server), sample in samples.items():
        frames.setdefault(shard_of(kind, name), {}).setdefault(kind, {}).setdefault(name, {})[server] = sample
    return {shard: zlib.compress(msgspec.json.encode(frame), 1) for shard, frame in frames.items()}


def unpacked(data: bytes) -> Frame:
    """One that is damaged says nothing: a gap in a chart is no reason to show no page."""
    try:
        return _decoder.decode(zlib.decompress(data))
    except (zlib.error, msgspec.DecodeError):
        return {}


def condensed(frames: Iterable[bytes]) -> bytes:
    """Several frames of one shard as one."""
    found: dict[Key, list[Sample]] = {}
    for data in frames:
        for kind, names in unpacked(data).items():
            for name, servers in names.items():
                for server, sample in servers.items():
                    found.setdefault((kind, name, server), []).append(sample)
    together = {key: merged(samples, add=key[0] == "monitor") for key, samples in found.items()}
    return next(iter(packed(together).values()), b"")
