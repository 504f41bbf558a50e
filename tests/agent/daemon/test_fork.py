"""A process that is forked instead of executed is as clean as one that was executed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.agent.daemon.heartbeat_lans import ROOT

HEAD = """
import json, os, signal, socket, sys
sys.path.insert(0, sys.argv[1])
from agent.daemon import fork
"""
FORKED = (
    HEAD
    + """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: None)
ours, theirs = socket.socketpair()
wake, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
signal.set_wakeup_fd(write)
secret = open(os.devnull)
read, out = os.pipe()
sys.path.insert(0, "/elsewhere")

def look():
    print(json.dumps({
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
        "hup": signal.getsignal(signal.SIGHUP), "term": signal.getsignal(signal.SIGTERM),
        "int": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "wakeup": signal.set_wakeup_fd(-1), "environ": dict(os.environ), "places": sys.path,
        "words": open("/proc/self/cmdline").read().rstrip("\\0").split("\\0"), "leader": os.getpgid(0) == os.getpid(),
        "said": os.read(0, 100).decode(), "parent": os.getppid(),
    }), file=os.fdopen(5, "w"), flush=True)
    sys.exit(7)

given, said = os.pipe()
os.write(said, b"settings")
os.close(said)
name = ("/usr/bin/python", "-m", "agent.daemon.main")
pid = fork.fork(name, look, {"ONLY": "this"}, {0: given, 5: out}, root=sys.argv[1])
os.close(out)
found = os.fdopen(read).read()
_, status = os.waitpid(pid, 0)
print(json.dumps({**json.loads(found), "code": os.waitstatus_to_exitcode(status), "supervisor": os.getpid(),
                  "kept": [ours.fileno() > 0, signal.getsignal(signal.SIGHUP), os.environ.get("ONLY")]}))
"""
)
FAILING = (
    HEAD
    + """
def fail():
    raise ValueError("no such thing")
pid = fork.fork(("python",), fail, {}, {}, root=sys.argv[1])
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
)
DYING = (
    HEAD
    + """
def live():
    os.write(5, b"x")
    signal.pause()
read, write = os.pipe()
middle = os.fork()
if middle == 0:
    fork.fork(("python",), live, {}, {5: write}, root=sys.argv[1])
    signal.pause()
os.close(write)
lives = os.read(read, 1)
os.kill(middle, signal.SIGKILL)
print(lives, os.read(read, 1))
"""
)


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, ROOT]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.fixture(scope="module")
def forked() -> dict[str, Any]:
    return dict(json.loads(run(FORKED).stdout))


def test_forked_process_has_only_the_descriptors_that_it_was_given(forked: dict[str, Any]) -> None:
    assert forked["fds"] == [0, 1, 2, 5]
    assert forked["said"] == "settings"


def test_forked_process_has_no_signal_handler_of_its_parent(forked: dict[str, Any]) -> None:
    found = {name: forked[name] for name in ("hup", "term", "int", "wakeup")}

    assert found == {"hup": signal.SIG_DFL, "term": signal.SIG_DFL, "int": True, "wakeup": -1}


def test_forked_process_has_its_own_environment_and_name(forked: dict[str, Any]) -> None:
    assert forked["environ"] == {"ONLY": "this"}
    assert forked["words"] == ["/usr/bin/python", "-m", "agent.daemon.main"]
    assert forked["leader"]
    assert forked["parent"] == forked["supervisor"]


def test_modules_of_this_program_go_before_all_others(forked: dict[str, Any]) -> None:
    assert forked["places"][:2] == [ROOT, "/elsewhere"]
    assert forked["places"].count(ROOT) == 1


def test_exit_code_comes_through_and_the_parent_stays_as_it_was(forked: dict[str, Any]) -> None:
    assert forked["code"] == 7
    assert forked["kept"] == [True, signal.SIG_IGN, None]


@pytest.mark.slow
def test_error_in_a_forked_process_is_told_and_ends_it() -> None:
    done = run(FAILING)

    assert done.stdout == "1\n"
    assert "ValueError: no such thing" in done.stderr


@pytest.mark.slow
def test_forked_process_dies_with_its_parent() -> None:
    assert run(DYING).stdout == "b'x' b''\n"
