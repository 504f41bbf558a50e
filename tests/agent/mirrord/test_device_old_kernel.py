"""The device on the kernel of Debian 12, which writes to a FUSE file one after the other, in a computer of software."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.agent.drivers.guest import Guest, UnavailableError, cache_of

SCRIPT = Path(__file__).with_name("device_guest.py")
MODULES = (
    "ctypes", "concurrent.futures.thread", "encodings.ascii", "fcntl", "mmap", "msgspec.json", "os", "struct",
    "threading", "time", "traceback", "agent.mirrord.device", "agent.mirrord.holding", "tests.agent.mirrord.mini",
)  # fmt: skip
LIMIT_S = 280


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(LIMIT_S + 120)
def test_device_works_on_an_older_kernel(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cache = request.config.cache
    assert cache is not None
    try:
        guest = Guest(cache_of(cache.mkdir("kernel-fuse")), ("fuse.ko", "loop.ko"))
    except UnavailableError as error:
        pytest.skip(str(error))
    packages = str(Path(msgspec.__file__).parents[1])

    said = guest.run(SCRIPT, MODULES, tmp_path / "memory.gz", [packages], LIMIT_S)

    assert [line for line in said.splitlines() if line.split(" ")[0].isupper() and line[0].isalpha()] == [
        "DIRECT True",
        "SAME True",
        "LARGEST 1048576",
        "ASKED flush discard zero",
        "WAITING 128",
        "WRITTEN 4096",
        "LEFT None False",
    ], said
