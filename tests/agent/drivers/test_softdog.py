"""The real softdog of a real kernel, in a computer of software: it resets a server that nobody pets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.drivers.guest import Guest, UnavailableError, cache_of

SCRIPT = Path(__file__).with_name("softdog_guest.py")
MODULES = ("ctypes", "encodings.ascii", "os", "sys", "time", "agent.daemon.watchdog", "agent.drivers.watchdog")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(300)
def test_softdog_lets_live_who_pets_or_releases_it_and_resets_who_does_not(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    cache = request.config.cache
    assert cache is not None
    try:
        guest = Guest(cache_of(cache.mkdir("kernel")))
    except UnavailableError as error:
        pytest.skip(str(error))

    said = guest.run(SCRIPT, MODULES, tmp_path / "memory.gz")

    lines = [line for line in said.splitlines() if line.split(" ")[0].isupper() and line[0].isalpha()]
    assert lines == [
        "BEFORE ('', 'there is no softdog watchdog device; load the module (modprobe softdog)')",
        "DEVICE /dev/watchdog0",
        "OPENED Software Watchdog 2 True",
        "RELEASED True",
        "ALIVE",
        "KEEPER armed Software Watchdog, fires after 2 s",
        "HANG",  # The next word would have been NOT RESET.
    ], said
