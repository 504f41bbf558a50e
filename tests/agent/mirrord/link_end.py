"""One end of a link as a process of its own, which a test can cut off, stop and kill.

Standard input: {"pump": BYTES} sends numbered frames of this size as long as little is queued, {"pump": 0} ends that;
{"tell": true} prints its figures. Standard output: one JSON object for each event.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgspec

from agent.mirrord.frames import WORD, WRITE
from agent.mirrord.link import Link
from agent.mirrord.poller import Poller
from agent.mirrord.sealing import Frame
from agent.mirrord.settings import Settings

MARK = 1 << 20


class End:
    def __init__(self, settings: Settings) -> None:
        self.poller = Poller(threads=0)
        self.link = Link(self.poller, settings, hello=self.hello, up=self.up, down=self.down, frame=self.frame,
                         note=lambda severity, text: self.say(note=text), steady_s=0.05)  # fmt: skip
        self.size = self.sent = self.got = self.answered = 0
        self.input = b""

    def run(self) -> None:
        os.set_blocking(0, False)
        self.poller.watch(0, self.ordered)
        self.link.start()
        while True:
            self.poller.turn(0.05)
            self.pump()

    def say(self, **event: Any) -> None:
        print(json.dumps(event), flush=True)

    def ordered(self) -> None:
        data = os.read(0, 65536)
        if not data:
            sys.exit(0)
        *lines, self.input = (self.input + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            self.size = order.get("pump", self.size)
            if "tell" in order:
                self.tell()

    def tell(self) -> None:
        with open("/proc/self/status") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        self.say(tell=self.link.figures(), sent=self.sent, got=self.got, answered=self.answered, memory_kb=memory)

    def pump(self) -> None:
        while self.size and self.link.connected and self.link.queued < MARK:
            self.sent += 1
            self.link.send(WRITE, self.sent, payload=self.sent.to_bytes(8) * (self.size // 8))

    def hello(self) -> bytes:
        return b"hello"

    def up(self, mine: bytes, theirs: bytes) -> None:
        assert (mine, theirs) == (b"hello", b"hello")
        self.sent = self.got = self.answered = 0
        self.say(up=self.link.figures()["path"])

    def down(self, why: str) -> None:
        self.say(down=why)

    def frame(self, frame: Frame) -> None:
        if frame.kind == WORD:
            self.answered = frame.seq
            return
        assert frame.seq == self.got + 1, f"{frame.seq} after {self.got}"
        assert frame.payload[-8:] == frame.seq.to_bytes(8)
        self.got = frame.seq
        self.link.send(WORD, frame.seq)


if __name__ == "__main__":
    End(msgspec.json.decode(sys.argv[1], type=Settings)).run()
