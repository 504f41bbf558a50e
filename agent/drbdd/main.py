"""The process of one mirror disk whose engine is DRBD: `python -m agent.drbdd.main SETTINGS.json`.

One process a mirror: a lock beside the control socket. Its end changes nothing in the kernel, unless it was told to
stop.
"""

from __future__ import annotations

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
from agent.mirrord.settings import Settings
from agent.mirrord.sole import claim

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


def _settle_in() -> None:
    """The kernel waits for this process: memory pressure must not end it."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
            file.write(_OOM_SCORE)
    except OSError as error:
        print(f"It may be ended when memory runs out: {error.strerror}.", file=sys.stderr)  # noqa: T201


def main(argv: list[str]) -> int:
    settings, lock = claim(argv, "agent.drbdd.main")
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
