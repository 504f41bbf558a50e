"""The first daemon of a clpd, forked with the reader of clp.conf: it waits for clpd, and ends with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.paths import Paths
from tests.agent.daemon.heartbeat_lans import ROOT
from webmanager.demo.configuration import Plan, clp_conf

pytestmark = pytest.mark.slow
OWN = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}.7"
CLPD = """
import json, os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from agent.daemon import supervisor
exec(sys.argv[2])
sys.exit(supervisor.main())
"""
# In the place of the daemon's program: tells what it finds, then has the service ended.
DAEMON = """
def stand_in():
    home = os.environ["OPENCLP_STATE"]
    pets = int(os.environ["OPENCLP_PET_FD"])
    os.write(pets, b".")
    maps = open("/proc/self/maps").read()
    with open(home + "/daemon", "w") as file:
        json.dump({"xml": "lxml" in maps, "argv": open("/proc/self/cmdline").read().split("\\0")[:3],
                   "running": os.path.exists(home + "/running.json"), "cause": os.environ["OPENCLP_RESTART_CAUSE"],
                   "incarnation": os.environ["OPENCLP_INCARNATION"], "parent": os.getppid(),
                   "asyncio": "asyncio" in sys.modules, "pythonpath": os.environ["PYTHONPATH"].split(":")[0],
                   "fds": {fd: os.readlink("/proc/self/fd/" + fd).split(":")[0] for fd in "345"}}, file)
    os.kill(os.getppid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()

class Finder:  # As soon as it has been imported.
    def find_spec(self, name, path, target=None):
        if name != "agent.daemon.main":
            return None
        import importlib.machinery, types
        return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec): return None
    def exec_module(self, module): module.main = stand_in
sys.meta_path.insert(0, Finder())
"""
CRASH = """
from agent.daemon import fork, first
before = first._read
def crash(parent):
    os.kill(os.getpid(), signal.SIGSEGV)
first._read = crash
"""
# The daemon's program cannot be imported; the one that is executed in its place has the service ended.
BROKEN = """
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "agent.daemon.main":
            raise ImportError("half an installation")
sys.meta_path.insert(0, Finder())
program = "import os, signal; os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
supervisor.DAEMON = (sys.executable, "-c", program)
"""


class Clpd:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.places = Paths(*(str(home / name) for name in ("etc", "state", "run", "log")))
        self.places.make()
        Path(self.places.key).write_text("a cluster key for the tests\n")
        Path(self.places.key).chmod(0o600)
        self.configure("server1", clp_conf(Plan({"server1": (OWN,)}, ())))

    def configure(self, me: str, config: bytes) -> None:
        Path(self.places.server).write_text(f"{me}\n")
        Path(self.places.config).write_bytes(config)

    def run(self, change: str = "") -> tuple[int, str]:
        """To its end; `change` is carried out in it first."""
        places = {f"OPENCLP_{name.upper()}": value for name, value in self.places._asdict().items()}
        process = subprocess.run(
            [sys.executable, "-c", CLPD, ROOT, change], env={**os.environ, **places}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        return process.returncode, process.stdout

    def found(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "state" / "daemon").read_text()))


@pytest.fixture
def clpd(tmp_path: Path) -> Clpd:
    return Clpd(tmp_path)


def test_first_daemon_has_what_it_needs_and_not_the_xml_library(clpd: Clpd) -> None:
    code, text = clpd.run(DAEMON)

    found = clpd.found()
    log = Path(clpd.places.supervisor_log).read_text()
    assert (code, found["xml"], found["running"], found["cause"]) == (0, False, True, ""), text
    assert found["argv"] == [sys.executable, "-m", "agent.daemon.main"]
    assert found["fds"]["4"] == clpd.places.lock
    assert (found["fds"]["3"], found["fds"]["5"].split()[0]) == ("pipe", "/memfd")
    assert found["pythonpath"] == ROOT
    assert f"incarnation {found['incarnation']}." in log
    assert log.count("Daemon started") == 1


@pytest.mark.parametrize(
    ("me", "config", "said"),
    [
        ("server1", b"<root>", "clp.conf cannot be used:\n"),
        ("other", clp_conf(Plan({"server1": (OWN,)}, ())), "This server is other, but "),
    ],
)
def test_bad_configuration_is_said_once_and_no_daemon_begins(clpd: Clpd, me: str, config: bytes, said: str) -> None:
    clpd.configure(me, config)

    code, text = clpd.run()
    again, _ = clpd.run()  # Somebody who was left over would hold the lock: 75.

    assert (code, again, text.count(said), text.count("clpd:")) == (78, 78, 1, 1), text
    assert not list(Path(clpd.places.log).glob("agent.log"))


def test_reader_that_crashes_hurts_nobody_else(clpd: Clpd) -> None:
    code, text = clpd.run(CRASH)

    assert code == 78
    assert "clp.conf cannot be used" in text
    assert "Traceback" not in text


def test_first_daemon_that_cannot_begin_is_replaced_like_any_other(clpd: Clpd) -> None:
    code, text = clpd.run(BROKEN)

    log = Path(clpd.places.supervisor_log).read_text()
    assert code == 0, text
    assert "ImportError: half an installation" in text
    assert "The daemon ended with code 1." in log
    assert log.count("Daemon started") == 2
