"""The other side, as the process meets it: hello and size, frames that come and go, facts for people.

Rules of this file
- `connection` changes whenever what was said before does not hold any more; whoever waited for a thread compares it.
- Two sides without data agree on the smaller of their disks. Afterwards the size stays: a disk that is too small for it
  is refused, one that is larger is not used to its end.
- A file system is made for blocks of 512 or of 4096 bytes: two disks that differ in that are refused.
- A frame that makes no sense ends the connection: nothing after it could be trusted to be in order.
- Data is applied only as the mind allows at that moment (`takes`), in the order of the link. What comes before the mind
  has acted on the hello (a save may be on its way) waits: else it would be taken for writes of an older activation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.mirror import effects as fx
from agent.mirrord import frames
from agent.mirrord.disk import Buffer
from agent.mirrord.frames import Facts, Said
from agent.mirrord.paced import Paced
from agent.mirrord.poller import Poller
from agent.mirrord.sealing import Frame
from agent.mirrord.settings import Settings
from agent.wire.epoch import NO_EPOCH, Epoch

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

FACTS_S = 1.0
MOST_EARLY = 32 << 20  # bytes that wait for the mind
MOST_IN_A_ROW = 65_536  # writes that one frame confirms


class Link(Protocol):
    @property
    def connected(self) -> bool: ...
    @property
    def queued(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def drop(self, why: str) -> None: ...
    def flush(self) -> None: ...
    def send(
        self,
        kind: int,
        seq: int = 0,
        epoch: tuple[int, int] = (0, 0),
        offset: int = 0,
        payload: Buffer = b"",
        spare: int = 0,
    ) -> None: ...
    def figures(self) -> dict[str, object]: ...


class MakeLink(Protocol):
    def __call__(
        self,
        poller: Poller,
        settings: Settings,
        *,
        hello: Callable[[], bytes],
        up: Callable[[bytes, bytes], None],
        down: Callable[[str], None],
        frame: Callable[[Frame], None],
        note: Callable[[str, str], None],
    ) -> Link: ...


class Peer:
    def __init__(self, engine: Engine, make_link: MakeLink) -> None:
        self._engine = engine
        self.connection = 0
        self.theirs: Said | None = None  # while connected
        self.unfit = ""  # why the two cannot be a mirror, a sentence
        self.facts: Facts | None = None  # the newest that were heard
        self.facts_at = 0.0
        self.since = 0.0  # connected, or not connected
        self.last_down = ""
        self._make_link = make_link
        self._new_link()
        self._parted = True  # the side knows that there is no connection
        self._dropping = False  # by our own wish
        self._told = b""
        self.early: list[Frame] = []
        self._early_bytes = 0
        self._first = self._last = 0  # of the writes that this disk has, and of which the other side is not told yet
        self._epoch = NO_EPOCH  # of the newest write
        self._hear: dict[int, Callable[[Frame], None]] = {
            frames.WRITE: self._write,
            frames.ZERO: self._zero,
            frames.GRAIN: self._grain,
            frames.GRAIN_OF_ZEROS: self._grain,
            frames.WRITTEN: self._written,
            frames.FLUSH_ASKED: self._flush_asked,
            frames.FLUSH_DONE: self._flush_done,
            frames.WORD: self._word,
            frames.FACTS: self._facts,
            frames.TAKEN: self._taken,
            frames.VERIFY: self._verify,
            frames.VERIFIED: self._verified,
            frames.VERIFY_ORDER: self._verify_order,
        }

    @property
    def connected(self) -> bool:
        return self.theirs is not None

    @property
    def queued(self) -> int:
        return self.link.queued

    def _new_link(self) -> None:
        engine = self._engine
        self.link = self._make_link(
            engine.poller, engine.settings, hello=self._hello, up=self._up, down=self._down, frame=self._frame,
            note=engine.note,
        )  # fmt: skip
        settings = engine.settings
        limited = settings.asynchronous and settings.limit_bytes_s
        self._paced = Paced(engine.poller, self.link, settings.limit_bytes_s) if limited else None
        self.send = self._paced.send if self._paced is not None else self.link.send
        self._stopped = False

    def start(self) -> None:
        self.since = time.time()
        if self._stopped:
            self._new_link()
        self.link.start()

    def stop(self, why: str) -> None:
        """A link that was stopped stays so."""
        self._stopped = True
        self.link.stop()
        self._down(why)

    def drop(self, why: str) -> None:
        """The mind knows already, or learns it from `down`; the link says goodbye to what was on its way."""
        self._forget()
        self._dropping = True
        self.link.drop(why)

    # ---- hello ----
    def _hello(self) -> bytes:
        engine = self._engine
        return frames.said_bytes(
            Said(hello=engine.side.hello(), size=engine.size, room=engine.disk.size, grain=engine.grain,
                 discards=engine.disk.discards, block=engine.block)
        )  # fmt: skip

    def _up(self, mine: bytes, theirs: bytes) -> None:
        self.connection += 1
        self.since = time.time()
        self._told = b""
        try:
            said, heard = frames.said_of(mine), frames.said_of(theirs)
        except ValueError as error:
            self._is_unfit(f"The hello of {self._engine.settings.peer} cannot be read ({error}): another version?")
            return
        self.theirs = heard
        unfit = self._judge(said, heard)
        if unfit:
            self._is_unfit(unfit)
            return
        self.unfit = ""
        if (said.size, said.grain) != (heard.size, heard.grain):
            return  # Agreed: whoever has no data takes the other one's size, and says hello anew.
        self._parted = False
        engine = self._engine
        engine.note("info", f"Connected with {engine.settings.peer}.")
        engine.carry_out(engine.side.met(said.hello, heard.hello))
        engine.changed()

    def _is_unfit(self, why: str) -> None:
        if why != self.unfit:
            self._engine.note("error", why)
        self.unfit = why
        self._engine.changed()

    def _judge(self, said: Said, heard: Said) -> str:
        """Makes this side's disk fit when it has no data yet. A sentence: it cannot fit."""
        engine, peer = self._engine, self._engine.settings.peer
        if heard.version != said.version:
            return f"{peer} speaks version {heard.version} of the mirror, this server version {said.version}."
        if said.block and heard.block and said.block != heard.block:
            return (
                f"The data partition of this server has blocks of {said.block} bytes, that of {peer} of {heard.block}: "
                "what is made on the one could not be mounted on the other. Use disks with the same size of blocks."
            )
        if (said.size, said.grain) == (heard.size, heard.grain):
            return ""
        mine, other = bool(said.hello.past.current), bool(heard.hello.past.current)
        if mine and other:
            return (
                f"The mirror disk has {said.size} bytes in grains of {said.grain} here, {heard.size} bytes in grains "
                f"of {heard.grain} on {peer}: they are not a pair."
            )
        size, grain = (said.size, said.grain) if mine else (heard.size, heard.grain)
        if not mine and not other:
            size, grain = min((said.size, said.grain), (heard.size, heard.grain))
        if heard.room < size:
            return f"The data partition of {peer} is too small: {heard.room} bytes; the mirror disk has {size}."
        if said.room < size or not engine.partition.holds(size, grain):
            return f"The partitions of this server are too small: the mirror disk of {peer} has {size} bytes."
        if (size, grain) != (said.size, said.grain):
            engine.take_size(size, grain)
        return ""

    def _forget(self) -> None:
        self.connection += 1
        self._first = self._last = 0
        self.early, self._early_bytes = [], 0
        if self._paced is not None:
            self._paced.clear()
        self._engine.copier.stop()

    def _down(self, why: str) -> None:
        self._forget()
        was, self.theirs = self.connected, None
        engine = self._engine
        engine.verifier.parted()
        if was:
            self.since, self.last_down = time.time(), why
            engine.note("info" if self._dropping else "warning", f"Not connected with {engine.settings.peer}: {why}")
        self._parted, self._dropping = True, False
        engine.carry_out(engine.side.unlinked())
        engine.note_times()
        engine.changed()

    # ---- sending ----
    def send_write(self, seq: int, epoch: Epoch, offset: int, data: Buffer) -> None:
        self.send(frames.WRITE, seq, epoch, offset, data)

    def send_zero(self, seq: int, epoch: Epoch, offset: int, length: int) -> None:
        self.send(frames.ZERO, seq, epoch, offset, spare=length)

    def send_grain(self, seq: int, epoch: Epoch, offset: int, data: bytearray) -> None:
        if data[0] == 0 and data[-1] == 0 and not any(data[:: len(data) // 16 or 1]) and data == bytes(len(data)):
            self.send(frames.GRAIN_OF_ZEROS, seq, epoch, offset, spare=len(data))
        else:
            self.send(frames.GRAIN, seq, epoch, offset, data)

    def say(self, effect: fx.Send) -> None:
        word = effect.word
        if isinstance(word, fx.FlushAsked):
            self.send(frames.FLUSH_ASKED, word.number)
        else:
            self.send(frames.WORD, 0, NO_EPOCH, 0, frames.word_bytes(word))

    def tell_facts(self, facts: Facts) -> None:
        """When they are new."""
        if self.connected and (data := frames.facts_bytes(facts)) != self._told:
            self._told = data
            self.send(frames.FACTS, 0, NO_EPOCH, 0, data)

    # ---- hearing ----
    def _frame(self, frame: Frame) -> None:
        if self._parted:
            return  # Before both have met, or after the mind has ended it.
        if self.early or self._engine.side.meeting is None:
            self._wait(frame)
        else:
            self._act(frame)

    def _wait(self, frame: Frame) -> None:
        self.early.append(frame._replace(payload=memoryview(bytes(frame.payload))))
        self._early_bytes += len(frame.payload)
        if self._early_bytes > MOST_EARLY:
            self.drop("too much came before the hello could be acted on")

    def go_on(self) -> None:
        """The mind has acted on the hello."""
        early, self.early, self._early_bytes = self.early, [], 0
        connection = self.connection
        for frame in early:
            if connection == self.connection:
                self._act(frame)

    def _act(self, frame: Frame) -> None:
        hear = self._hear.get(frame.kind)
        try:
            if hear is None:
                raise ValueError(f"kind {frame.kind}")
            hear(frame)
        except (ValueError, msgspec.DecodeError) as error:
            self._engine.note("error", f"{self._engine.settings.peer} sent what makes no sense: {error}.")
            self.drop(f"a frame made no sense: {error}")

    def _place(self, offset: int, length: int) -> None:
        if not 0 <= offset <= offset + length <= self._engine.size:
            raise ValueError(f"{length} bytes at {offset} are not on the disk")

    def _write(self, frame: Frame) -> None:
        engine = self._engine
        _, seq, epoch, offset, data, _ = frame
        self._place(offset, len(data))
        if self._epoch != epoch:
            self._epoch = Epoch(*epoch)
        if not engine.side.takes(self._epoch):
            engine.carry_out(engine.side.refuse(self._epoch))
        elif engine.disk.write_now(offset, data):
            engine.updated()
            self._has(seq)
        else:
            engine.disk.write(offset, data, self._applied(seq))

    def _zero(self, frame: Frame) -> None:
        engine = self._engine
        self._place(frame.offset, frame.spare)
        if not engine.side.takes(Epoch(*frame.epoch)):
            engine.carry_out(engine.side.refuse(Epoch(*frame.epoch)))
            return
        engine.disk.zero(frame.offset, frame.spare, self._applied(frame.seq))

    def _applied(self, seq: int) -> Callable[[OSError | None], None]:
        connection, engine = self.connection, self._engine

        def done(error: OSError | None) -> None:
            engine.updated()
            if error is None and connection == self.connection:
                self._has(seq)

        return done

    def _has(self, seq: int) -> None:
        """Told at the end of the turn, those with numbers in a row as one."""
        if not self._last:
            self._engine.poller.at_end(self._tell_written)
        elif seq == self._last + 1:
            self._last = seq
            return
        else:
            self._tell_written()
        self._first = self._last = seq

    def _tell_written(self) -> None:
        if self._last:
            self.send(frames.WRITTEN, self._last, spare=self._last - self._first)
        self._first = self._last = 0

    def _grain(self, frame: Frame) -> None:
        engine = self._engine
        length = frame.spare or len(frame.payload)
        self._place(frame.offset, length)
        if not engine.side.takes(Epoch(*frame.epoch)):
            engine.carry_out(engine.side.refuse(Epoch(*frame.epoch)))
            return
        connection, seq = self.connection, frame.seq

        def done(error: OSError | None) -> None:
            if error is None and connection == self.connection:
                self.send(frames.TAKEN, seq)

        if frame.kind == frames.GRAIN:
            engine.disk.write(frame.offset, frame.payload, done)
        else:
            engine.disk.zero(frame.offset, length, done)

    def _taken(self, frame: Frame) -> None:
        self._engine.copier.taken(frame.seq)

    def _written(self, frame: Frame) -> None:
        if frame.spare > MOST_IN_A_ROW:
            raise ValueError(f"{frame.spare} writes at once")
        for seq in range(frame.seq - frame.spare, frame.seq + 1):
            self._engine.written(seq, here=False)

    def _flush_asked(self, frame: Frame) -> None:
        connection, seq = self.connection, frame.seq

        def done(error: OSError | None) -> None:
            if error is None and connection == self.connection:
                self._tell_written()
                self.send(frames.FLUSH_DONE, seq)

        self._engine.disk.flush(done)

    def _flush_done(self, frame: Frame) -> None:
        self._engine.flushed(frame.seq, here=False)

    def _word(self, frame: Frame) -> None:
        word = frames.word_of(frame.payload)
        self._engine.carry_out(self._engine.side.heard(word))
        self._engine.changed()

    def _facts(self, frame: Frame) -> None:
        self.facts, self.facts_at = frames.facts_of(frame.payload), time.time()
        self._engine.behind.heard(self.facts.complete_at)
        self._engine.changed()

    def _verify(self, frame: Frame) -> None:
        self._place(frame.offset, frame.spare)
        self._engine.verifier.answer(frame.seq, frame.offset, frame.spare)

    def _verified(self, frame: Frame) -> None:
        self._engine.verifier.heard(frame.seq, bytes(frame.payload))

    def _verify_order(self, frame: Frame) -> None:
        self._engine.verifier.ordered_by_peer(frame.spare)
