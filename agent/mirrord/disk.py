"""The data partition of one side: reading, writing, flushing and zeroing it, in an order that both sides share.

Rules of this file
- Writes are carried out in the order in which they are asked for. Two that overlap would else end up differently on the
  two disks, which nobody could notice.
- They go into the page cache, at once and in the loop: a copy of 4 KiB is cheaper than any hand-over to a thread. What
  is not flushed is lost with the power, and the mind counts on nothing else. Only when the kernel begins to hold us
  back (the disk is slower than what comes) they go to one thread, in the same order, until that has caught up.
- Long runs of data are given to the disk while they come (`_run`): else the next flush would find all of it in memory.
  That promises nothing; its errors are the next flush's.
- A flush covers every write that was asked for before it. Several that wait are answered by one.
- A disk that has refused one write or one flush is not written to again: what the page cache did not bring to it is
  lost, and later flushes would not say so.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
import threading
import time
from collections import deque
from collections.abc import Callable

from agent.mirrord.poller import Poller
from agent.mirrord.trust import ASKED, AT_REST, REFUSED, Trust

BLOCK = 4096
SLOW_S = 0.02  # of one write: from then on a thread writes
_CALM_S = 1.0  # until none was slow for so long
MOST_LATE = 4 << 20  # bytes that wait for the thread; then the loop waits, and with it whoever sends
_LARGE = 64 << 10  # a write of a run
RUN = 4 << 20  # as much of it is given to the disk at a time
_WRITE_OUT = 2  # of sync_file_range: begin, and do not wait for the end
_BLKGETSIZE64 = 0x80081272
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 16
_ZEROS = bytes(1 << 20)
_UNABLE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EINVAL)

Buffer = bytes | bytearray | memoryview
Done = Callable[[OSError | None], None]
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class DiskError(ValueError):
    """A disk cannot be used; the text is a sentence for the operator."""


def size_of(fd: int) -> int:
    """Bytes of a block device or a regular file, in whole blocks."""
    if stat.S_ISBLK(os.fstat(fd).st_mode):
        (size,) = struct.unpack("=Q", fcntl.ioctl(fd, _BLKGETSIZE64, bytes(8)))
    else:
        size = os.fstat(fd).st_size
    return int(size) // BLOCK * BLOCK


def open_alone(path: str, what: str, flags: int = 0) -> int:
    """For us alone: who has it mounted, or another mirror, keeps us out. A regular file will do, for trials."""
    try:
        mode = os.stat(path).st_mode
        block = stat.S_ISBLK(mode)
        if not block and not stat.S_ISREG(mode):
            raise DiskError(f"The {what} {path} is neither a block device nor a file.")
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags | (os.O_EXCL if block else 0))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise DiskError(f"The {what} {path} is in use: it is mounted, or another program has it.") from error
        raise DiskError(f"The {what} {path} cannot be opened: {error.strerror}.") from error
    if not block:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise DiskError(f"The {what} {path} is in use by another mirror process.") from error
    return fd


def write_out(fd: int, offset: int, length: int) -> None:
    """Begins; that some kind of file cannot, or that the disk fails, is no news of this."""
    _libc.sync_file_range(fd, offset, length, _WRITE_OUT)


class Disk:
    """`failed` is called once, with a sentence, at the first write or flush that the disk refuses."""

    def __init__(self, path: str, poller: Poller, failed: Callable[[str], None], trust: Trust | None = None) -> None:
        self.path = path
        self._trust = trust
        self.fd = open_alone(path, "data partition")
        self.size = size_of(self.fd)
        self.discards = self._can_discard()
        self.error = ""
        self._refused: OSError | None = None  # of the write that `write` is asked for next
        self._poller, self._failed = poller, failed
        self._late: deque[tuple[Callable[[], None], Done]] = deque()  # for the thread, in order
        self._late_runs = False
        self._rests = threading.Event()  # the thread has made what it was given
        self._slow_until = 0.0
        self.late_bytes = 0
        self._late_error: OSError | None = None  # of the thread; the loop may not have heard of it yet
        self._flushes: deque[Done] = deque()
        self._flushing = False
        self._nowait = hasattr(os, "RWF_NOWAIT")
        self._memory = self._in_memory()
        self._run_start = self._run_stop = 0  # written, and not given to the disk
        self._pushing = False

    # ---- writing ----
    def write_now(self, offset: int, data: Buffer) -> bool:
        """True: it is written. False: `write` has to be asked."""
        begun = time.monotonic()
        if self._late_runs or begun < self._slow_until or self.error:
            return False
        try:
            self._put(offset, data)
        except OSError as error:
            self._refused = error
            self._fail("written", error)
            return False
        self._judge(begun)
        if len(data) >= _LARGE:
            self._run(offset, len(data))
        return True

    def write(self, offset: int, data: Buffer, done: Done) -> None:
        """`done` is called before this returns, when no thread is needed."""
        if self.write_now(offset, data):
            done(None)
        elif self.error:
            refused, self._refused = self._refused, None
            done(refused or OSError(errno.EIO, self.error))
        else:
            copy = bytes(data)
            self.late_bytes += len(copy)
            self._later(
                lambda: self._timed(offset, copy), lambda error: self._late_done(offset, len(copy), done, error)
            )
            if self.late_bytes > MOST_LATE:
                self._catch_up()

    def _judge(self, begun: float) -> None:
        now = time.monotonic()
        if now - begun > SLOW_S:
            self._slow_until = now + _CALM_S

    def _timed(self, offset: int, data: Buffer) -> None:
        begun = time.monotonic()
        self._put(offset, data)
        self._judge(begun)

    def _late_done(self, offset: int, length: int, done: Done, error: OSError | None) -> None:
        self.late_bytes -= length
        if length >= _LARGE and error is None:
            self._run(offset, length)
        done(error)

    def _run(self, offset: int, length: int) -> None:
        """A large write. In a thread, since a disk whose queue is full makes wait; one at a time."""
        if self._memory:
            return
        if offset != self._run_stop:
            self._run_start = offset
        self._run_stop = offset + length
        start, length = self._run_start, self._run_stop - self._run_start
        if length < RUN or self._pushing:
            return
        self._run_start, self._pushing = self._run_stop, True
        self._poller.work(lambda: write_out(self.fd, start, length), self._pushed)

    def _pushed(self, _: None, error: BaseException | None) -> None:
        self._pushing = False
        if error is not None:
            raise error

    def after_writes(self, act: Callable[[], None]) -> None:
        """When all writes that were asked for have been made."""
        if self._late_runs:
            self._later(lambda: None, lambda error: act())
        else:
            act()

    def _put(self, offset: int, data: Buffer) -> None:
        count = os.pwrite(self.fd, data, offset)
        if count != len(data):
            self._rest(offset, memoryview(data), count)

    def _rest(self, offset: int, data: memoryview, count: int) -> None:
        """The kernel took a part: of a file without room, or between two signals."""
        while count < len(data):
            more = os.pwrite(self.fd, data[count:], offset + count)
            if more == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count += more

    def zero(self, offset: int, length: int, done: Done) -> None:
        """Reads as zeros from now on, here as on the other side: whether the disk gives the room back is its affair."""
        if self._late_runs:
            self._later(lambda: self._zero(offset, length), done)
            return
        error = OSError(errno.EIO, self.error) if self.error else None
        if error is None:
            try:
                self._zero(offset, length)
            except OSError as caught:
                self._fail("written", caught)
                error = caught
        done(error)

    def _zero(self, offset: int, length: int) -> None:
        for mode in (_PUNCH_HOLE | _KEEP_SIZE, _ZERO_RANGE | _KEEP_SIZE):
            if not _libc.fallocate(self.fd, mode, offset, length):
                return
            number = ctypes.get_errno()
            if number not in _UNABLE:
                raise OSError(number, os.strerror(number))
        for at in range(offset, offset + length, len(_ZEROS)):
            self._put(at, memoryview(_ZEROS)[: min(len(_ZEROS), offset + length - at)])

    def _can_discard(self) -> bool:
        """Whether giving room back costs less than writing zeros. A file can, or its zeros are as cheap as a hole."""
        if stat.S_ISREG(os.fstat(self.fd).st_mode):
            return True
        number = os.fstat(self.fd).st_rdev
        for place in ("queue", "../queue"):  # Of a disk, and of a partition of one.
            try:
                with open(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/{place}/discard_max_bytes") as file:
                    return int(file.read(32)) > 0
            except (OSError, ValueError):
                continue
        return False

    # ---- the thread ----
    def _later(self, act: Callable[[], None], done: Done) -> None:
        self._late.append((act, done))
        if not self._late_runs:
            self._late_runs = True
            self._next_late()

    def _next_late(self) -> None:
        while self._late and self.error:
            self._late.popleft()[1](OSError(errno.EIO, self.error))
        if not self._late:
            self._late_runs = False
            return
        act, done = self._late.popleft()

        def make() -> None:
            try:
                act()
            except OSError as error:
                self._late_error = error
                raise
            finally:
                self._rests.set()

        def then(_: None, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, OSError):
                raise error
            if error is not None:
                self._fail("written", error)
            done(error)
            self._next_late()

        self._rests.clear()
        self._poller.work(make, then)

    def _catch_up(self) -> None:
        """Memory is limited: the loop makes what waits itself, behind what the thread has begun."""
        self._rests.wait()
        if self._late_error is not None:
            self._fail("written", self._late_error)
        while self._late:
            act, done = self._late.popleft()
            failure = OSError(errno.EIO, self.error) if self.error else None
            if failure is None:
                try:
                    act()
                except OSError as error:
                    self._fail("written", error)
                    failure = error
            done(failure)

    def _fail(self, what: str, error: OSError) -> None:
        if not self.error:
            self.error = f"The data partition {self.path} could not be {what}: {error.strerror}."
            if self._trust is not None:
                self._trust.say(REFUSED)
            self._failed(self.error)

    # ---- flushing ----
    def flush(self, done: Done) -> None:
        """All that was asked for until now, on stable storage."""
        if self._memory and not self._late_runs:
            done(OSError(errno.EIO, self.error) if self.error else None)
        else:
            self.after_writes(lambda: self._flush(done))

    def _flush(self, done: Done) -> None:
        self._flushes.append(done)
        if not self._flushing:
            self._next_flush()

    def _next_flush(self) -> None:
        dones = list(self._flushes)
        self._flushes.clear()
        self._flushing = bool(dones)
        if not dones:
            return

        def then(_: None, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, OSError):
                raise error
            if error is not None:
                self._fail("flushed", error)
            failure = OSError(errno.EIO, self.error) if self.error else None
            for done in dones:
                done(failure)
            self._next_flush()

        self._poller.work(self._sync, then)

    def _sync(self) -> None:
        """In a thread. Whoever kills this process leaves the word of what was not known yet."""
        trust = self._trust
        if trust is None:
            os.fdatasync(self.fd)
            return
        trust.say(ASKED)
        try:
            os.fdatasync(self.fd)
        except OSError:
            trust.say(REFUSED)
            raise
        trust.say(AT_REST)

    # ---- reading ----
    def read_now(self, room: memoryview, offset: int) -> bool:
        """False: it would have to wait for the disk. Raises OSError."""
        if self._memory:
            self._get(room, offset)
            return True
        if not self._nowait:
            return False
        try:
            return os.preadv(self.fd, [room], offset, os.RWF_NOWAIT) == len(room)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            self._nowait = False
            return False

    def read(self, room: memoryview, offset: int, done: Done) -> None:
        """What is in memory is there before this returns."""
        try:
            ready = self.read_now(room, offset)
        except OSError as error:
            done(error)
            return
        if ready:
            done(None)
            return

        def then(_: None, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, OSError):
                raise error
            done(error)

        self._poller.work(lambda: self._get(room, offset), then)

    def _get(self, room: memoryview, offset: int) -> None:
        count = os.preadv(self.fd, [room], offset)
        while count < len(room):
            more = os.preadv(self.fd, [room[count:]], offset + count)
            if more == 0:
                raise OSError(errno.EIO, "the disk ends before it should")
            count += more

    def get(self, offset: int, length: int) -> bytearray:
        """For threads."""
        room = bytearray(length)
        self._get(memoryview(room), offset)
        return room

    def _in_memory(self) -> bool:
        """On tmpfs nothing ever waits, and there is nothing to flush to."""
        kind = _file_system(self.path)
        return stat.S_ISREG(os.fstat(self.fd).st_mode) and kind in ("tmpfs", "ramfs")

    def close(self) -> None:
        os.close(self.fd)


def _file_system(path: str) -> str:
    """Of the mount that a file is on; the number of its device tells which."""
    number = os.stat(path).st_dev
    wanted = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields = line.split()
            if fields[2] == wanted and "-" in fields:
                return fields[fields.index("-") + 1]
    return ""
