"""The process of one mirror disk whose engine is DRBD: `python -m agent.drbdd.main SETTINGS.json`.

One process a mirror: a lock beside the control socket. Its end changes nothing in the kernel, unless it was told to
stop.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from typing import Any

from agent.drbdd.engine import Engine
from agent.drbdd.orders import order_of
from agent.drbdd.status import state
from agent.mirrord.control import Control
from agent.mirrord.poller import Poller
from agent.mirrord.settings import Settings, read

_THREADS = 1
_OOM_SCORE = "-900"


class Process:
    def __init__(self, settings: Settings, poller: Poller) -> None:
        self.engine = Engine(settings, poller, self._tell, self.note)
        self.engine.on_stop = poller.stop
        self.control = Control(
            poller, settings.control, settings.mirror, self.engine.take, lambda: state(self.engine), order_of
        )

    def _tell(self, message: dict[str, Any]) -> None:
        self.control.tell(message)

    def note(self, severity: str, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        print(f"{stamp} {severity} {text}", file=sys.stderr, flush=True)  # noqa: T201
        self.control.tell({"type": "note", "severity": severity, "text": text})


def _lock(settings: Settings) -> int:
    """Kept open until the end. OSError: another process of this mirror runs."""
    fd = os.open(settings.control + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _settle_in() -> None:
    """The kernel waits for this process: memory pressure must not end it."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
            file.write(_OOM_SCORE)
    except OSError as error:
        print(f"It may be ended when memory runs out: {error.strerror}.", file=sys.stderr)  # noqa: T201


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        print("usage: python -m agent.drbdd.main SETTINGS.json", file=sys.stderr)  # noqa: T201
        return 2
    try:
        settings = read(argv[1])
    except (OSError, ValueError) as error:
        print(f"{argv[1]} cannot be used: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        lock = _lock(settings)
    except OSError as error:
        print(f"Another process serves {settings.mirror}, or {settings.run}: {error}", file=sys.stderr)  # noqa: T201
        return 3
    _settle_in()
    poller = Poller(_THREADS)
    process = Process(settings, poller)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process.engine.start()
    poller.run()
    process.control.close()
    os.close(lock)
    sys.stderr.flush()
    os._exit(0)  # A command that hangs in the kernel must not keep the process.


if __name__ == "__main__":
    sys.exit(main(sys.argv))
