"""Whatever an administrator or a stranger gets wrong: a clear sentence, and nothing moves that need not."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S, Stage, staged
from webmanager.demo.bed import RUN, Bed
from webmanager.demo.cluster import demo_plan
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

# Deaf to SIGTERM, with a child that is so too, and a grandchild.
STUBBORN = """trap '' TERM
sh -c 'trap "" TERM; sleep 301; :' &
sh -c 'sleep 302 & sleep 303' &
while :; do sleep 304; done"""
FLOOD = """
import os, socket, sys, time
place, kept = (sys.argv[1], 29002), []
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(5000):
    udp.sendto(os.urandom(60 + number % 1200), place)
for number in range(60):
    tcp = socket.socket()
    tcp.settimeout(2)
    kept.append(tcp)
    try:
        tcp.connect(place)
        tcp.sendall(os.urandom(5000) if number % 2 else b"GET / HTTP/1.1\\r\\n\\r\\n")
    except OSError:
        pass
time.sleep(2)
"""


@pytest.fixture
def waited(bed: Bed) -> Iterator[Stage]:
    """A stage that waits for its scripts, two seconds at most."""
    with staged(bed, demo_plan(bed, script_s=2, waited=True)) as stage:
        yield stage


def etc(stage: Stage, server: str) -> Path:
    return stage.cluster.disk(server) / "etc"


def said(stage: Stage, server: str, data: bytes) -> dict[str, object]:
    """What the agent answers to these bytes at its control socket; {} when it just closes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(stage.bed[server].path(f"{RUN}/agent.sock")))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            line = client.makefile("rb").readline(1 << 20)
            return dict(json.loads(line)) if line else {}
    return {}


# ---- scripts ----
@pytest.mark.parametrize(
    ("text", "words"),
    [("echo no database here; exit 1", "no database here"), ("", "there is no file"), (STUBBORN, "did not end within")],
    ids=["fails", "missing", "never ends"],
)
def test_start_that_fails_sends_the_group_on(waited: Stage, text: str, words: str):
    if text:
        waited.script("server2", "start.sh", text)
    else:
        (etc(waited, "server2") / "scripts" / GROUP / "exec1" / "start.sh").unlink()
    moved = waited.sh("server1", f"clpgrp -m {GROUP} -a server2")

    assert moved.code == 1
    assert "could not be started on server2" in moved.err
    waited.cluster.wait_online(ONLINE_S)
    (owner,) = waited.cluster.owners(waited.address)
    assert owner != "server2"
    waited.client.wait_answer(GROUP, owner, WAIT_S)
    waited.says("server2", words)
    waited.gone("server2", "sleep")
    assert waited.client.count("failover2") == 0


@pytest.mark.parametrize("text", ["echo cannot unmount; exit 1", STUBBORN], ids=["fails", "never ends"])
def test_stop_that_fails_brings_the_server_down_so_that_the_group_can_move(waited: Stage, text: str):
    """The final action that clp.conf asks for when it says nothing; the bed takes it for a loss of power."""
    count = waited.count()
    waited.script("server1", "stop.sh", text)
    waited.sh("server2", f"clpgrp -m {GROUP} -a server2")

    waited.client.outage_after(GROUP, count, "server2", WAIT_S)
    assert not waited.bed["server1"].on
    waited.owned_by("server2")
    assert "could not be deactivated" in waited.log("server1")


# ---- addresses and names ----
def test_address_of_a_stranger_is_not_taken(stage: Stage):
    assert stage.sh("server1", f"clpgrp -t {GROUP}").code == 0
    stage.bed.client.run(["ip", "address", "add", f"{stage.address}/32", "dev", "pub"])
    started = stage.sh("server1", f"clpgrp -s {GROUP}")

    assert started.code == 1
    assert stage.cluster.owners(stage.address) == []
    assert "is in use by" in stage.log("server1")
    assert "is in use by" in stage.sh("server1", "clpstat").out
    stage.bed.client.run(["ip", "address", "del", f"{stage.address}/32", "dev", "pub"])
    assert stage.sh("server1", f"clpgrp -m {GROUP} -a server1").code == 0
    stage.owned_by("server1")


def test_second_agent_of_the_same_name_moves_nothing(stage: Stage):
    second = stage.sh("server1", f"{sys.executable} -m agent.daemon.supervisor")
    assert second.code == 75
    assert "runs already" in second.err

    count = stage.count()
    (etc(stage, "server3") / "server").write_text("server1\n")
    stage.restart("server3")
    stage.says("server3", "cannot send from")  # It has none of the addresses of that name.
    assert stage.count() == count
    stage.owned_by("server1")


@pytest.mark.parametrize(
    ("key", "mode", "words"),
    [(None, 0, "is missing"), ("short", 0o600, "must hold"), ("readable by everybody" * 2, 0o644, "chmod 600")],
    ids=["missing", "short", "world-readable"],
)
def test_bad_cluster_key_is_refused_with_the_remedy(bed: Bed, key: str | None, mode: int, words: str):
    stage = Stage(bed)
    stage.cluster.install()
    path = etc(stage, "server1") / "cluster.key"
    path.unlink()
    if key:
        path.write_text(key)
        path.chmod(mode)
    started = stage.sh("server1", "clpcl -s")

    assert started.code == 3
    assert words in started.err
    stage.gone("server1")


def test_unknown_resource_type_is_named_and_the_group_is_not_half_started(bed: Bed):
    stage = Stage(bed)
    stage.cluster.install()
    for server in bed.servers:
        conf = etc(stage, server) / "clp.conf"
        text = conf.read_text().replace("fip@fip1", "ghost@fip1").replace('<fip name="fip1">', '<ghost name="fip1">')
        conf.write_text(
            text.replace("</fip>", "</ghost>", 1).replace(
                '<types name="fip"/>', '<types name="fip"/><types name="ghost"/>'
            )
        )
    stage.cluster.start_agents()
    until(lambda: stage.cluster.owners(stage.plan.groups[1].address) == ["server2"], "failover2 is up", ONLINE_S, 0.1)

    assert bed["server1"].pids("service.py") == []
    assert "fip1" in stage.sh("server1", "clpstat").out
    assert "type.unknown" in stage.log("server1")


# ---- sockets ----
def test_garbage_at_the_control_socket_is_answered_and_harmless(stage: Stage):
    for data, words in (
        (b"garbage\n", "This is no request"),
        (b"{}\n", "This is no request"),
        (b"\xff\xfe\n", "This is no request"),
        (b'{"op":"ask","request":{"op":"format_disk"}}\n', "not right"),
        (b'{"op":"status","via":"nobody"}\n', "There is no server nobody"),
    ):
        answer = said(stage, "server1", data)
        assert answer["ok"] is False
        assert words in str(answer["error"])
    said(stage, "server1", b"x" * 3_000_000 + b"\n")
    refused = said(stage, "server1", b'{"op":"ask","request":{"op":"group_move","target":"nope"}}\n')
    assert "There is no group" in json.dumps(refused)

    assert said(stage, "server1", b'{"op":"status"}\n')["ok"] is True
    assert stage.quiet()


def test_garbage_at_the_port_of_the_heartbeats_moves_nothing(stage: Stage):
    flood = [sys.executable, "-c", FLOOD, stage.bed.address("server1", "ic1")]
    stage.bed["server3"].run(flood, timeout_s=60)

    stage.cluster.wait_online(ONLINE_S)
    assert stage.quiet()
    assert len(stage.log("server1")) < 200_000
    assert "is no heartbeat" in stage.log("server1")


def test_manager_that_is_not_there_is_said_once_and_harmless(stage: Stage):
    for server in stage.bed.servers:
        nodes = [{"url": f"ws://{stage.bed.address(254, 'mgmt')}:29003/ws/agent/", "node": server, "secret": "x" * 40}]
        path = etc(stage, server) / "manager.json"
        path.write_text(json.dumps(nodes))
        path.chmod(0o600)
    stage.faults.kill("server1", "agent.daemon.main")
    stage.says("server1", "No connection to the manager")
    stage.cluster.wait_online(ONLINE_S)

    assert stage.quiet()
    (etc(stage, "server2") / "manager.json").write_text("[rubbish")
    stage.faults.kill("server2", "agent.daemon.main")
    stage.says("server2", "No manager is told anything")
    stage.cluster.wait_online(ONLINE_S)
    assert stage.quiet()


# ---- disks ----
@pytest.mark.parametrize("server", ["server1", "server3"], ids=["active", "standby"])
def test_full_disk_is_said_and_moves_nothing(bed: Bed, server: str):
    stage = Stage(bed)
    stage.cluster.install()
    state = bed[server].environment["OPENCLP_STATE"]
    bed[server].sh(f"mkdir -p {state} && mount -t tmpfs -o size=1m small {state}")
    with stage:
        bed[server].sh(f"head -c 2m /dev/zero >{state}/ballast || :", check=False)
        # Something to be remembered: a move that the full server only watches or coordinates.
        moved = stage.sh("server2", "clpgrp -m failover2 -a server3")
        assert moved.code == (1 if server == "server3" else 0)
        time.sleep(2.0)
        bed[server].sh(f"rm {state}/ballast")
        stage.cluster.wait_online(ONLINE_S)

        assert stage.count() == 0
        stage.owned_by("server1")
        stage.says(server, "Make room on that disk")
