"""The device: what applications ask for arrives, each once, whoever serves it and however he ends."""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import signal
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.mirrord import loopdev
from agent.mirrord.device import Device, Request
from agent.mirrord.fuse import MAX_WRITE, DeviceError
from agent.mirrord.slots import CHUNK, CHUNKS
from tests.agent.mirrord.disks import SIZE, Disk, disk, serving
from tests.agent.mirrord.mini import Mini
from tests.agent.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.slow]

_BLKDISCARD, _BLKZEROOUT = 0x1277, 0x127F


@pytest.fixture
def md(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path) as made:
        yield made


def pages(data: bytes) -> mmap.mmap:
    """Direct I/O wants whole pages."""
    room = mmap.mmap(-1, len(data))
    room[:] = data
    return room


class Recorder(Mini):
    """Keeps what it was asked for; holds it back while `held` is a list."""

    def __init__(self, device: Device, file: int) -> None:
        super().__init__(device, file)
        self.asked: list[tuple[str, int, int]] = []
        self.held: list[Request] | None = None
        self.lock = threading.Lock()

    def do(self, request: Request) -> None:
        self.asked.append((request.op, request.offset, request.length))
        with self.lock:
            if self.held is not None:
                self.held.append(request)
                return
        super().do(request)

    def let_go(self) -> None:
        with self.lock:
            held, self.held = self.held or [], None
        for request in held:
            super().do(request)


@pytest.fixture
def recorder(md: Disk) -> Iterator[Recorder]:
    file = os.open(md.data, os.O_RDWR)
    with serving(Recorder(md.connect(), file)) as made:
        assert isinstance(made, Recorder)
        yield made
        made.let_go()
        md.holder.abort()
    os.close(file)


def test_reads_and_writes_of_every_size_reach_the_file(md: Disk, recorder: Recorder) -> None:
    seed = random.Random(1)
    expected = bytearray(SIZE)
    fd = md.attach()
    assert loopdev.direct(os.readlink(md.link))

    for length in (512, 4096, 12288, 1 << 20, 3 << 20):
        offset = seed.randrange(0, (SIZE - length) // 512) * 512
        data = seed.randbytes(length)
        expected[offset : offset + length] = data
        assert os.pwritev(fd, [pages(data)], offset) == length
    found = mmap.mmap(-1, SIZE)
    assert os.preadv(fd, [found], 0) == SIZE
    os.close(fd)

    assert found[:] == expected
    assert md.data.read_bytes() == expected


def test_flush_discard_and_zeroing_arrive_as_such(md: Disk, recorder: Recorder) -> None:
    md.data.write_bytes(b"\1" * SIZE)
    fd = md.attach()
    recorder.asked.clear()

    os.fsync(fd)
    fcntl.ioctl(fd, _BLKDISCARD, struct.pack("=QQ", 1 << 20, 1 << 20))
    fcntl.ioctl(fd, _BLKZEROOUT, struct.pack("=QQ", 4 << 20, 1 << 20))
    os.close(fd)

    changes = [one for one in recorder.asked if one[0] != "read"]
    assert changes[:3] == [("flush", 0, 0), ("discard", 1 << 20, 1 << 20), ("zero", 4 << 20, 1 << 20)]
    assert md.data.read_bytes()[1 << 20 : 2 << 20] == bytes(1 << 20)


def test_an_error_reaches_the_application(md: Disk, recorder: Recorder) -> None:
    fd = md.attach()
    recorder.held = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(os.pwritev, fd, [pages(bytes(4096))], 0)
        until(lambda: recorder.held)
        recorder.device.answer(recorder.held.pop(), error=5)
        with pytest.raises(OSError, match="Input/output error"):
            writing.result()
    os.close(fd)


def test_all_requests_of_a_loop_device_can_be_on_their_way(md: Disk, recorder: Recorder) -> None:
    fd = md.attach()
    data = pages(b"\7" * 4096)
    recorder.held = []
    with ThreadPoolExecutor(128) as pool:
        writes = [pool.submit(os.pwritev, fd, [data], 8192 * number) for number in range(128)]
        until(lambda: len(recorder.held or ()) == 128)
        recorder.let_go()
        assert [write.result() for write in writes] == [4096] * 128
    os.close(fd)


def test_large_requests_wait_when_the_memory_is_full(md: Disk, recorder: Recorder) -> None:
    fd = md.attach()
    data = pages(b"\7" * MAX_WRITE)
    recorder.held = []
    with ThreadPoolExecutor(24) as pool:
        writes = [pool.submit(os.pwritev, fd, [data], MAX_WRITE * number) for number in range(24)]
        until(lambda: recorder.paused)
        waiting = sum(request.length for request in recorder.held)
        assert CHUNKS * (CHUNK - MAX_WRITE) < waiting <= CHUNKS * CHUNK
        recorder.let_go()
        assert [write.result() for write in writes] == [MAX_WRITE] * 24
    os.close(fd)
    assert md.data.read_bytes()[: 24 * MAX_WRITE] == b"\7" * (24 * MAX_WRITE)


def test_the_next_one_finds_what_was_not_answered_and_nothing_else_before(md: Disk) -> None:
    file = os.open(md.data, os.O_RDWR)
    with serving(Mini(md.connect(), file)):
        fd = md.attach()
    with ThreadPoolExecutor(3) as pool:
        writes = [pool.submit(os.pwritev, fd, [pages(bytes([n]) * 8192)], n << 20) for n in (1, 2)]
        first = md.connect()
        seen: list[Request] = []
        until(lambda: seen.extend(first.requests()) or len(seen) == 2)  # type: ignore[func-returns-value]
        before = {(one.unique, one.offset, one.length) for one in seen}
        first.close()

        second = md.connect()
        writes.append(pool.submit(os.pwritev, fd, [pages(bytes([3]) * 8192)], 3 << 20))
        again = second.requests()
        assert {(one.unique, one.offset, one.length) for one in again} == before
        assert [one.unique for one in again] == sorted(one.unique for one in again)
        for one in again:
            assert one.data is not None
            assert bytes(one.data) == bytes([one.offset >> 20]) * 8192
        assert second.requests() == []
        second.answer(again[0])
        assert second.requests() == []
        second.answer(again[1])
        until(lambda: seen.extend(second.requests()) or len(seen) == 3)  # type: ignore[func-returns-value]
        assert seen[2].offset == 3 << 20
        second.answer(seen[2])
        assert [write.result() for write in writes] == [8192] * 3
        with serving(Mini(second, file)):
            os.close(fd)
    os.close(file)


def test_a_second_answer_does_no_harm(md: Disk) -> None:
    """As after a crash between answer and note."""
    file = os.open(md.data, os.O_RDWR)
    with serving(Mini(md.connect(), file)):
        fd = md.attach()
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(os.pwritev, fd, [pages(bytes(4096))], 0)
        device = md.connect()
        seen: list[Request] = []
        until(lambda: seen.extend(device.requests()) or seen)  # type: ignore[func-returns-value]
        record, slot, at = bytes(device._slots.records[:128]), seen[0].slot, seen[0].at
        device.answer(seen[0])
        assert write.result() == 4096
        device._slots.records[slot * 128 : slot * 128 + 128] = record[:128]
        device.close()

        again = md.connect()
        (request,) = again.requests()
        assert (request.op, request.at) == ("write", at)
        again.answer(request)
        with serving(Mini(again, file)):
            assert os.pwritev(fd, [pages(bytes(4096))], 0) == 4096
            os.close(fd)
    os.close(file)


def test_no_write_is_lost_and_none_fails_when_mirror_processes_are_killed(md: Disk) -> None:
    """Four writers, each with blocks of its own and a ledger of what was acknowledged; each write has its number."""
    process = md.process()
    fd = md.attach()
    stop = threading.Event()

    def write(writer: int) -> dict[int, bytes]:
        seed = random.Random(writer)
        ledger: dict[int, bytes] = {}
        number = 0
        while not stop.is_set():
            number += 1
            length = seed.choice((4096, 4096, 16384, 262144))
            block = seed.randrange(0, 24) * 4 + writer
            data = struct.pack("=II", writer, number) * (length // 8)
            assert os.pwritev(fd, [pages(data)], block * 262144) == length
            before = ledger.get(block, bytes(262144))
            ledger[block] = data + before[length:]
            written.append(number)
        return ledger

    written: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        try:
            for _ in range(4):
                goal = len(written) + 60
                until(lambda goal=goal: len(written) > goal, 20)
                process.kill()
                process = md.process()
            goal = len(written) + 60
            until(lambda: len(written) > goal, 20)
        finally:
            stop.set()
        ledgers = [writer.result() for writer in writers]
    os.fsync(fd)
    os.close(fd)

    content = md.data.read_bytes()
    for ledger in ledgers:
        for block, data in ledger.items():
            assert content[block * 262144 : block * 262144 + 262144] == data


def test_who_served_before_has_ended_even_if_he_was_stopped(md: Disk) -> None:
    process = md.process()
    os.kill(process.pid, signal.SIGSTOP)

    device = md.connect()

    assert process.wait(5) == -signal.SIGKILL
    held = md.holder.held()
    assert held is not None
    assert held.owner == os.getpid()
    device.close()


def test_abort_fails_all_io_at_once(md: Disk) -> None:
    process = md.process()
    fd = md.attach()
    os.kill(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(os.pwritev, fd, [pages(bytes(4096))], 0)
        md.holder.abort()
        with pytest.raises(OSError, match="Input/output error"):
            write.result()
    os.close(fd)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(5) == 0  # The mini engine ends when its device is gone.


def test_a_process_without_its_device_is_told(md: Disk) -> None:
    device = md.connect()
    md.holder.abort()

    with pytest.raises(DeviceError, match="is gone"):
        device.requests()
    device.close()
