"""The requests of the applications: taken from the device while this side is active, answered when the mind says so.

Rules of this file
- The device is connected while this side is active, not before. What nobody takes waits in the kernel.
- A number (`seq`) belongs to one write, flush or piece of a discard, and is never used again.
- Writes that come together go to the other side first, then to the own disk in the same order: both work at the same
  time, and two that overlap end up the same.
- Reads come from the own disk. After this side has stood down, or its disk has failed, everything gets an error until
  the agent has taken the device away: what is here may be old.
- What an earlier activation left unanswered must not be carried out in a later one: the other server has written since.
  The epoch of the activation stands beside the socket of the device for that. Such a device gives errors for good.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.mirror import effects as fx
from agent.mirror.activity import EXTENT_BYTES
from agent.mirror.quick import GENERAL
from agent.mirror.writing import OnItsWay
from agent.mirrord import frames
from agent.mirrord.device import Device, Request
from agent.wire.epoch import Epoch

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

RETRY_S = 0.1
RENEW_S = 10.0  # until a holder that could not be started is tried again
CONNECT_S = 1.0
_AT_ONCE = 2  # pieces of one discard on their way


Connect = Callable[[str, float], Device]


class Zeroing:
    """A discard, in pieces of one extent at most: the log has not room for any number of them."""

    __slots__ = ("at", "failed", "going", "request", "stop")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.at = request.offset
        self.stop = request.offset + request.length
        self.going = 0
        self.failed = False


class Item:
    """What one number stands for. `of`: the discard whose piece it is."""

    __slots__ = ("data", "length", "of", "offset", "request")

    def __init__(
        self, request: Request, offset: int, length: int, data: memoryview | None, of: Zeroing | None = None
    ) -> None:
        self.request = request
        self.offset = offset
        self.length = length
        self.data = data
        self.of = of


class Serving:
    def __init__(self, engine: Engine, connect: Connect) -> None:
        self._engine = engine
        self._connect = connect
        self.device: Device | None = None
        self.going: dict[int, Item] = {}
        self.reading = 0
        self.refusing = False
        self.wanted = False
        self.leftover = False  # what waits is of an earlier activation
        self.trouble = ""
        self._seq = 0
        self._sent: list[tuple[OnItsWay, int, memoryview]] = []  # to the other side; the own disk is next
        self._renewing = False  # the holder of the device

    @property
    def idle(self) -> bool:
        return not self.going and not self.reading

    # ---- the device ----
    def open(self) -> None:
        """This side is active from now on."""
        self.refusing = False
        if not self.wanted:
            self.wanted = True
            self._try()

    def _try(self) -> None:
        """The agent may start the holder of the device after us."""
        if not self.wanted or self.device is not None:
            return
        engine = self._engine
        try:
            device = self._connect(engine.settings.holder, CONNECT_S)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.trouble = f"The device cannot be reached: {why}"
            engine.poller.after(RETRY_S, self._try)
            return
        self.trouble = ""
        self.device = device
        self.leftover = not self._same_activation()
        device.pause = self._pause
        engine.poller.watch(device.fd, self.readable)
        # The slots of an earlier process are no reason for the descriptor to be readable.
        self.readable()
        self.leftover = False
        if self.refusing:
            self.trouble = "The device is of an earlier activation, and still in use: it gives errors until it is gone."
            engine.note("error", self.trouble)

    def _same_activation(self) -> bool:
        """The epoch that is noted beside the device is the present one; it is from now on."""
        path, epoch = self._engine.settings.holder + ".epoch", self._engine.side.past.epoch
        now = f"{epoch.counter} {epoch.proposer}"
        with contextlib.suppress(OSError), open(path) as file:
            if file.read(64) == now:
                return True
        with open(path + ".new", "w") as file:
            file.write(now)
        os.replace(path + ".new", path)
        return False

    def tick(self) -> None:
        """Now and then: what a burst has used is given back."""
        device = self.device
        if device is None:
            return
        if self.idle:
            device.idle()
        if not self._renewing and device.holder_gone():
            self._renew(device)

    def _renew(self, device: Device) -> None:
        """Somebody has killed the holder. Without another one the end of this process would take the device away from
        those who use it."""
        engine = self._engine
        self._renewing = True
        engine.note("warning", "The holder of the device is gone: another one is started.")

        def again() -> None:
            self._renewing = False

        def then(_: None, error: BaseException | None) -> None:
            if error is None:
                again()
                return
            engine.note("error", f"No other holder of the device could be started: {error}")
            engine.poller.after(RENEW_S, again)

        engine.poller.work(lambda: device.renew_holder(engine.settings), then)

    def _pause(self, on: bool) -> None:
        """There is no room for more requests, or there is again."""
        device, poller = self.device, self._engine.poller
        if device is not None:
            if on:
                poller.unwatch(device.fd)
            else:
                poller.watch(device.fd, self.readable)

    def close(self) -> None:
        """The applications have let go."""
        self.wanted = self.refusing = False
        self.trouble = ""
        if self.device is not None:
            self._engine.poller.unwatch(self.device.fd)
            self.device.close()
            self.device = None
        self.going.clear()

    def refuse(self) -> None:
        """Nothing but errors from now on, also for what waits."""
        self.refusing = True
        for seq in list(self.going):
            self.fail(seq)

    # ---- requests ----
    def readable(self) -> None:
        device = self.device
        if device is None:
            return
        try:
            requests = device.requests()
        except OSError as error:
            self._lost(error)
            return
        if self.leftover and requests:
            self.refusing = True
        size = self._engine.size
        for request in requests:
            if self.refusing or request.offset + request.length > size:
                device.answer(request, errno.EIO)
            elif request.op == "write":
                self._write(request)
            elif request.op == "read":
                self._read(device, request)
            elif request.op == "flush":
                self._flush(request)
            else:
                self._write_sent()
                self._zero(device, request)
        self._write_sent()

    def _write(self, request: Request) -> None:
        """On the short way all of a turn go to the other side first: both disks work at the same time."""
        engine, offset, length, data = self._engine, request.offset, request.length, request.data
        self._seq = seq = self._seq + 1
        self.going[seq] = Item(request, offset, length, data)
        write = None if engine.carrying or engine.ended else engine.quick.write(seq, offset, length)
        if write is not None:
            assert data is not None
            engine.peer.send(frames.WRITE, seq, engine.side.past.epoch, offset, data)
            self._sent.append((write, offset, data))
        else:
            self._write_sent()
            engine.carry_out(engine.side.write(seq, offset, length))

    def _write_sent(self) -> None:
        if not self._sent:
            return
        engine, sent, self._sent = self._engine, self._sent, []
        engine.peer.link.flush()
        engine.last_write = engine.poller.now()
        disk, verifier, going = engine.disk, engine.verifier, self.going
        for write, offset, data in sent:
            seq = write.seq
            if seq not in going:
                continue  # The disk has refused one of these: all of them got errors.
            if verifier.running:
                verifier.writes(seq)
            if not disk.write_now(offset, data):
                disk.write(offset, data, self._done(seq))
            elif write.there:
                engine.written(seq, here=True)
            else:
                write.here = True

    def _done(self, seq: int) -> Callable[[OSError | None], None]:
        def done(error: OSError | None) -> None:
            if error is None:
                self._engine.written(seq, here=True)

        return done

    def _flush(self, request: Request) -> None:
        engine = self._engine
        self._write_sent()
        self._seq = seq = self._seq + 1
        self.going[seq] = Item(request, 0, 0, None)
        number = GENERAL if engine.carrying or engine.ended else engine.quick.flush(seq)
        if number == GENERAL:
            engine.carry_out(engine.side.flush(seq))
        else:
            engine.peer.send(frames.FLUSH_ASKED, number)
            engine.flush(number)

    def _lost(self, error: OSError) -> None:
        """The holder has given the device to somebody else, or it was aborted."""
        self.trouble = "The device of the mirror disk is gone: somebody has aborted or removed it."
        if self.device is not None:
            self._engine.poller.unwatch(self.device.fd)
            self.device.close()
            self.device = None
        self.going.clear()
        self._engine.note("warning", self.trouble)
        self._engine.poller.after(RETRY_S, self._try)

    def _read(self, device: Device, request: Request) -> None:
        room = device.room(request)
        self.reading += 1

        def done(error: OSError | None) -> None:
            self.reading -= 1
            if self.device is not device:
                return
            if error is not None or self.refusing:
                device.answer(request, errno.EIO)
            else:
                device.answer(request, data=room)
            if error is not None:
                self._engine.read_failed(request.offset, error)

        self._engine.disk.read(room, request.offset, done)

    def _zero(self, device: Device, request: Request) -> None:
        if request.op == "discard" and not self._engine.discards:
            # Only a hint: on one of the disks it would be nothing but a write of zeros.
            device.answer(request, errno.EOPNOTSUPP)
            return
        self._more(Zeroing(request))

    def _more(self, zeroing: Zeroing) -> None:
        engine = self._engine
        while zeroing.going < _AT_ONCE and zeroing.at < zeroing.stop and not zeroing.failed:
            offset = zeroing.at
            stop = min(zeroing.stop, offset // EXTENT_BYTES * EXTENT_BYTES + EXTENT_BYTES)
            zeroing.at = stop
            zeroing.going += 1
            self._seq = seq = self._seq + 1
            self.going[seq] = Item(zeroing.request, offset, stop - offset, None, zeroing)
            engine.carry_out(engine.side.write(seq, offset, stop - offset))

    # ---- what the mind wants ----
    def send(self, effect: fx.SendWrite) -> None:
        item = self.going.get(effect.seq)
        if item is None:
            return
        peer, epoch = self._engine.peer, self._engine.side.epoch
        if item.data is not None:
            peer.send_write(effect.seq, epoch, item.offset, item.data)
        else:
            peer.send_zero(effect.seq, epoch, item.offset, item.length)

    def write(self, effect: fx.Write) -> None:
        engine, seq = self._engine, effect.seq
        item = self.going.get(seq)
        if item is None:
            return

        if item.data is not None:
            engine.disk.write(item.offset, item.data, self._done(seq))
        else:
            engine.disk.zero(item.offset, item.length, self._done(seq))

    def acknowledge(self, seq: int) -> None:
        item = self.going.pop(seq, None)
        if item is None or self.device is None:
            return
        if item.of is None:
            self.device.answer(item.request)
            return
        item.of.going -= 1
        self._end_of_piece(item.of)

    def fail(self, seq: int) -> None:
        item = self.going.pop(seq, None)
        if item is None or self.device is None:
            return
        if item.of is None:
            self.device.answer(item.request, errno.EIO)
            return
        item.of.failed = True
        item.of.going -= 1
        self._end_of_piece(item.of)

    def _end_of_piece(self, zeroing: Zeroing) -> None:
        self._more(zeroing)
        if zeroing.going or self.device is None:
            return
        if zeroing.failed:
            self.device.answer(zeroing.request, errno.EIO)
        elif zeroing.at >= zeroing.stop:
            self.device.answer(zeroing.request)


def epoch_of(value: object) -> Epoch:
    """From JSON. ValueError: it is none."""
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value):
        return Epoch(value[0], value[1])
    raise ValueError(f"{value!r} is no epoch: two whole numbers are.")
