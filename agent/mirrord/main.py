"""The process of one mirror disk: `python -m agent.mirrord.main SETTINGS.json`.

Rules of this file
- One process a mirror: a lock beside the control socket, kept as long as it lives.
- Disks that cannot be used (missing, not made, too small) do not end the process: it says why at the control socket
  and looks again, since a disk may come late and people may mend it.
- SIGTERM ends it as orders do: an active side closes in good order when nothing is on its way, so that nothing has to
  be compared later. Otherwise it ends at once and answers nothing: the next process finds what waits.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from agent.drivers import kernel
from agent.mirrord import orders
from agent.mirrord.control import Control
from agent.mirrord.device import Device
from agent.mirrord.disk import DiskError
from agent.mirrord.engine import Engine
from agent.mirrord.link import Link
from agent.mirrord.orders import Op
from agent.mirrord.poller import Poller
from agent.mirrord.separation import RestoringError
from agent.mirrord.settings import Settings
from agent.mirrord.sole import claim

AGAIN_S = 2.0
END_S = 3.0  # for a good end
_LOOK_S = 0.02
_THREADS = 8
_NICE = -10
_OOM_SCORE = "-900"
_IO_FLUSHER = 57  # of prctl


class Process:
    """`make` gives the engine, or raises DiskError."""

    def __init__(self, settings: Settings, poller: Poller, make: Callable[[Process], Engine]) -> None:
        self.settings, self.poller = settings, poller
        self._make = make
        self.engine: Engine | None = None
        self.trouble = ""
        self.restoring_at = 0.0  # an operator writes a backup to the disk
        self._stopping = False
        self.control = Control(poller, settings.control, settings.mirror, self._take, self._state)

    # ---- what it says ----
    def note(self, severity: str, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        print(f"{stamp} {severity} {text}", file=sys.stderr, flush=True)  # noqa: T201
        self.control.tell({"type": "note", "severity": severity, "text": text})

    def _state(self) -> dict[str, Any]:
        if self.engine is not None:
            return self.engine.state()
        settings = self.settings
        return {
            "type": "state", "mirror": settings.mirror, "server": settings.server, "peer": settings.peer,
            "color": "RED" if self.trouble else "GRAY", "peer_color": "GRAY", "active": False, "peer_active": False,
            "mode": "off", "relation": "apart", "in_sync": False, "constructed": False, "doubt": self.trouble,
            "error": self.trouble, "restoring_at": self.restoring_at,
        }  # fmt: skip

    # ---- the disks ----
    def begin(self) -> None:
        """As soon as they can be used."""
        if self._stopping:
            return
        try:
            self.engine = self._make(self)
        except DiskError as error:
            self.restoring_at = error.since if isinstance(error, RestoringError) else 0.0
            if self.trouble != str(error):
                self.trouble = str(error)
                self.note("error", self.trouble)
                self.control.tell(self._state())
            self.poller.after(AGAIN_S, self.begin)
            return
        self.trouble = ""
        self.engine.orders.on_stop = self.stop
        self.engine.start()
        gc.collect()
        gc.freeze()

    # ---- orders ----
    def _take(self, order: Op) -> None:
        if isinstance(order, orders.Stop):
            self.control.tell({"type": "done", "id": order.id})
            self.stop()
        elif self.engine is not None:
            self.engine.orders.take(order)
        elif isinstance(order, orders.Outdate):
            # Never active in this state, and not without the other side after it: the answer can always be yes.
            self.control.tell({"type": "told", "generation": order.generation})
        elif isinstance(order, orders.Deactivate):
            self.control.tell({"type": "deactivated", "id": order.id})
        elif isinstance(order, orders.Activate):
            self.control.tell({"type": "refused", "id": order.id, "why": self.trouble})
        elif not isinstance(order, orders.View | orders.Outdated | orders.Pace | orders.VerifyStop):
            self.control.tell({"type": "failed", "id": order.id, "why": self.trouble})

    # ---- the end ----
    def stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        engine = self.engine
        if engine is None:
            self.poller.stop()
            return
        engine.note_times()
        if engine.active and engine.serving.idle and engine.side.mode != "stalled":
            engine.carry_out(engine.side.deactivate())
        elif engine.active:
            self.poller.stop()
            return
        deadline = self.poller.now() + END_S

        def look() -> None:
            rests = not engine.active and engine.at_rest
            if rests or self.poller.now() >= deadline:
                self.poller.stop()
            else:
                self.poller.after(_LOOK_S, look)

        look()


def _engine(process: Process) -> Engine:
    return Engine(
        process.settings, process.poller, process.control.tell, process.note, make_link=Link, connect=Device.connect
    )


def _settle_in(settings: Settings) -> list[str]:
    """What went wrong, in sentences: without root, for a trial, all of it may."""
    libc = ctypes.CDLL(None, use_errno=True)
    wrong = []
    for path, value in (
        ("/proc/self/comm", f"clp-mirror-{settings.mirror}"[:15]), ("/proc/self/oom_score_adj", _OOM_SCORE),
    ):  # fmt: skip
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(value)
        except OSError as error:
            wrong.append(f"{path} cannot be set: {error.strerror}.")
    # Memory that this process asks for must not be freed by writing to its own device.
    if libc.prctl(_IO_FLUSHER, 1, 0, 0, 0):
        wrong.append(f"It cannot be made an I/O flusher: {os.strerror(ctypes.get_errno())}.")
    if why := kernel.lock_memory():
        wrong.append(f"Its memory cannot be locked: {why}.")
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except OSError as refused:
        wrong.append(f"Its priority cannot be raised: {refused.strerror}.")
    return wrong


def _on_signals(poller: Poller, stop: Callable[[], None]) -> None:
    """A handler alone would not end the wait of the poller."""
    wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def heard() -> None:
        os.eventfd_read(wake)
        stop()

    poller.watch(wake, heard)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.eventfd_write(wake, 1))
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def main(argv: list[str]) -> int:
    settings, lock = claim(argv, "agent.mirrord.main")
    kernel.one_arena()
    poller = Poller(_THREADS)
    process = Process(settings, poller, _engine)
    _on_signals(poller, process.stop)
    for text in _settle_in(settings):
        process.note("info", text)
    process.begin()
    poller.run()
    process.control.close()
    with contextlib.suppress(OSError):
        os.close(lock)
    # Threads that wait for a disk that hangs must not keep the process.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
