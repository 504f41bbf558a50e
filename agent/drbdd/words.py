"""What DRBD says of a resource (`drbdsetup status --verbose --statistics`, `get-gi`, /proc/drbd), as data. Pure."""

from __future__ import annotations

import math
import re

import msgspec

_KIB = 1024
_JUST_CREATED = 4  # DRBD's generation of a disk that has no data yet
_PROC_LINE = re.compile(r"^\s*(\d+): cs:(\S+)")
_PROC_OUT_OF_SYNC = re.compile(r"\boos:(\d+)")
_SYNC_SOURCE = frozenset(("SyncSource", "PausedSyncS", "WFBitMapS", "StartingSyncS", "Ahead"))
_SYNC_TARGET = frozenset(("SyncTarget", "PausedSyncT", "WFBitMapT", "StartingSyncT", "WFSyncUUID", "Behind"))
_VERIFY = frozenset(("VerifyS", "VerifyT"))


class Generations(msgspec.Struct, frozen=True, kw_only=True):
    """Of the meta data: current, bitmap and two of the past, without the bit that says "primary"."""

    current: str = ""
    bitmap: str = ""
    history: tuple[str, ...] = ()
    peer_outdated: bool = False

    @property
    def constructed(self) -> bool:
        return bool(self.current)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the kernel. Sizes in bytes."""

    there: bool = False  # the kernel has the resource
    role: str = "Secondary"
    suspended: str = "no"  # why I/O is frozen: user, no-data, fencing, quorum
    disk: str = "Diskless"
    size: int = 0
    connection: str = "StandAlone"
    replication: str = "Off"
    peer_role: str = "Unknown"
    peer_disk: str = "DUnknown"
    out_of_sync: int = 0
    done: float | None = None  # percent of a copy or comparison
    generations: Generations = Generations()

    @property
    def connected(self) -> bool:
        """Both have agreed on what their data is."""
        return self.connection == "Connected" and self.replication != "Off"

    @property
    def agreeing(self) -> bool:
        """Heard, but whether both have gone on apart is only being found out: version 8.4 says "Connected" then too."""
        return self.connection == "Connected" and self.replication == "Off"

    @property
    def equal(self) -> bool:
        fine = self.replication in ("Established", *_VERIFY)
        return self.connected and fine and self.disk == self.peer_disk == "UpToDate"

    @property
    def is_source(self) -> bool:
        return self.replication in _SYNC_SOURCE

    @property
    def is_target(self) -> bool:
        return self.replication in _SYNC_TARGET

    @property
    def verifies(self) -> bool:
        return self.replication in _VERIFY

    @property
    def frozen(self) -> bool:
        return self.suspended != "no"

    @property
    def peer_is_behind(self) -> bool:
        """DRBD has written down that the other disk lacks something."""
        return self.generations.peer_outdated or self.peer_disk in ("Outdated", "Inconsistent")


_NO_GENERATIONS = Generations()


def seen_of(text: str, generations: Generations = _NO_GENERATIONS) -> Seen:
    """Of one resource. Versions 8.4 and 9 say the same words; version 9 says more of them, which we do not need."""
    found: dict[str, dict[str, str]] = {"resource": {}, "device": {}, "peer": {}, "peer-device": {}}
    part = "resource"
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            part = "resource"
        elif words[0].startswith("volume:"):
            part = "peer-device" if indent > 2 else "device"
        elif indent == 2 and ":" not in words[0]:
            part = "peer"
        found[part].update((word.split(":", 1)[0], word.split(":", 1)[1]) for word in words if ":" in word)
    if "role" not in found["resource"]:
        return Seen(generations=generations)
    resource, device, peer, other = found.values()
    return Seen(
        there=True, role=resource["role"], suspended=resource.get("suspended", "no"),
        disk=device.get("disk", "Diskless"), size=_number(device.get("size")) * _KIB,
        connection=peer.get("connection", "StandAlone"), replication=other.get("replication", "Off"),
        peer_role=peer.get("role", "Unknown"), peer_disk=other.get("peer-disk", "DUnknown"),
        out_of_sync=_number(other.get("out-of-sync")) * _KIB, done=_share(other.get("done")), generations=generations,
    )  # fmt: skip


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _share(text: str | None) -> float | None:
    try:
        found = float(text) if text is not None else None
    except ValueError:
        return None
    return found if found is not None and math.isfinite(found) else None  # "nan" before the size is known


def generations_of(text: str) -> Generations:
    """Of `drbdadm get-gi`: CURRENT:BITMAP:PAST:PAST:consistent:up-to-date:primary:connected:full:peer-outdated:..."""
    words = text.strip().splitlines()[0].split(":") if text.strip() else []
    try:
        names = [int(word, 16) & ~1 for word in words[:4]]
    except ValueError:
        return Generations()
    if len(names) < 4 or names[0] <= _JUST_CREATED:
        return Generations()
    current, bitmap, *past = (f"{name:016X}" if name > _JUST_CREATED else "" for name in names)
    history = tuple(dict.fromkeys(name for name in (bitmap, *past) if name))
    return Generations(
        current=current, bitmap=bitmap, history=history, peer_outdated=len(words) > 9 and words[9] == "1"
    )


def out_of_sync_of(proc: str, minor: int) -> int:
    """Bytes, from /proc/drbd of version 8.4: while nobody is connected its status does not tell them."""
    ours = False
    for line in proc.splitlines():
        if head := _PROC_LINE.match(line):
            ours = int(head[1]) == minor
        if ours and (found := _PROC_OUT_OF_SYNC.search(line)):
            return int(found[1]) * _KIB
    return 0


def version_of(text: str) -> tuple[int, int]:
    """ "version: 8.4.11 (api..." or "9.1.7" -> (8, 4); (0, 0): none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
