"""The engine of a mirror process: two of them on real files, with a pretend link and pretend devices."""

from __future__ import annotations

import errno

import msgspec
import pytest

from agent.mirror.bits import Bits
from agent.mirrord import status
from agent.mirrord.copier import WINDOW_BUSY
from tests.agent.mirrord.pair import GRAIN, SIZE, Pair

BLOCK = 4096


def done(*requests):
    return lambda: all(request.answered for request in requests)


def test_acknowledged_write_is_on_both_disks(pair):
    pair.build()
    requests = [pair.a.write(at * BLOCK, bytes([at + 1]) * BLOCK) for at in range(20)]
    pair.until(done(*requests))

    assert [request.error for request in requests] == [0] * 20
    expected = b"".join(bytes([at + 1]) * BLOCK for at in range(20))
    assert pair.a.image()[: len(expected)] == expected
    assert pair.b.image() == pair.a.image()


def test_read_and_flush(pair):
    pair.build()
    pair.until(done(pair.a.write(BLOCK, b"x" * BLOCK)))
    read, flush = pair.a.ask("read", BLOCK, BLOCK), pair.a.ask("flush")
    pair.until(done(read, flush))

    assert (read.error, bytes(read.room), flush.error) == (0, b"x" * BLOCK, 0)
    assert not pair.a.side.writing.young


def test_discard_reads_as_zeros_on_both_disks(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"x" * (1 << 20)), pair.a.write(SIZE - (1 << 20), b"y" * (1 << 20))))
    discard = pair.a.ask("discard", BLOCK, SIZE - 2 * BLOCK)
    pair.until(done(discard))

    expected = b"x" * BLOCK + bytes(SIZE - 2 * BLOCK) + b"y" * BLOCK
    assert discard.error == 0
    assert pair.a.image() == expected
    assert pair.b.image() == expected


def test_request_beyond_the_end_fails(pair):
    pair.build()
    request = pair.a.write(SIZE - BLOCK, b"x" * 2 * BLOCK)
    pair.until(done(request))

    assert request.error == errno.EIO


def test_first_full_copy(pair):
    pair.a.data.write_bytes(bytes(range(256)) * (SIZE // 256))
    pair.start()
    pair.a.order({"op": "construct", "id": "c", "full": True})
    pair.until(pair.equal)

    assert pair.b.image() == pair.a.image()
    assert pair.a.told("done") == [{"type": "done", "id": "c"}]
    assert pair.a.engine.state()["color"] == pair.b.engine.state()["color"] == "GREEN"


def test_smaller_disk_decides_at_the_first_meeting(tmp_path):
    pair = Pair(tmp_path, size=SIZE, size_b=SIZE - GRAIN - BLOCK)
    try:
        pair.start()
        pair.until(lambda: pair.a.engine.size == pair.b.engine.size == SIZE - GRAIN - BLOCK)
        pair.a.order({"op": "construct", "id": "c", "full": True})
        pair.until(pair.equal)
    finally:
        pair.close()


def test_disk_too_small_for_the_data_is_refused_with_both_sizes(tmp_path):
    pair = Pair(tmp_path, size=SIZE, size_b=SIZE // 2)
    try:
        pair.a.start()
        pair.a.order({"op": "construct", "id": "c", "full": True})
        pair.until(lambda: pair.a.side.past.current)
        pair.b.start()
        pair.until(lambda: pair.b.engine.peer.unfit)

        assert pair.a.engine.peer.unfit.startswith("The data partition of b is too small: 2097152 bytes;")
        assert pair.b.engine.state()["error"].startswith("The partitions of this server are too small")
    finally:
        pair.close()


def test_goes_on_alone_when_the_other_side_has_written_down_that_it_is_outdated(pair):
    pair.build()
    pair.wire.cut = True
    pair.wire.drop("cut")
    requests = [pair.a.write(at * GRAIN, b"n" * BLOCK) for at in range(5)]
    pair.until(done(*requests))

    assert [request.error for request in requests] == [0] * 5
    assert pair.b.side.past.outdated
    assert pair.b.engine.state()["color"] == "RED"

    pair.wire.cut = False
    pair.wire.connect()
    pair.until(pair.equal)

    assert pair.b.image() == pair.a.image()
    assert pair.a.side.copying.done_grains == 5


def test_writes_wait_until_the_cluster_has_answered(pair):
    pair.build()
    request = pair.stalled_write()
    assert not request.answered

    pair.view(pair.a, permitted=(pair.epoch, 0))
    pair.until(done(request))

    assert request.error == 0
    assert pair.a.engine.state()["mode"] == "alone"


def test_paused_old_primary_gets_none_of_its_writes_in(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.wire.cut = True
    pair.asks = False
    pair.wire.drop("paused")
    pair.until(lambda: pair.b.side.relation == "apart")
    pair.activate(pair.b, alone=True)
    pair.until(lambda: pair.b.device is not None)
    pair.until(done(pair.b.write(0, b"2" * BLOCK)))

    late = pair.a.write(0, b"3" * BLOCK)
    pair.wire.cut = False
    pair.wire.connect()
    pair.until(lambda: pair.a.told("stood_down"))
    pair.until(done(late))
    pair.until(pair.equal)

    assert late.error == errno.EIO
    assert pair.a.image() == pair.b.image()
    assert pair.b.image()[:BLOCK] == b"2" * BLOCK
    after = pair.a.ask("read", 0, BLOCK)
    pair.until(done(after))
    assert after.error == errno.EIO


def test_new_process_answers_what_the_killed_one_had_not(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    epoch = pair.epoch
    pair.a.kill()
    waiting = pair.a.write(BLOCK, b"2" * BLOCK)
    pair.a.start()
    pair.view(pair.a)
    pair.epoch = epoch - 1  # Ordered again: the same activation.
    pair.activate(pair.a)
    pair.until(done(waiting))
    pair.until(pair.equal)

    assert waiting.error == 0
    assert pair.a.image() == pair.b.image()


def test_what_an_earlier_activation_left_is_not_written_in_a_later_one(pair):
    pair.build()
    pair.a.kill()
    stale = pair.a.write(0, b"old" + bytes(BLOCK - 3))
    pair.a.start()
    pair.view(pair.a)
    pair.activate(pair.a)
    pair.until(done(stale))

    assert stale.error == errno.EIO
    assert pair.a.image()[:3] == bytes(3)


def test_move_in_good_order(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.a.order({"op": "deactivate", "id": "d"})
    pair.until(lambda: pair.a.told("deactivated"))
    pair.activate(pair.b)
    pair.until(lambda: pair.b.device is not None)
    pair.until(done(pair.b.write(0, b"2" * BLOCK)))

    assert pair.a.image() == pair.b.image()
    assert pair.a.engine.dirty_bytes == 0
    assert [event["epoch"] for event in pair.b.told("activated")] == [[pair.epoch, 0]]


def test_refusal_says_why(pair):
    pair.build()
    pair.wire.cut = True
    pair.wire.drop("cut")
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.activate(pair.b, alone=True)
    pair.until(lambda: pair.b.told("refused"))

    assert pair.b.told("refused")[0]["why"] == "a has gone on without b; its data is newer."
    losses = pair.b.engine.state()["losses"]
    assert losses["text"].startswith("Everything that a has written since ")


def test_both_sides_of_a_split_say_what_the_other_one_alone_has(pair):
    pair.build()
    pair.wire.cut = True
    pair.wire.drop("cut")
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.a.kill()
    pair.activate(pair.b, alone=True, force=True)
    pair.until(lambda: pair.b.device is not None)
    pair.until(done(pair.b.write(0, b"2" * BLOCK)))
    pair.wire.cut = False
    pair.a.start()
    pair.view(pair.a)
    pair.until(lambda: pair.b.side.relation == pair.a.side.relation == "foreign")

    assert pair.b.engine.active
    for server, other in ((pair.a, pair.b), (pair.b, pair.a)):
        pair.until(lambda server=server: (server.engine.state()["losses"] or {}).get("bytes"))
        assert server.engine.state()["losses"]["bytes"] == other.engine.dirty_bytes


def test_isolated_side_stays_apart_over_a_restart_until_it_is_joined(pair):
    pair.build()
    pair.b.order({"op": "break", "id": "i"})
    pair.until(lambda: pair.b.told("done"))
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.b.kill()
    pair.b.start()
    pair.view(pair.b)
    pair.until(lambda: pair.b.engine.saves.idle)
    assert pair.b.engine.state()["isolated"]
    assert not pair.wire.up

    pair.b.order({"op": "join", "id": "j"})
    pair.until(pair.equal)

    assert pair.a.image() == pair.b.image()


def test_pace_does_not_hold_back_the_applications(pair):
    pair.a.data.write_bytes(b"a" * SIZE)
    pair.start()
    pair.a.order({"op": "pace", "bytes_s": 1})
    pair.a.order({"op": "construct", "id": "c", "full": True})
    pair.activate(pair.a)
    pair.until(lambda: pair.a.device is not None and pair.a.engine.copier.held)
    held = next(iter(pair.a.engine.copier.held))

    write = pair.a.write(held * GRAIN, b"n" * BLOCK)
    pair.until(done(write))
    assert pair.a.engine.dirty_bytes > SIZE // 2

    pair.a.order({"op": "pace", "bytes_s": 0})
    pair.until(pair.equal)
    assert pair.a.image() == pair.b.image()


def test_little_of_the_copy_is_on_its_way_while_applications_write(pair):
    pair.a.data.write_bytes(b"a" * SIZE)
    pair.start()
    hung = []
    write = pair.b.engine.disk.write
    pair.b.engine.disk.write = lambda offset, data, done: hung.append((offset, bytes(data), done))
    pair.a.engine.copier.busy_s = 1e9  # As if one write followed the other.
    pair.a.order({"op": "construct", "id": "c", "full": True})
    pair.until(lambda: len(hung) == WINDOW_BUSY // GRAIN)
    for _ in range(50):
        pair.poller.turn(0.001)
    assert len(hung) == WINDOW_BUSY // GRAIN

    pair.b.engine.disk.write = write
    for job in hung:
        write(*job)
    pair.until(pair.equal)
    assert pair.a.image() == pair.b.image()


def test_writes_that_come_before_the_hello_is_acted_upon_are_not_taken_for_old_ones(pair):
    pair.build()
    pair.asks = False
    pair.wire.cut = True
    pair.wire.drop("cut")
    pair.view(pair.a, permitted=(pair.epoch, 0))
    pair.until(lambda: pair.a.engine.state()["mode"] == "alone")
    saves, held = pair.b.engine.saves, []
    pair.until(lambda: saves.idle)
    saves._next = lambda: held.append(True)  # The disk takes its time.
    pair.b.order({"op": "outdate", "generation": "g", "epoch": [pair.epoch, 0]})
    pair.wire.cut = False
    pair.wire.connect()
    pair.until(lambda: pair.a.side.relation == "source")
    write = pair.a.write(0, b"1" * BLOCK)
    pair.until(lambda: held and pair.b.engine.peer.early)

    del saves._next
    saves._next()
    pair.until(done(write))
    pair.until(pair.equal)

    assert (write.error, pair.a.told("stood_down")) == (0, [])
    assert pair.a.image() == pair.b.image()


def test_side_that_answers_no_write_is_left_behind(pair):
    pair.a.settings = msgspec.structs.replace(pair.a.settings, ack_s=0.5)
    pair.build()
    # It hangs, and its process lives.
    pair.b.engine.disk.write_now = lambda offset, data: False
    pair.b.engine.disk.write = lambda offset, data, done: None
    write = pair.a.write(0, b"1" * BLOCK)
    pair.until(done(write))

    assert write.error == 0
    assert "b has not answered a write or a flush for 0.5 s" in pair.wire.dropped


def test_order_that_is_not_understood_raises_with_its_place(pair):
    pair.build()
    with pytest.raises(ValueError, match="epoch"):
        pair.a.order({"op": "activate", "id": "x", "epoch": "1", "since": [1, 0]})


def test_bitmap_shows_where_and_how_much_differs():
    bits = Bits(10_000)
    assert status.bitmap(bits) == []
    bits.add(0)
    bits.update(range(9_000, 10_000))
    cells = status.bitmap(bits)

    assert len(cells) <= 512
    assert (cells[0], cells[1], cells[-1]) == (1, 0, 9)
    assert sum(cell == 9 for cell in cells) * (10_000 / len(cells)) == pytest.approx(1000, abs=60)


def test_generation_tells_when_and_where_it_began(pair):
    pair.build()
    first = pair.a.engine.state()["history"][0]

    assert (first["server"], first["at"] > 1_700_000_000) == ("a", True)
    assert status.words_of("strange", "a", "b") == {"name": "strange", "at": None, "server": None}


def test_progress_and_rate_of_a_copy(pair):
    pair.a.data.write_bytes(b"a" * SIZE)
    pair.start()
    pair.a.order({"op": "pace", "bytes_s": SIZE})
    pair.a.order({"op": "construct", "id": "c", "full": True})
    pair.until(lambda: pair.a.side.copying.done_grains or pair.a.engine.copier.sent_bytes > SIZE // 2)
    state = pair.a.engine.state()

    assert (state["color"], state["peer_color"], state["relation"]) == ("GREEN", "YELLOW", "source")
    assert 0 <= state["copied"] < state["to_copy"] == SIZE
    assert state["rate"] > 0
    assert state["remaining_s"] > 0
    pair.a.order({"op": "pace", "bytes_s": 0})
    pair.until(pair.equal)


# ---- disks that fail ----


def test_active_side_whose_disk_fails_stops_and_the_other_one_follows(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.a.engine.disk._put = failing
    write = pair.a.write(BLOCK, b"2" * BLOCK)
    pair.until(done(write))
    pair.until(lambda: pair.a.told("stood_down") and pair.a.engine.saves.idle)

    assert write.error == errno.EIO
    assert pair.a.told("stood_down")[0]["why"].endswith("could not be written: Input/output error.")
    assert (pair.a.engine.state()["color"], pair.a.engine.state()["whole"]) == ("RED", False)
    pair.activate(pair.b, alone=True)
    pair.until(lambda: pair.b.device is not None)
    pair.until(done(pair.b.write(2 * BLOCK, b"3" * BLOCK)))

    pair.a.kill()
    pair.a.start()
    pair.view(pair.a)
    pair.until(pair.equal)
    assert pair.a.image() == pair.b.image()


def test_standby_whose_disk_fails_does_not_acknowledge_and_is_left_behind(pair):
    pair.build()
    pair.b.engine.disk._put = failing
    write = pair.a.write(0, b"1" * BLOCK)
    pair.until(done(write))

    assert write.error == 0
    assert pair.a.engine.state()["mode"] == "alone"
    assert pair.b.engine.state()["error"].endswith("could not be written: Input/output error.")

    pair.b.kill()
    pair.b.start()
    pair.view(pair.b)
    pair.until(pair.equal)
    assert pair.a.image() == pair.b.image()


def test_side_whose_cluster_partition_fails_stops_and_lets_the_other_one_go_on(pair, monkeypatch):
    monkeypatch.setattr("agent.mirrord.saves.RETRY_S", 0.01)
    pair.build()
    monkeypatch.setattr(pair.b.engine.partition, "write", failing)
    pair.b.engine.saves.put(pair.b.engine.partition.noted(last_update=1.0))
    pair.until(lambda: pair.b.engine.ended)
    write = pair.a.write(0, b"1" * BLOCK)
    pair.until(done(write))

    assert write.error == 0
    assert pair.b.told("told")
    pair.activate(pair.b, alone=True)
    assert pair.b.told("refused")[-1]["why"].endswith("could not be written: Input/output error.")


def test_bad_block_moves_the_applications_while_the_other_side_has_the_data(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.a.engine.disk.read = lambda room, offset, end: end(OSError(errno.EIO, "Input/output error"))
    read = pair.a.ask("read", 0, BLOCK)
    pair.until(done(read))
    pair.until(lambda: pair.a.told("stood_down"))

    assert read.error == errno.EIO
    pair.activate(pair.b, alone=True)
    pair.until(lambda: pair.b.told("activated"))


def failing(*_):
    raise OSError(errno.EIO, "Input/output error")


# ---- verification ----


def test_verification_proves_equal_disks(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    pair.a.order({"op": "verify", "id": "v"})
    pair.until(lambda: pair.a.told("done")[1:])

    state = pair.a.engine.state()["verify"]
    assert (state["proven_until"], state["differing"], state["unproven"]) == (SIZE, 0, 0)


def test_verification_finds_a_silent_difference_and_repairs_it_when_told_to(pair):
    pair.build()
    pair.until(done(pair.a.write(0, b"1" * BLOCK)))
    with open(pair.b.data, "r+b") as file:
        file.seek(3 * GRAIN + 5)
        file.write(b"rot")
    pair.b.order({"op": "verify", "id": "v"})
    pair.until(lambda: pair.a.engine.state()["verify"]["ended"])
    assert pair.a.engine.state()["verify"]["ranges"] == [[3 * GRAIN, GRAIN]]
    assert pair.a.image() != pair.b.image()

    pair.a.order({"op": "verify", "id": "w", "repair": True})
    pair.until(lambda: pair.a.image() == pair.b.image() and pair.equal())
    pair.until(lambda: pair.a.engine.state()["verify"]["differing"] == 0)


def test_verification_takes_regions_again_that_are_written_meanwhile(pair):
    pair.build()
    verifier = pair.a.engine.verifier
    pair.a.order({"op": "verify", "id": "v"})
    assert verifier._out
    write = pair.a.write(0, b"1" * BLOCK)
    pair.until(done(write))
    pair.until(lambda: pair.a.told("done")[1:])

    assert pair.a.engine.state()["verify"]["differing"] == 0
    assert pair.a.engine.state()["verify"]["proven_until"] == SIZE
