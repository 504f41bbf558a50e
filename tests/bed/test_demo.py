"""The demo as a person uses it: one command, a second shell, and whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import catalog
from agent.clpconf import document
from agent.clpconf.load import load
from webmanager.demo import loops
from webmanager.demo.bed import ROOT
from webmanager.demo.configuration import GroupPlan, Plan, clp_conf
from webmanager.demo.machine import until


def command(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "webmanager.demo", *words, "--data", str(data)]
    if "run" in words:
        argv = [sys.executable, "-m", "webmanager.demo", "--data", str(data), *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose name leaves room for those of sockets, which may have 107 characters in all."""
    with tempfile.TemporaryDirectory(prefix="clp") as name:
        yield Path(name)


def free_ports() -> str:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return f"{one.getsockname()[1]},{two.getsockname()[1]}"


def processes_of(data: Path) -> list[int]:
    """Processes that have this directory in their environment or command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(data).encode() in text:
                found.append(int(entry.name))
    return found


@contextmanager
def running(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    demo = subprocess.Popen(
        [sys.executable, "-m", "webmanager.demo", "--data", str(data), "up", *options],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert demo.stdout
    try:
        seen = []
        for line in demo.stdout:
            seen.append(line)
            if line.startswith("Ctrl-C here"):
                break
        else:
            pytest.fail("the demo did not come up:\n" + "".join(seen))
        yield demo
    finally:
        demo.kill()
        demo.wait(20)
        demo.stdout.close()


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_second_shell_crashes_recovers_and_ends_the_demo(short: Path):
    data = short / "demo"
    with running(data, "--no-manager") as demo:
        assert "there is no server 'server9'; there are server1" in command(data, "crash", "server9").stderr
        assert "runs in" in command(data, "up", "--no-manager").stderr
        assert command(data, "crash", "server1").stdout == "server1 lost its power.\n"
        until(lambda: state(data)["clients"]["failover1"]["answering"] == "server2", "take-over", 30, 0.1)
        assert state(data)["clients"]["failover1"]["last_outage_s"] > 0
        assert state(data)["faults"] == ["server1 has no power"]
        assert command(data, "heal").returncode == 0
        until(lambda: state(data)["faults"] == [], "healed", 30, 0.1)
        assert command(data, "run", "server2", "clpgrp", "-n", "failover1").stdout.strip() == "server2"
        assert "failover1 http://" in command(data, "status").stdout
        assert command(data, "down").returncode == 0
        assert demo.wait(60) == 0
    assert not data.exists()
    until(lambda: processes_of(data) == [], "every process of the demo is gone", 30, 0.1)


def state(data: Path) -> dict:
    return json.loads((data / "state.json").read_text())


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [
    signal.SIGKILL,
    pytest.param(signal.SIGINT, marks=pytest.mark.long),
    pytest.param(signal.SIGTERM, marks=pytest.mark.long),
])  # fmt: skip
def test_nothing_runs_on_when_the_demo_dies(short: Path, number: signal.Signals):
    data = short / "demo"
    with running(data, "--ports", free_ports()) as demo:
        assert len(processes_of(data)) > 2
        demo.send_signal(number)
        demo.wait(40)

    until(lambda: processes_of(data) == [], "every process of the demo and its manager is gone", 30, 0.1)
    assert data.exists() == (number == signal.SIGKILL)


def test_directory_of_somebody_else_is_refused(tmp_path: Path):
    (tmp_path / "precious").touch()

    done = command(tmp_path, "up", "--no-manager")

    assert done.returncode == 1
    assert "is not empty and not a demo's" in done.stderr
    assert (tmp_path / "precious").exists()


def test_commands_without_a_demo_say_how_to_start_one(tmp_path: Path):
    done = command(tmp_path, "status")

    assert done.returncode == 1
    assert "start it with bin/demo" in done.stderr


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_demo_with_a_witness_loses_it_and_finds_it_again(short: Path):
    data = short / "demo"
    with running(data, "--no-manager", "--resolver", "witness,ping"):
        assert command(data, "cut-witness", "server2").stdout == "server2 does not reach the witness.\n"
        until(lambda: state(data)["faults"] == ["server2 does not reach the witness"], "the fault is shown", 30, 0.1)
        assert command(data, "cut-witness").stdout == "No server reaches the witness.\n"
        assert "there is no server 'server9'" in command(data, "cut-witness", "server9").stderr
        assert "Authorization: Bearer" in command(data, "status").stdout
        assert command(data, "mend-witness").returncode == 0
        until(lambda: state(data)["faults"] == [], "mended", 30, 0.1)
        assert command(data, "down").returncode == 0


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(240)
def test_demo_with_a_mirror_counts_on_after_a_crash_and_is_whole_again(short: Path):
    data = short / "demo"

    def counted(server: str) -> int:
        return int(command(data, "run", server, "stat", "-c", "%s", "/run/md1/count").stdout or 0)

    with running(data, "--no-manager", "--shape", "mirror") as demo:
        until(lambda: counted("server1") > 0, "requests are counted", 30, 0.1)
        before = counted("server1")
        assert command(data, "crash", "server1").returncode == 0
        until(lambda: state(data)["clients"]["failover1"]["answering"] == "server2", "take-over", 60, 0.1)
        assert counted("server2") >= before
        assert command(data, "recover", "server1").returncode == 0
        until(
            lambda: "Mirror Status: Normal" in command(data, "run", "server2", "clpmdstat", "-m", "md1").stdout,
            "both disks are the same again", 60, 0.5,
        )  # fmt: skip
        left = (data / "devices").read_text().splitlines()
        assert command(data, "down").returncode == 0
        assert demo.wait(60) == 0
    assert left
    assert not set(left) & set(devices())


def devices() -> list[str]:
    """Files behind the mirror disks of any demo of ours."""
    return [file for _, file in loops._files() if file.startswith("/openclp/demo/")]


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(240)
def test_killed_demo_leaves_a_device_that_the_next_one_removes(short: Path):
    data = short / "demo"
    with running(data, "--no-manager", "--shape", "mirror"):
        until(lambda: (data / "devices").exists(), "its device is noted", 30, 0.1)
        left = (data / "devices").read_text().splitlines()
        assert len(left) == 1
    assert left[0] in devices()

    with running(data, "--no-manager") as demo:
        assert left[0] not in devices()
        assert command(data, "down").returncode == 0
        assert demo.wait(60) == 0


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(240)
def test_demo_with_postgresql_keeps_what_was_committed(short: Path):
    data = short / "demo"

    def rows(server: str) -> int:
        query = ("psql", "-h", "/dev/shm", "-U", "postgres", "-Atc", "SELECT count(*) FROM requests")
        found = command(data, "run", server, *query).stdout.strip()
        return int(found) if found.isdigit() else 0

    with running(data, "--no-manager", "--shape", "mirror", "--service", "postgresql") as demo:
        until(lambda: rows("server1") > 0, "requests are committed", 60, 0.2)
        before = rows("server1")
        assert command(data, "crash", "server1").returncode == 0
        until(lambda: rows("server2") >= before, "they are there on the other server, and it answers", 90, 0.2)
        until(lambda: state(data)["clients"]["failover1"]["answering"] == "server2", "and the service", 60, 0.1)
        assert command(data, "down").returncode == 0
        assert demo.wait(60) == 0


def test_postgresql_needs_the_mirror(tmp_path: Path):
    done = command(tmp_path / "demo", "up", "--no-manager", "--service", "postgresql")

    assert done.returncode == 1
    assert "--service postgresql goes with --shape mirror" in done.stderr


def test_unknown_resolver_is_named(tmp_path: Path):
    done = command(tmp_path / "demo", "up", "--no-manager", "--resolver", "witness,oracle")

    assert done.returncode == 1
    assert "--resolver takes none, or some of majority, ping, witness, disk, not 'oracle'" in done.stderr


def test_configuration_with_every_resolver_is_without_findings():
    plan = Plan(
        {"server1": ("10.29.1.1", "10.29.2.1"), "server2": ("10.29.1.2", "10.29.2.2")},
        (GroupPlan("failover1", "10.29.3.101", ("server1", "server2"), 8081),),
        ping="10.29.3.250", witness="10.29.0.254", resolvers=("witness", "disk", "ping", "majority"),
    )  # fmt: skip

    loaded = load(clp_conf(plan), catalog.specs())

    assert loaded.findings == []
    assert loaded.cluster is not None
    assert (loaded.cluster.arbiters, loaded.cluster.pings) == (("httpnp1", "disknp1"), ("pingnp1",))


def test_configuration_is_lossless_and_counts_its_objects():
    plan = Plan(
        {"server1": ("10.29.1.1", "10.29.2.1"), "server2": ("10.29.1.2", "10.29.2.2")},
        (GroupPlan("failover1", "10.29.3.101", ("server1", "server2"), 8081),),
        ping="10.29.3.250",
    )
    data = clp_conf(plan)

    assert document.Document.read(data).write() == data
    # 4 + 2 servers + 1 group + 2 resources + 2 monitors + (2 heartbeats + 1 resolver) x 2 servers
    assert b"<objectnumber>17</objectnumber>" in data
