"""The data partition: order of writes also when a thread makes them, flushes, errors, zeros, sizes."""

from __future__ import annotations

import errno
import os
import threading
import time

import msgspec
import pytest

from agent.mirrord.disk import BLOCK, Disk
from agent.mirrord.poller import Poller
from agent.mirrord.trust import AT_REST, REFUSED, Trust
from tests.agent.mirrord.pair import Pair

SIZE = 1 << 20


@pytest.fixture
def poller():
    poller = Poller(2)
    yield poller
    poller.close()


@pytest.fixture
def disk(tmp_path, poller):
    with open(tmp_path / "data", "wb") as file:
        file.truncate(SIZE + 17)
    failures: list[str] = []
    disk = Disk(str(tmp_path / "data"), poller, failures.append)
    disk.failures = failures
    disk._memory = False  # As on a real disk, wherever the tests run.
    yield disk
    disk.close()


def until(poller, condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        poller.turn(0.1)


def image(disk):
    with open(disk.path, "rb") as file:
        return file.read()


def test_size_is_whole_blocks(disk):
    assert disk.size == SIZE


def test_quick_write_is_done_at_once(disk):
    ends = []
    disk.write(BLOCK, b"x" * BLOCK, ends.append)

    assert ends == [None]
    assert image(disk)[BLOCK : 2 * BLOCK] == b"x" * BLOCK


def test_slow_disk_is_written_by_a_thread_in_order_and_flushed_after_it(disk, poller, monkeypatch):
    gate, threads, ends = threading.Event(), [], []
    put = disk._put

    def slow(offset, data):
        threads.append(threading.current_thread())
        if len(threads) > 1:
            gate.wait(10)
        put(offset, data)

    monkeypatch.setattr(disk, "_put", slow)
    monkeypatch.setattr("agent.mirrord.disk.SLOW_S", -1.0)
    buffer = bytearray(b"1" * BLOCK)
    disk.write(0, buffer, lambda error: ends.append("first"))
    for number in (b"2", b"3"):
        buffer[:] = number * BLOCK  # The caller may use it again.
        disk.write(0, buffer, lambda error, number=number: ends.append(number))
    disk.zero(BLOCK, BLOCK, lambda error: ends.append("zero"))
    disk.flush(lambda error: ends.append("flush"))
    disk.after_writes(lambda: ends.append("after"))
    assert ends == ["first"]
    gate.set()
    until(poller, lambda: len(ends) == 6)

    assert (ends[:4], set(ends[4:])) == (["first", b"2", b"3", "zero"], {"flush", "after"})
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
    assert image(disk)[:BLOCK] == b"3" * BLOCK


def test_what_waits_for_a_slow_disk_is_limited(disk, poller, monkeypatch):
    ends, most = [], []
    monkeypatch.setattr("agent.mirrord.disk.SLOW_S", -1.0)
    monkeypatch.setattr("agent.mirrord.disk.MOST_LATE", 4 * BLOCK)
    for number in range(100):
        disk.write(number % 7 * BLOCK, bytes([number]) * BLOCK, ends.append)
        most.append(disk.late_bytes)
    until(poller, lambda: len(ends) == 100)

    assert max(most) <= 5 * BLOCK
    assert ends == [None] * 100
    last = [max(number for number in range(100) if number % 7 == place) for place in range(7)]
    assert image(disk)[: 7 * BLOCK] == b"".join(bytes([number]) * BLOCK for number in last)


def test_flushes_that_wait_are_one(disk, poller, monkeypatch):
    gate, count, ends = threading.Event(), [], []

    def sync(fd):
        count.append(fd)
        gate.wait(10)

    monkeypatch.setattr("agent.mirrord.disk.os.fdatasync", sync)
    for _ in range(5):
        disk.flush(ends.append)
    gate.set()
    until(poller, lambda: len(ends) == 5)

    assert (len(count), ends) == (2, [None] * 5)


def test_after_a_flush_that_failed_nothing_is_written_any_more(disk, poller, monkeypatch):
    ends = []

    def sync(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("agent.mirrord.disk.os.fdatasync", sync)
    disk.flush(ends.append)
    until(poller, lambda: ends)
    disk.write(0, b"x" * BLOCK, ends.append)
    disk.zero(0, BLOCK, ends.append)
    disk.flush(ends.append)
    until(poller, lambda: len(ends) == 4)

    assert [error.errno for error in ends] == [errno.EIO] * 4
    assert disk.failures == [f"The data partition {disk.path} could not be flushed: Input/output error."]
    assert image(disk)[:BLOCK] == bytes(BLOCK)


def test_file_system_without_room_is_a_failure_not_a_short_write(disk, monkeypatch):
    ends = []
    monkeypatch.setattr("agent.mirrord.disk.os.pwrite", lambda fd, data, offset: min(len(data), 100) if offset else 0)
    disk.write(0, b"x" * BLOCK, ends.append)

    assert ends[0].errno == errno.ENOSPC


@pytest.mark.parametrize("able", [True, False])
def test_zeros_read_as_zeros_whatever_the_disk_can(disk, able, monkeypatch):
    disk.write(0, b"x" * 4 * BLOCK, lambda error: None)
    if not able:
        monkeypatch.setattr("agent.mirrord.disk._libc.fallocate", lambda *_: -1)
        monkeypatch.setattr("agent.mirrord.disk.ctypes.get_errno", lambda: errno.EOPNOTSUPP)
    ends = []
    disk.zero(BLOCK, 2 * BLOCK, ends.append)

    assert ends == [None]
    assert image(disk)[: 4 * BLOCK] == b"x" * BLOCK + bytes(2 * BLOCK) + b"x" * BLOCK


def test_read_gives_what_was_written(disk, poller):
    disk.write(BLOCK, b"y" * BLOCK, lambda error: None)
    room, ends = bytearray(2 * BLOCK), []
    disk.read(memoryview(room), 0, ends.append)
    until(poller, lambda: ends)

    assert (ends, bytes(room)) == ([None], bytes(BLOCK) + b"y" * BLOCK)


def test_read_beyond_the_end_fails(disk, poller):
    ends = []
    disk.read(memoryview(bytearray(BLOCK)), 2 * SIZE, ends.append)
    until(poller, lambda: ends)

    assert ends[0].errno == errno.EIO


def test_long_runs_are_given_to_the_disk_while_they_come(disk, poller, monkeypatch):
    given = []
    monkeypatch.setattr("agent.mirrord.disk.RUN", 256 << 10)
    monkeypatch.setattr("agent.mirrord.disk.write_out", lambda fd, offset, length: given.append((offset, length)))
    monkeypatch.setattr(disk, "_memory", False)
    piece = 128 << 10
    for at in (0, 1, 5, 2, 3):
        disk.write(at * piece, b"x" * piece, lambda error: None)
        until(poller, lambda: not disk._pushing)
    for at in range(0, 512 << 10, BLOCK):
        disk.write(at, b"y" * BLOCK, lambda error: None)

    assert given == [(0, 2 * piece), (2 * piece, 2 * piece)]


def test_nothing_is_written_behind_what_the_thread_could_not_write(disk, poller, monkeypatch):
    put, ends = disk._put, []

    def failing(offset, data):
        if threading.current_thread() is not threading.main_thread():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        put(offset, data)

    monkeypatch.setattr(disk, "_put", failing)
    monkeypatch.setattr("agent.mirrord.disk.SLOW_S", -1.0)
    monkeypatch.setattr("agent.mirrord.disk.MOST_LATE", 2 * BLOCK)
    for number in range(4):  # The first one at once, the second one by the thread; with the fourth the loop helps.
        disk.write(number * BLOCK, b"x" * BLOCK, ends.append)
    until(poller, lambda: len(ends) == 4)

    assert [error is None for error in ends].count(True) == 1
    assert image(disk)[BLOCK : 4 * BLOCK] == bytes(3 * BLOCK)


@pytest.fixture
def pair(tmp_path):
    pair = Pair(tmp_path)
    pair.build()
    for server in (pair.a, pair.b):
        server.engine.disk._memory = False
    yield pair
    pair.close()


def killed_within_a_flush(pair, monkeypatch, then):
    """The thread has heard of the kernel what has become of it; nobody else has."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", then)
        with pytest.raises((OSError, KeyboardInterrupt)):
            pair.a.engine.disk._sync()
    pair.a.kill()
    pair.a.start()


def test_process_killed_between_a_refused_flush_and_its_save_knows_it_all_the_same(pair, monkeypatch):
    def refused(fd):
        raise OSError(errno.EIO, "I/O error")

    killed_within_a_flush(pair, monkeypatch, refused)
    past = pair.a.side.past
    assert (past.whole, past.boot) == (False, "")

    pair.view(pair.a)
    pair.until(lambda: pair.a.side.relation == "target")
    pair.until(pair.equal)
    pair.a.kill()
    pair.a.start()
    assert pair.a.side.past.whole


def test_process_killed_within_a_flush_does_not_count_on_what_was_not_flushed(pair, monkeypatch):
    def killed(fd):
        raise KeyboardInterrupt

    killed_within_a_flush(pair, monkeypatch, killed)

    assert (pair.a.side.past.whole, pair.a.side.past.boot, pair.a.side.hello().intact) == (True, "", False)


def test_process_killed_at_rest_counts_on_what_was_not_flushed(pair):
    request = pair.a.ask("flush")
    pair.until(lambda: request.answered)
    pair.a.kill()
    pair.a.start()

    assert pair.a.side.hello().intact


def test_word_of_a_disk_is_none_after_a_power_cut(pair, tmp_path):
    settings = pair.a.settings
    Trust(settings).say(REFUSED)

    assert (Trust(settings).found, Trust(msgspec.structs.replace(settings, boot="boot2")).found) == (REFUSED, AT_REST)
