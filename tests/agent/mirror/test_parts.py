"""Bits, ranges, the layout of the cluster partition, the activity log, and the order of a copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mirror import layout
from agent.mirror.activity import ActivityLog
from agent.mirror.bits import LEAST_GRAIN, MOST_GRAINS, Bits, grain_bytes
from agent.mirror.copying import Copying
from agent.mirror.past import Past
from agent.mirror.ranges import ranges_of
from agent.mirror.writing import Writing
from agent.wire.epoch import Epoch

ID = b"0123456789abcdef"
SETS = st.sets(st.integers(0, 999))


@given(SETS)
def test_bits_are_a_set(members: set[int]):
    bits = Bits(1000)
    bits.update(members)

    assert (list(bits), bits.count) == (sorted(members), len(members))
    assert list(Bits(1000, bits.part(0, 1000))) == sorted(members)
    found, at = [], bits.next(0)
    while at >= 0:
        found.append(at)
        at = bits.next(at + 1)
    assert found == sorted(members)
    for one in members:
        bits.discard(one)
    assert (list(bits), bits.count, bits.next(0)) == ([], 0, -1)


def test_full_and_empty():
    bits = Bits(13)
    bits.fill()
    assert (list(bits), bits.count) == (list(range(13)), 13)
    bits.clear()
    assert (list(bits), bits.count) == ([], 0)


def test_grains_grow_with_the_disk_so_that_its_bits_have_room():
    assert grain_bytes(1 << 30) == LEAST_GRAIN
    assert grain_bytes(1 << 40) == LEAST_GRAIN
    assert (16 << 40) / grain_bytes(16 << 40) <= MOST_GRAINS
    assert layout.BITS_AT + layout.bits_blocks(MOST_GRAINS) * layout.BLOCK < 10_000_000


@given(SETS, st.integers(1, 20))
def test_ranges_hold_everything_and_are_few(members: set[int], most: int):
    ranges = ranges_of(members, most)

    assert members <= {one for first, stop in ranges for one in range(first, stop)}
    assert len(ranges) <= most
    assert sum(stop - first for first, stop in ranges_of(members)) == len(members)


def test_newest_good_copy_counts():
    old, new = layout.sealed("super", ID, 4, b"old"), layout.sealed("super", ID, 5, b"new")

    assert layout.newest("super", ID, (old, new)) == (5, b"new")
    torn = new[:512] + old[512:]
    assert layout.newest("super", ID, (old, torn)) in ((4, b"old"), (5, b"new"))
    assert layout.newest("super", ID, (old, new[:-1] + b"x")) == (4, b"old")
    assert layout.newest("super", b"another mirror--", (old, new)) is None
    assert layout.newest("log", ID, (old, new)) is None


def test_longest_past_and_fullest_log_have_room():
    name = "a-server-with-a-long-name-0123456789:1795434996:12"
    past = Past(current=name, history=(name,) * 24, peer_at=(name,) * 24, epoch=Epoch(2**40, 31), boot="b" * 36)

    assert layout.past_of(layout.past_bytes(past)) == past
    assert len(layout.sealed("super", ID, 1, layout.past_bytes(past))) == layout.BLOCK
    extents = tuple(range(2**32 - 512, 2**32))
    assert (
        layout.log_of(layout.opened("log", ID, layout.sealed("log", ID, 1, layout.log_bytes(extents))).payload)
        == extents
    )  # type: ignore[union-attr]


@pytest.mark.parametrize("harm", ["torn", "moved", "foreign", "short"])
def test_damaged_block_of_bits_counts_as_full(harm: str):
    size = 2 * layout.BITS_IN_BLOCK - 5
    bits = Bits(size)
    bits.add(3)
    bits.add(layout.BITS_IN_BLOCK + 7)
    blocks = [layout.bits_block(bits, number, ID) for number in range(layout.bits_blocks(size))]
    assert list(layout.read_bits(size, ID, tuple(blocks))) == [3, layout.BITS_IN_BLOCK + 7]

    blocks[1] = {
        "torn": blocks[1][:1000] + bytes(3096), "moved": blocks[0],
        "foreign": layout.bits_block(bits, 1, b"another mirror--"), "short": b"",
    }[harm]  # fmt: skip

    read = layout.read_bits(size, ID, tuple(blocks))
    assert 3 in read
    assert read.count == 1 + size - layout.BITS_IN_BLOCK


def test_log_keeps_what_is_in_use_and_what_is_not_settled():
    log = ActivityLog(2)
    log.want((1, 2))
    assert log.transaction(lambda _: True) == (1, 2)
    assert log.transaction(lambda _: True) is None
    assert log.missing((1, 2)) == [1, 2]
    log.written()
    assert log.missing((1, 2)) == []
    log.use((2,))
    log.want((3,))

    assert log.transaction(lambda _: False) is None
    assert log.short
    assert log.transaction(lambda _: True) == (2, 3)
    # What is being taken out does not count any more.
    assert log.missing((1, 2, 3)) == [1, 3]


def test_cleared_log_is_empty_on_disk_before_it_is_used_again():
    log = ActivityLog(2)
    log.want((1,))
    log.transaction(lambda _: True)
    log.clear()
    assert log.cleared() is None
    log.written()
    assert log.cleared() == ()
    assert log.missing((1,)) == [1]
    log.written()
    assert not log.durable


def writing() -> Writing:
    return Writing(1 << 20, Bits(64), ActivityLog(), Bits(64))


def test_a_write_is_in_doubt_until_both_disks_have_flushed_it():
    w = writing()
    w.log.durable[0] = None
    w.begin(1, range(2), 1, alone=False)
    w.flush_asked(5, alone=False)  # Before the write has ended: it does not cover it.
    w.on_its_way[1].here = True
    w.end(1)
    w.flush_done(5, here=True)
    assert not w.settled(0)
    w.flush_done(5, here=False)
    assert set(w.doubtful()) == {0, 1}

    w.flush_asked(6, alone=False)
    assert not w.flush_done(6, here=True)
    assert set(w.doubtful()) == {0, 1}
    assert w.flush_done(6, here=False)
    assert set(w.doubtful()) == set()
    assert w.settled(0)


def test_what_has_its_bits_on_disk_is_settled():
    w = writing()
    w.dirty.add(9)
    assert not w.settled(2)
    w.saved.add(9)
    assert w.settled(2)


def test_copy_reads_nothing_that_is_being_written_and_clears_after_both_flushes():
    w = writing()
    w.dirty.update((1, 2))
    w.log.durable[0] = None
    w.begin(1, range(2, 3), 1, alone=False)
    copying = Copying(w)
    copying.begin()

    assert copying.next() == [1]
    copying.was_sent(1)
    w.on_its_way[1].here = True
    assert copying.next() == [2]
    copying.was_sent(2)
    assert copying.flush_due()
    copying.flush_asked(9)
    copying.flush_done(9)
    assert w.dirty.count == 2
    copying.flush_done(9)
    assert (w.dirty.count, copying.over) == (0, True)
