"""Fixtures of all tests: where the real configuration files are, and the bed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.manager import environment as environment
from tests.manager import fleet as fleet
from tests.manager import manager as manager
from tests.manager import people as people
from tests.manager import second as second
from tests.manager import workers as workers
from webmanager.demo.bed import Bed

ROOT = Path(__file__).resolve().parent.parent
BROWSER_MS = 30_000


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("OPENCLP_CLPCONF", str(ROOT.parent / "shared" / "clpconf"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("root")]
    if marked and (reason := _why_not_root()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """`expect` waits longer than its 5 s, which a busy machine takes for one page; nobody waits where all is well."""
    for name in ("playwright.sync_api", "playwright.async_api"):
        if name in sys.modules:
            sys.modules[name].expect.set_options(timeout=BROWSER_MS)


def _why_not_root() -> str:
    """bin/test starts these tests inside a user namespace when it is not root; a bare pytest does not."""
    if os.geteuid() != 0:
        return "needs namespaces: run bin/test, or pytest as root"
    if not shutil.which("unshare"):
        return "needs unshare: apt-get install util-linux"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, timeout=20)
    return "" if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()}"


@pytest.fixture(scope="session")
def clpconf() -> Path:
    """Directory of real clp.conf files (OPENCLP_CLPCONF)."""
    directory = Path(os.environ["OPENCLP_CLPCONF"])
    if not directory.is_dir():
        pytest.skip(f"no real clp.conf files in {directory}; name their directory with OPENCLP_CLPCONF")
    return directory


@pytest.fixture
def bed() -> Iterator[Bed]:
    """Three servers on ic1, ic2 and pub, a client on pub; mark the test `root`."""
    with Bed() as it:
        yield it
