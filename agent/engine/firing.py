"""When a watchdog device resets a server that hangs (daemon/watchdog.py has the arithmetic)."""

from __future__ import annotations

FIRES = 0.6  # of the heartbeat timeout, after the last pet
PETS = 6  # in the time in which it would fire


def fires_after_s(timeout_s: float) -> int:
    """Devices count whole seconds."""
    return max(1, int(FIRES * timeout_s))
