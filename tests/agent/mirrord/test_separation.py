"""A side that is separated for a backup: consistent, still, and every foreign write to it noticed; then a restore."""

from __future__ import annotations

import contextlib
import os
import subprocess

import msgspec
import pytest

from agent.mirrord import offline
from agent.mirrord.disk import DiskError
from agent.mirrord.loopdev import READ_ONLY, attach, backing, detach
from agent.mirrord.separation import Trace, judge, trace
from tests.agent.mirrord.pair import GRAIN, SIZE

BLOCK = 4096


def written(pair, server, at, byte):
    request = server.write(at, byte * BLOCK)
    pair.until(lambda: request.answered)
    assert request.error == 0


def ordered(pair, server, op, **more):
    key = f"{op}{len(server.events)}"
    server.order({"op": op, "id": key, **more})
    pair.until(lambda: [one for one in server.events if one.get("id") == key])
    return next(one for one in server.events if one.get("id") == key)


def separated(pair):
    pair.build()
    written(pair, pair.a, 0, b"1")
    assert ordered(pair, pair.b, "separate")["type"] == "done"
    image = pair.b.image()
    assert image == pair.a.image()
    written(pair, pair.a, GRAIN, b"2")
    return image


def test_separated_disk_stands_still_over_a_restart_and_gets_back_only_what_differs(pair):
    image = separated(pair)
    pair.b.kill()
    pair.b.start()
    pair.view(pair.b)
    assert pair.b.engine.state()["separated_at"] > 0
    assert ordered(pair, pair.b, "separate")["type"] == "done"  # asked again
    assert pair.b.image() == image

    dirty = pair.a.engine.dirty_bytes
    assert ordered(pair, pair.b, "join")["found"] == "untouched"
    pair.until(pair.equal)
    assert 0 < dirty <= 2 * GRAIN
    assert pair.a.engine.copier.total <= dirty
    assert pair.a.image() == pair.b.image()
    assert (pair.b.engine.state()["separated_at"], pair.b.engine.state()["isolated"]) == (0.0, False)


def test_what_somebody_else_wrote_is_noticed_and_does_not_survive(pair):
    separated(pair)
    with open(pair.b.data, "r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"mine")
    pair.activate(pair.b)
    pair.until(lambda: pair.b.told("refused"))
    assert "written to by somebody else" in pair.b.told("refused")[-1]["why"]

    assert ordered(pair, pair.b, "join")["found"] == "touched"
    pair.until(pair.equal)
    assert pair.a.image() == pair.b.image()
    assert b"mine" not in pair.b.image()


def test_unwatched_disk_is_compared_and_mended_when_both_are_equal(pair):
    """As after another start of the machine: the count of writes says nothing of the time before."""
    separated(pair)
    with open(pair.b.data, "r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"mine")
    label = pair.b.engine.partition.noted(trace=None)
    pair.b.engine.saves.put(label)
    assert ordered(pair, pair.b, "join")["found"] == "unseen"
    pair.until(lambda: pair.equal() and b"mine" not in pair.b.image())
    pair.until(lambda: pair.a.image() == pair.b.image())
    pair.until(lambda: not pair.b.engine.partition.label.compare_due)


def test_only_the_side_that_stands_by_and_is_equal_is_separated(pair):
    pair.build()
    assert "It is active on a" in ordered(pair, pair.a, "separate")["why"]
    ordered(pair, pair.b, "break")
    assert "isolated by an operator" in ordered(pair, pair.b, "separate")["why"]
    pair.b.order({"op": "join", "id": "j"})
    pair.until(pair.equal)
    pair.wire.cut = True
    pair.wire.drop("cut")
    pair.until(lambda: pair.b.side.relation == "apart")
    assert "is not the same" in ordered(pair, pair.b, "separate")["why"]


def test_activation_ends_the_backup(pair):
    pair.build()
    ordered(pair, pair.b, "separate")
    pair.a.kill()
    pair.activate(pair.b, alone=True, force=True)
    pair.until(lambda: pair.b.engine.active)
    pair.until(lambda: not pair.b.engine.state()["separated_at"])
    assert pair.b.engine.state()["isolated"]


def test_activation_by_hand_is_told_to_whoever_asks(pair):
    pair.start()
    pair.a.order({"op": "construct", "id": "c", "full": True})
    pair.a.order({"op": "activate", "id": "h", "epoch": (9, 0), "since": (1, 0), "by_hand": True})
    pair.until(lambda: pair.a.engine.active)
    assert (pair.a.engine.state()["by_hand"], pair.a.engine.state()["epoch"]) == (True, [9, 0])
    ordered(pair, pair.a, "deactivate")
    pair.until(lambda: not pair.a.engine.active)
    assert not pair.a.engine.state()["by_hand"]
    pair.epoch = 9
    pair.activate(pair.a)
    pair.until(lambda: pair.a.engine.active)
    assert not pair.a.engine.state()["by_hand"]


def restoring(pair, server):
    assert ordered(pair, server, "restore")["type"] == "done"
    pair.until(lambda: server.engine.saves.idle)
    server.kill()
    with pytest.raises(DiskError, match="is being restored"):
        server.start()
    # Nothing of it stays open.
    with pytest.raises(DiskError, match="is being restored"):
        server.start()


def test_restored_disk_is_the_truth_and_is_copied_whole(pair):
    pair.build()
    written(pair, pair.a, 0, b"1")
    assert "It is active on a" in ordered(pair, pair.a, "restore")["why"]
    ordered(pair, pair.a, "deactivate")
    restoring(pair, pair.b)
    pair.b.data.write_bytes(b"r" * SIZE)
    offline.restored(pair.b.settings, offline.generation(pair.b.settings), same=False)
    with pytest.raises(DiskError, match="No restore"):
        offline.restored(pair.b.settings, "x", same=False)
    pair.b.start()
    pair.view(pair.b)
    pair.until(lambda: pair.b.side.relation == "foreign")
    assert pair.a.image() != pair.b.image()

    ordered(pair, pair.a, "discard")
    pair.until(pair.equal)
    assert pair.a.image() == pair.b.image() == b"r" * SIZE


def test_both_restored_from_one_image_are_equal_without_a_copy(pair):
    pair.build()
    ordered(pair, pair.a, "deactivate")
    for server in (pair.a, pair.b):
        restoring(pair, server)
        server.data.write_bytes(b"r" * SIZE)
    name = offline.generation(pair.a.settings)
    for server in (pair.a, pair.b):
        offline.restored(server.settings, name, same=True)
    pair.start()
    pair.until(pair.equal)
    assert pair.a.engine.copier.total == pair.b.engine.copier.total == 0


def test_backup_that_ends_without_a_process_leaves_the_same(pair):
    separated(pair)
    pair.b.kill()
    with open(pair.b.data, "r+b") as file:
        file.write(b"mine")
    assert offline.join(pair.b.settings) == "touched"
    assert offline.join(pair.b.settings) is None
    pair.b.start()
    pair.view(pair.b)
    pair.until(pair.equal)
    assert pair.a.image() == pair.b.image()


def test_disks_with_different_blocks_are_no_pair(pair):
    for server in (pair.a, pair.b):
        server.start()
        pair.view(server)
    pair.until(lambda: pair.a.engine.peer.connected)
    pair.b.engine.block = 4096
    pair.wire.drop("anew")
    pair.until(lambda: pair.a.engine.peer.unfit)
    assert pair.a.engine.peer.unfit == (
        "The data partition of this server has blocks of 512 bytes, that of b of 4096: what is made on the one could "
        "not be mounted on the other. Use disks with the same size of blocks."
    )


def test_judgement():
    before = Trace(boot="1", disk="8:1", counts=(1, 8))
    for after, expected in (
        (before, "untouched"),
        (msgspec.structs.replace(before, counts=(2, 16)), "touched"),
        (msgspec.structs.replace(before, disk="8:2"), "touched"),
        (msgspec.structs.replace(before, boot="2", counts=(0, 0)), "unseen"),
        (msgspec.structs.replace(before, boot="2", counts=(1, 1)), "touched"),
        (msgspec.structs.replace(before, counts=()), "unseen"),
    ):
        assert judge(before, after) == expected
    assert judge(None, before) == "unseen"


def _refuses_writes(device):
    """Some kernels refuse the opening, others the writing."""
    with pytest.raises(OSError), contextlib.ExitStack() as undo:  # noqa: PT011, PT012
        opened = os.open(device, os.O_RDWR)
        undo.callback(os.close, opened)
        os.pwrite(opened, b"x" * 512, 0)


@pytest.mark.root
@pytest.mark.slow
def test_kernel_counts_what_is_written_to_a_disk_and_a_read_only_mount_writes_nothing(tmp_path):
    """As on a real server: the data partition is a block device, and ext4 has a journal to replay."""
    file = tmp_path / "disk"
    with open(file, "wb") as made:
        made.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", file], check=True)
    opened = os.open(file, os.O_RDWR)
    disk = attach(opened, "test", 512, flags=0)
    os.close(opened)
    shown = ""
    fd = os.open(disk, os.O_RDWR | os.O_EXCL)
    try:
        before = trace(fd, "boot")
        opened = os.open(disk, os.O_RDONLY)
        shown = attach(opened, "copy", 512, flags=READ_ONLY)
        os.close(opened)
        point = tmp_path / "copy"
        point.mkdir()
        subprocess.run(["mount", "-o", "ro,noload", shown, point], check=True)
        list(point.iterdir())
        subprocess.run(["umount", point], check=True)
        _refuses_writes(shown)
        assert judge(before, trace(fd, "boot")) == "untouched"
        os.pwrite(fd, b"x" * BLOCK, 8 << 20)
        os.fsync(fd)
        assert judge(before, trace(fd, "boot")) == "touched"
    finally:
        os.close(fd)
        for device in (shown, disk):
            if device:
                detach(device, backing(device), lazy=False, limit_s=5.0)
