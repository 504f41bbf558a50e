"""Disks and links with a limit: the kernel has it, and nothing is left behind. Needs root."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import guests
from tests.bench.limited import CLUSTER_BYTES, LimitedDisk, Wire, cannot_limit_disks, run

SIZE = 8 << 20
THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LimitedDisk]:
    if cannot_limit_disks():
        pytest.skip(cannot_limit_disks())
    made = LimitedDisk(tmp_path / "image", SIZE)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.root
@pytest.mark.slow
def test_disk_has_two_partitions_below_one_limit_and_leaves_nothing(disk: LimitedDisk, tmp_path: Path) -> None:
    number = os.stat(disk.device).st_rdev
    line = f"{os.major(number)}:{os.minor(number)} 150000000"

    disk.limit(150e6)

    assert line in THROTTLE.read_text()
    for path, size in ((disk.cluster, CLUSTER_BYTES), (disk.data, SIZE)):
        with open(path, "rb") as part:
            assert part.seek(0, os.SEEK_END) == size
    disk.close()
    assert line not in THROTTLE.read_text()
    assert not Path(disk.data).exists()
    assert str(tmp_path) not in run("losetup", "--list")


@pytest.mark.root
@pytest.mark.slow
def test_cable_joins_two_networks_has_a_limit_and_can_be_pulled() -> None:
    with Wire() as wire:
        assert _knock(wire) == errno.ECONNREFUSED
        wire.limit(100e6)
        kinds = json.loads(run(*wire.within("b"), "tc", "-json", "qdisc", "show", "dev", "wire"))
        assert [(kind["kind"], kind["options"]["rate"]) for kind in kinds] == [("tbf", 100_000_000)]

        wire.connected(False)

        assert _knock(wire) == errno.ENETUNREACH
        keeper = wire.within("a")[1].removeprefix("--net=")
    assert not os.path.exists(keeper)


def _knock(wire: Wire) -> int:
    """What the other end answers at a port where nobody listens."""
    code = f"import socket; s = socket.socket(); s.settimeout(20); print(s.connect_ex(({wire.address('b')!r}, 9)))"
    return int(run(*wire.within("a"), sys.executable, "-I", "-S", "-c", code))


def test_guests_load_modules_after_those_that_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "CACHE", tmp_path)
    for name, needs in (("drbd", "lru-cache,libcrc32c"), ("lru-cache", ""), ("brd", "")):
        path = tmp_path / "uml" / "modules" / f"{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0license=GPL\0depends=" + needs.encode() + b"\0name=x\0")

    kind = guests.UML._replace(modules=("drbd", "brd"))

    assert [name for name, _ in guests.modules_of(kind)] == ["lru_cache", "drbd", "brd"]
