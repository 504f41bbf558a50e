"""The memory of the requests, and the kernel's questions that are no I/O."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.mirrord import fuse, holder, slots
from agent.mirrord.fuse import MAX_WRITE, PAGE, DeviceError
from agent.mirrord.holder import Line
from agent.mirrord.slots import CHUNK, CHUNKS, PLACE, SLOTS, WORDS, Slots

NODE, SIZE = 6, 1 << 30


@pytest.fixture
def memory() -> Iterator[int]:
    fd = slots.create("test")
    yield fd
    os.close(fd)


def asked(opcode: int, node: int = NODE, body: bytes = b"") -> bytes:
    return fuse.HEAD.pack(fuse.HEAD_BYTES + len(body), opcode, 7, node, 0, 0, 0, 0, 0) + body


def test_line_waits_for_room_in_the_queue_of_the_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "holder")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
        end.bind(path)
        end.listen(0)
        Line(path, 10).close()  # The queue is full.
        with pytest.raises(DeviceError, match="temporarily unavailable"):
            Line(path, 0.05)

        accepting = threading.Thread(target=lambda: [end.accept()[0].close() for _ in range(2)], daemon=True)
        accepting.start()
        Line(path, 10).close()
        accepting.join()


def take(of: Slots, length: int) -> tuple[int, int]:
    """A request with as many bytes, as the device would take it."""
    at = of.window()
    assert at >= 0
    slot = of.free[-1]
    of.words[slot * WORDS + PLACE] = at
    of.words[slot * WORDS] = 80
    of.use(at, length)
    return slot, at


def pages_of(fd: int) -> int:
    return os.fstat(fd).st_blocks * 512 // PAGE


def test_one_request_at_a_time_uses_the_same_pages(memory: int) -> None:
    of = Slots(memory)
    places = set()
    for length in (4096, 512, MAX_WRITE, 0):
        slot, at = take(of, length)
        places.add((slot, at))
        of.release(slot, at)

    assert places == {(0, 0)}


def test_small_requests_share_a_chunk_and_never_a_page(memory: int) -> None:
    of = Slots(memory)

    taken = [take(of, 4097) for _ in range(100)]

    assert [at for _, at in taken] == [number * 2 * PAGE for number in range(100)]
    assert len({slot for slot, _ in taken}) == 100


def test_there_is_always_room_for_the_largest_or_none_at_all(memory: int) -> None:
    of = Slots(memory)
    taken = []
    while of.window() >= 0:
        taken.append(take(of, MAX_WRITE))

    assert len({at for _, at in taken}) == len(taken) == CHUNKS * CHUNK // MAX_WRITE
    of.release(*taken.pop(4))
    assert of.window() == -1  # Half of a chunk is not given: a window lies within one.
    of.release(*taken.pop(4))
    assert of.window() == 2 * CHUNK


def test_the_next_process_finds_what_is_not_answered(memory: int) -> None:
    first = Slots(memory)
    taken = [take(first, 4096) for _ in range(3)]
    first.release(*taken[1])

    second = Slots(memory)

    assert second.taken() == {taken[0][0]: taken[0][1], taken[2][0]: taken[2][1]}
    assert sorted(second.free) == sorted(set(range(SLOTS)) - {taken[0][0], taken[2][0]})


def test_what_a_burst_has_used_is_given_back_and_nothing_else(memory: int) -> None:
    of = Slots(memory)
    taken = [take(of, MAX_WRITE) for _ in range(8)]
    of.data[taken[6][1]] = 1
    kept = taken.pop(6)
    for one in taken:
        of.release(*one)
    before = pages_of(memory)

    of.shrink()

    assert pages_of(memory) <= before - 2 * CHUNK // PAGE
    assert of.data[kept[1]] == 1
    of.release(*kept)
    of.shrink()
    assert pages_of(memory) <= CHUNK // PAGE + slots.TABLE // PAGE


def test_the_file_is_a_file_and_what_leads_to_it_directories() -> None:
    for node, kind, size in ((1, 0o40700, 0), (NODE - 1, 0o40700, 0), (NODE, 0o100600, SIZE)):
        answer = fuse.reply(asked(fuse.GETATTR, node), NODE, SIZE)
        assert answer is not None
        number, length = struct.unpack_from("=QQ", answer, 32)
        (mode,) = struct.unpack_from("=I", answer, 32 + 60)
        assert (number, length, mode) == (node, size, kind)


def test_nothing_lies_below_the_file() -> None:
    assert fuse.reply(asked(fuse.LOOKUP, NODE), NODE, SIZE) == fuse.failure(7, errno.ENOENT)


def test_what_is_not_known_is_refused_for_good_and_its_size_is_not_changed() -> None:
    assert fuse.reply(asked(25), NODE, SIZE) == fuse.failure(7, errno.ENOSYS)
    assert fuse.reply(asked(fuse.SETATTR), NODE, SIZE) == fuse.failure(7, errno.EPERM)
    assert fuse.reply(asked(fuse.FORGET), NODE, SIZE) is None


def test_a_kernel_that_is_too_old_is_named() -> None:
    with pytest.raises(DeviceError, match=r"speaks FUSE 7\.20; the mirror disk needs 7\.28"):
        fuse.reply(asked(fuse.INIT, 0, struct.pack("=IIII", 7, 20, 0, 0)), NODE, SIZE)


def test_no_holder_is_said_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=rf"No holder of the mirror disk answers at {tmp_path}/none"):
        Line(str(tmp_path / "none"), 1)


@pytest.mark.parametrize("target", ["elsewhere", "/dev/loop99999"])
def test_only_a_link_to_a_loop_device_is_taken_for_ours(tmp_path: Path, target: str) -> None:
    name = tmp_path / "NMP1"
    name.symlink_to(target)

    holder._unlink(str(name), "/openclp/x")

    assert os.path.lexists(name) == (target == "elsewhere")
