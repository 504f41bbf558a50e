"""The cluster partition: made, found again, refused with what is wrong; torn and damaged blocks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.mirror import layout
from agent.mirror.bits import Bits
from agent.mirror.past import Past
from agent.mirrord import partition
from agent.mirrord.disk import BLOCK, DiskError, open_alone
from agent.mirrord.partition import Partition, create, label_of, needed
from agent.mirrord.settings import Settings

SIZE = 64 << 20
GRAIN = 64 << 10


@pytest.fixture
def settings(tmp_path):
    for name, length in (("data", SIZE + 100), ("cluster", 1 << 20)):
        with open(tmp_path / name, "wb") as file:
            file.truncate(length)
    return Settings(
        mirror="md1", cluster="office", server="a", peer="b", key="00" * 32, data=str(tmp_path / "data"),
        partition=str(tmp_path / "cluster"), run=str(tmp_path), boot="boot1",
    )  # fmt: skip


def reopened(settings):
    found = Partition.open(settings)
    stored = found.read()
    found.close()
    return found, stored


def test_empty_partition_is_taken_into_use(settings):
    found, stored = reopened(settings)

    assert (found.label.mirror, found.label.cluster, found.label.size) == ("md1", "office", SIZE)
    assert (stored.past, stored.bits.count, stored.extents) == (Past(), 0, ())
    assert label_of(settings.partition) == found.label


def test_what_was_written_is_found_again(settings):
    found = Partition.open(settings)
    found.read()
    bits = Bits(found.grains)
    bits.update((0, 7, 900))
    for generation in ("g1", "g2", "g3"):
        found.write(found.super(Past(current=generation)))
    found.write(found.log((3, 4)))
    found.write(found.bits(bits, (0,)))
    found.write(found.noted(broken_at=12.5))
    found.close()

    again, stored = reopened(settings)

    assert (stored.past.current, list(stored.bits), stored.extents) == ("g3", [0, 7, 900], (3, 4))
    assert again.label.broken_at == 12.5


def test_torn_superblock_leaves_the_one_before(settings):
    found = Partition.open(settings)
    found.read()
    found.write(found.super(Past(current="g1")))
    ((place, _),) = found.super(Past(current="g2"))
    found.write([(place, b"torn".ljust(BLOCK, b"\xff"))])
    found.close()

    assert reopened(settings)[1].past.current == "g1"


def test_both_superblocks_damaged_is_refused_with_the_remedy(settings):
    Partition.open(settings).close()
    with open(settings.partition, "r+b") as file:
        file.write(b"\xff" * 2 * BLOCK)

    found = Partition.open(settings)
    with pytest.raises(DiskError, match=r"Both superblocks .* are damaged.*clpmdinit --create force"):
        found.read()
    found.close()


def test_damaged_log_marks_everything(settings):
    found = Partition.open(settings)
    found.close()
    with open(settings.partition, "r+b") as file:
        file.seek(layout.PLACES["log"][0])
        file.write(b"\xff" * 2 * BLOCK)

    assert reopened(settings)[1].bits.count == SIZE // GRAIN


def test_partition_of_another_mirror_is_refused_by_name(settings):
    Partition.open(settings).close()

    with pytest.raises(DiskError, match="belongs to the mirror md1 of the cluster office, not to md2 of office"):
        Partition.open(msgspec.structs.replace(settings, mirror="md2"))


@pytest.mark.parametrize(
    ("place", "magic", "name"), [(0, b"XFSB", "an XFS file system"), (1080, b"\x53\xef", "an ext2, ext3 or ext4"),
                                 (65600, b"_BHRfS_M", "a btrfs"), (40000, b"?", "data of an unknown kind")]
)  # fmt: skip
def test_what_is_there_is_named_and_not_overwritten(settings, place, magic, name):
    with open(settings.partition, "r+b") as file:
        file.seek(place)
        file.write(magic)
    before = Path(settings.partition).read_bytes()

    with pytest.raises(DiskError, match=name):
        Partition.open(settings)
    with pytest.raises(DiskError, match=r"clpmdinit --create force md1"):
        create(settings, force=False)
    assert Path(settings.partition).read_bytes() == before

    create(settings, force=True)
    assert reopened(settings)[1].past == Past()


def test_create_forgets_the_partition_before(settings):
    found = Partition.open(settings)
    found.read()
    for generation in ("g1", "g2", "g3", "g4"):
        found.write(found.super(Past(current=generation)))
    found.close()

    with pytest.raises(DiskError, match=r"it has the mirror md1 of the cluster office, made on 2"):
        create(settings, force=False)
    create(settings, force=True)

    assert reopened(settings)[1].past == Past()


def test_crash_while_it_is_made_leaves_none_of_ours(settings, monkeypatch):
    Partition.open(settings).close()
    write = partition._write
    count = []

    def dying(*arguments):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(partition, "_write", dying)
    with pytest.raises(KeyboardInterrupt):
        create(settings, force=True)

    assert label_of(settings.partition) is None


def test_too_small_partition_is_refused_with_both_sizes(settings):
    with open(settings.partition, "r+b") as file:
        file.truncate(layout.BITS_AT)

    with pytest.raises(DiskError, match=rf"too small: it has 65536 bytes, .* needs {needed(SIZE, GRAIN)}\."):
        Partition.open(settings)


def test_one_partition_for_both_is_refused(settings):
    with pytest.raises(DiskError, match="these are two"):
        Partition.open(msgspec.structs.replace(settings, partition=settings.data))


def test_partition_in_use_is_refused(settings):
    found = Partition.open(settings)
    with pytest.raises(DiskError, match="in use by another mirror process"):
        create(settings, force=True)
    found.close()


def test_missing_disk_is_refused_with_its_name(tmp_path):
    with pytest.raises(DiskError, match=rf"The data partition {tmp_path}/none cannot be opened: No such file"):
        open_alone(str(tmp_path / "none"), "data partition")


def test_size_that_was_agreed_holds(settings):
    found = Partition.open(settings)
    found.read()
    stored, blocks = found.blank(Past(), SIZE // 2, GRAIN)
    found.write(blocks)
    found.close()

    again, stored_again = reopened(settings)
    assert (again.label.size, stored.bits.size, stored_again.bits.size) == (SIZE // 2, SIZE // 2 // GRAIN, 512)
