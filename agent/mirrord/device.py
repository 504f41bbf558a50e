"""The device of a mirror disk as the mirror process sees it: requests of the applications, and their answers.

Safety of a change from one mirror process to the next
- The holder gives the descriptors away when the process before has ended: it kills it and waits for its end. Nothing
  that only forbade it to answer would do, since it might still be writing to the disk.
- `requests()` first gives what that process has not answered, and nothing else until all of it is answered. One of
  these may have been answered (see `slots.py`) and is done once more: nothing newer has touched the disk meanwhile.

`discard` may give the room back to the disk, `zero` must keep it; both must read as zeros afterwards, here and on the
other side: the kernel makes no difference between discarding and writing zeros.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import threading
from collections.abc import Callable

from agent.mirrord import fuse, holder
from agent.mirrord.fuse import HEAD_BYTES, IO_BYTES, MAX_WRITE, OUT, READ, WRITE, DeviceError
from agent.mirrord.settings import Settings
from agent.mirrord.slots import PLACE, RECORD, WORDS, Slots

_IO = struct.Struct("=IIQ24x8xQI")  # length, opcode, unique; offset, size: of READ and WRITE
_FALLOCATE = struct.Struct("=QQII")  # from the offset on: offset, length, mode
_WRITTEN = struct.Struct("=IiQII")
_FSYNC, _FALLOCATED = fuse.FSYNC, fuse.FALLOCATE
_MOST = 64  # requests at a time
_GONE = (errno.ENODEV, errno.ECONNABORTED, errno.ENOTCONN, errno.EPERM)
# Nobody waits for this answer any more: it was given before, or the device is gone, which `requests` tells.
_UNWANTED = (errno.ENOENT, *_GONE)

Buffer = bytes | bytearray | memoryview


class Request:
    """`data` of a write lies on whole pages and is valid until the answer."""

    __slots__ = ("at", "data", "length", "offset", "op", "slot", "unique")

    def __init__(
        self, unique: int, op: str, offset: int, length: int, data: memoryview | None, slot: int, at: int
    ) -> None:
        self.unique = unique
        self.op = op  # "read" | "write" | "flush" | "discard" | "zero"
        self.offset = offset
        self.length = length
        self.data = data
        self.slot = slot  # -1: answered
        self.at = at

    def __repr__(self) -> str:
        return f"<{self.op} {self.offset}+{self.length} #{self.unique}>"


def _nothing(_: bool) -> None:
    pass


class Device:
    """`fd` is readable when something waits. `pause(True)` is called when there is no room for more (watch `fd` no
    longer: it stays readable), `pause(False)` when there is again."""

    def __init__(self, line: holder.Line, served: holder.Served, state: holder.State, descriptors: list[int]) -> None:
        self.fd, self._memory, self._file = descriptors
        self.size = state.size
        self.pause: Callable[[bool], None] = _nothing
        self._state = state
        self._node = state.node
        self._line = line
        self._served = served
        self._held = threading.Lock()  # against closing while the holder is renewed
        self._slots = Slots(self._memory)
        self._again = self._unanswered()
        self._waits = len(self._again)  # of these: nothing new is taken before they are answered
        self._paused = False
        self._batch = 1
        self._full = 0  # how often in a row there was as much as was asked for

    @classmethod
    def connect(cls, path: str, limit_s: float) -> Device:
        """From the holder at `path`. Whoever had the device before has ended when this returns."""
        line = holder.Line(path, limit_s)
        try:
            state, descriptors = holder.own(line)
            return cls(line, holder.Served(path), state, descriptors)
        except BaseException:
            line.close()
            raise

    # ---- what waits ----
    def requests(self) -> list[Request]:
        """What waits, as far as there is room. DeviceError: the device is gone, or its I/O was aborted."""
        if self._waits:
            first, self._again = self._again, []
            self._pause()
            return first
        slots, fd, readv = self._slots, self.fd, os.readv
        found: list[Request] = []
        batch = self._batch
        for _ in range(batch):
            at = slots.window() if slots.free else -1
            if at < 0:
                self._pause()
                return found
            slot = slots.free[-1]
            # Before the kernel is asked.
            slots.words[slot * WORDS + PLACE] = at
            try:
                readv(fd, (slots.heads[slot], slots.data[at : at + MAX_WRITE]))
            except BlockingIOError:
                self._batch, self._full = len(found) or 1, 0
                return found
            except OSError as error:
                slots.forget(slot)
                self._failed(error)
                return found
            request = self._request(slot, at)
            if request is not None:
                found.append(request)
        # At queue depth 1 a second look would cost as much as the first one and find nothing.
        self._full += 1
        if self._full >= 4 and batch < _MOST:
            self._batch, self._full = batch * 2, 0
        return found

    def _request(self, slot: int, at: int) -> Request | None:
        """Of the request in this slot; None: it is none for the disk, and is answered."""
        slots = self._slots
        _, opcode, unique, offset, size = _IO.unpack_from(slots.records, slot * RECORD)
        if opcode == WRITE:
            slots.use(at, size)
            return Request(unique, "write", offset, size, slots.data[at : at + size], slot, at)
        if opcode == READ:
            slots.use(at, size)
            return Request(unique, "read", offset, size, None, slot, at)
        if opcode == _FSYNC:
            slots.use(at, 0)
            return Request(unique, "flush", 0, 0, None, slot, at)
        if opcode == _FALLOCATED:
            return self._fallocate(slot, at, unique)
        self._other(slot, at)
        return None

    def _fallocate(self, slot: int, at: int, unique: int) -> Request | None:
        slots = self._slots
        offset, length, mode, _ = _FALLOCATE.unpack_from(slots.records, slot * RECORD + HEAD_BYTES + 8)
        if not mode & (fuse.PUNCH_HOLE | fuse.ZERO_RANGE):
            self._write(fuse.failure(unique, errno.EOPNOTSUPP))
            slots.forget(slot)
            return None
        slots.use(at, 0)
        op = "discard" if mode & fuse.PUNCH_HOLE else "zero"
        return Request(unique, op, offset, min(length, max(self.size - offset, 0)), None, slot, at)

    def _other(self, slot: int, at: int) -> None:
        """Names and attributes, as `fuse` knows them."""
        slots = self._slots
        length = slots.words[slot * (RECORD // 8)] & 0xFFFFFFFF
        more = max(length - IO_BYTES, 0)
        answer = fuse.reply(bytes(slots.heads[slot]) + bytes(slots.data[at : at + more]), self._node, self.size)
        if answer is not None:
            self._write(answer)
        slots.forget(slot)

    def _unanswered(self) -> list[Request]:
        """Of the process before us, oldest first."""
        slots = self._slots
        found = []
        taken = slots.taken()
        for slot, at in taken.items():
            slots.free.append(slot)  # As if it came just now.
            request = self._request(slot, at)
            if request is not None:
                found.append(request)
        return sorted(found, key=lambda request: request.unique)

    def _failed(self, error: OSError) -> None:
        if error.errno in _GONE:
            raise DeviceError(
                error.errno, "The device of the mirror disk is gone: somebody has aborted or removed it."
            ) from error
        if error.errno not in (errno.ENOENT, errno.EINTR):  # Who asked does not wait any more.
            raise error

    # ---- answers ----
    def room(self, request: Request) -> memoryview:
        """For the data of a read; on whole pages, valid until the answer."""
        return self._slots.data[request.at : request.at + request.length]

    def answer(self, request: Request, error: int = 0, data: Buffer | list[Buffer] | None = None) -> None:
        """`error`: a number of errno. `data` of a read: as long as it asked for."""
        slot, unique, op = request.slot, request.unique, request.op
        if slot < 0:
            return
        try:
            if error:
                os.write(self.fd, OUT.pack(16, -error, unique))
            elif op == "write":
                os.write(self.fd, _WRITTEN.pack(24, 0, unique, request.length, 0))
            elif op == "read":
                parts = data if isinstance(data, list) else (data,)
                os.writev(self.fd, (OUT.pack(16 + request.length, 0, unique), *parts))
            else:
                os.write(self.fd, OUT.pack(16, 0, unique))
        except OSError as refused:
            if refused.errno not in _UNWANTED:
                raise
        request.slot = -1
        request.data = None
        self._slots.release(slot, request.at)
        if self._paused:
            self._room_again()

    def _write(self, answer: bytes) -> None:
        try:
            os.write(self.fd, answer)
        except OSError as refused:
            if refused.errno not in _UNWANTED:
                raise

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.pause(True)

    def _room_again(self) -> None:
        if self._waits:
            self._waits -= 1
            if self._waits:
                return
        self._paused = False
        self.pause(False)

    # ---- the rest ----
    def idle(self) -> None:
        """To be called now and then: gives memory back that a burst has used."""
        self._slots.shrink()

    def holder_gone(self) -> bool:
        """This process serves on; `renew_holder`, lest its own end does harm."""
        look = select.poll()
        look.register(self._line.fd, 0)
        return bool(look.poll(0))

    def renew_holder(self, settings: Settings, limit_s: float = 10.0) -> None:
        """Takes as long as a process needs to start: in a thread."""
        with self._held:
            if self.fd < 0:
                return
            holder.Holder(settings, limit_s).renew(self._state, (self.fd, self._memory, self._file))
            line = holder.Line(settings.holder, limit_s)
            try:
                _, copies = holder.own(line)
            except BaseException:
                line.close()
                raise
            for fd in copies:
                os.close(fd)
            self._line.close()
            self._line = line

    def close(self) -> None:
        """Leaves it to the next one; what is not answered waits for him."""
        with self._held:
            for fd in (self.fd, self._memory, self._file):
                os.close(fd)
            self.fd = -1
        self._served.close()
        holder.release(self._line)
        self._line.close()
