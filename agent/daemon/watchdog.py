"""Keeps a watchdog device in the heartbeat child, so that a server whose child dies or hangs is reset as well.

The arithmetic. Others take over no sooner than one heartbeat timeout T after the newest beat of ours that a majority
has confirmed. The device is petted while that beat is younger than 0.35 T (or while nothing is held, or where there is
no lease) and fires at most 0.6 T after the last pet, so at 0.95 T. The child itself resets the machine at 0.9 T
(heartbeat.py); the device is for a child that cannot.

It runs from the first "online" until the service has stopped and while the operator has not disarmed it. Standard
library only.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.drivers.watchdog import Watchdog
from agent.engine.firing import PETS, fires_after_s

PET = 0.35  # of the heartbeat timeout: petted while the newest confirmed beat is younger
_RETRY_S = 5.0
_AT_REST = ("stopped", "released")


class WatchdogKeeper:
    """`state` and `detail` as told by `tell` at each change: none, armed or released."""

    def __init__(self, path: str, why_none: str, timeout_s: float, tell: Callable[[str, str], None]) -> None:
        self._device = Watchdog(path, fires_after_s(timeout_s)) if path else None
        self._longest_s = timeout_s * (1 - PET)
        self._tell = tell
        self._next_pet = 0.0
        self._next_try = 0.0
        self.state = "none"
        self.detail = why_none

    def turn(self, now: float, service: str, *, armed: bool, healthy: bool) -> None:
        """Each turn of the child. `healthy`: nobody may take over what is held here within the next moments."""
        device = self._device
        if device is None:
            return
        wanted = armed and service not in _AT_REST
        if wanted and not device.runs and now >= self._next_try:
            self._open(device, now)
        elif not wanted and device.runs:
            self.release()
        elif device.runs and healthy and now >= self._next_pet:
            self._pet(device, now)

    def release(self) -> None:
        """What runs here is stopped, or the operator wants it so."""
        if self._device is None or not self._device.runs:
            return
        stopped = self._device.release()
        why = "" if stopped else "the device cannot be stopped (nowayout) and will reset this server"
        self._become("released" if stopped else "armed", why)

    def told(self) -> None:
        """Somebody new listens."""
        self._tell(self.state, self.detail)

    def _open(self, device: Watchdog, now: float) -> None:
        self._next_try = now + _RETRY_S
        try:
            device.open()
        except OSError as error:
            self._become("none", f"{device.path} cannot be used: {error.strerror}")
            return
        self._next_pet = now + device.timeout_s / PETS
        what = f"{device.identity or device.path}, fires after {device.timeout_s} s"
        if device.timeout_s > self._longest_s:
            what += "; that is too late for this heartbeat timeout when the heartbeat process hangs"
        self._become("armed", what)

    def _pet(self, device: Watchdog, now: float) -> None:
        self._next_pet = now + device.timeout_s / PETS
        try:
            device.pet()
        except OSError as error:
            self._become("none", f"{device.path} does not take a pet: {error.strerror}")

    def _become(self, state: str, detail: str) -> None:
        if (state, detail) != (self.state, self.detail):
            self.state, self.detail = state, detail
            self._tell(state, detail)
