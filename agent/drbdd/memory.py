"""What the next process of a mirror disk has to know of this one, in a file of the run directory. For one boot."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from agent.drivers.files import read_limited, write_atomic
from agent.mirrord.settings import Settings
from agent.wire.epoch import NO_EPOCH, Epoch

_BYTES = 64 << 10


class Memory(msgspec.Struct, kw_only=True):
    boot: str = ""  # a machine that was off remembers nothing: its disk says what holds
    epoch: tuple[int, int] = (0, 0)  # of the newest activation known here; nothing older is obeyed
    active: bool = False  # this side was promoted by an order of `epoch`
    by_hand: bool = False
    isolated: bool = False  # by the operator
    discards: bool = False  # the operator has given this side's own changes up
    parted: str = ""  # why both sides cannot be joined by themselves; "" they can
    broken_at: float = 0.0
    last_equal: float = 0.0
    verified_at: float = 0.0
    differing: int = 0

    @property
    def newest(self) -> Epoch:
        return Epoch(*self.epoch)


def place_of(settings: Settings) -> str:
    return os.path.join(settings.run, f"mirror-{settings.mirror}.drbd")


def remembered(settings: Settings) -> Memory:
    with contextlib.suppress(OSError, ValueError):
        found = msgspec.json.decode(read_limited(Path(place_of(settings)), _BYTES) or b"", type=Memory)
        if found.boot == settings.boot:
            return found
    return Memory(boot=settings.boot, epoch=(NO_EPOCH[0], NO_EPOCH[1]))


def keep(settings: Settings, memory: Memory) -> None:
    write_atomic(Path(place_of(settings)), msgspec.json.encode(memory), durable=False, mode=0o600)
