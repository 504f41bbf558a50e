"""Real agents say what their servers have: over the control socket, and of each other over the peer links."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest

from agent.catalog import specs
from agent.wire.inventory import Inventory
from agent.wire.live import checks_of, judge, subject_of
from tests.e2e.stage import Stage
from webmanager.demo.bed import RUN

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

ASK = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as control:
    control.settimeout(30)
    control.connect(sys.argv[1])
    control.sendall(sys.stdin.buffer.read() + b"\\n")
    with control.makefile("rb") as lines:
        print(lines.readline().decode())
"""


def ask(stage: Stage, server: str, **request: object) -> dict[str, Inventory]:
    line = json.dumps({"op": "ask", "wait_s": 20, "request": {"op": "inventory", **request}})
    done = stage.bed[server].run([sys.executable, "-c", ASK, f"{RUN}/agent.sock"], input=line, timeout_s=40)
    answer = json.loads(done.out)["answer"]
    assert answer["code"] == 0, answer
    return msgspec.convert(answer["inventories"], dict[str, Inventory])


def test_every_server_tells_and_the_demo_is_found_right(stage: Stage):
    conf = (stage.cluster.disk("server1") / "etc/clp.conf").read_bytes()
    subject = subject_of(conf, specs())
    checks = {name: msgspec.to_builtins(check) for name, check in checks_of(subject).items()}

    told = ask(stage, "server2", checks=checks)

    assert sorted(told) == sorted(subject.cluster.server_names)
    assert [f for f in judge(subject, told) if f.severity == "error"] == []
    assert all(abs(one.clock.offset_ms or 0) <= one.clock.uncertain_ms + 5 for one in told.values())


def test_address_that_a_stranger_has_is_found(stage: Stage):
    conf = (stage.cluster.disk("server1") / "etc/clp.conf").read_bytes()
    owned = stage.bed.client.run(["ip", "-j", "-4", "address"]).out
    stranger = next(a["local"] for nic in json.loads(owned) for a in nic["addr_info"] if nic["ifname"] != "lo")
    subject = subject_of(conf.replace(f"<ip>{stage.address}</ip>".encode(), f"<ip>{stranger}</ip>".encode()), specs())
    checks = {name: msgspec.to_builtins(check) for name, check in checks_of(subject).items()}

    found = judge(subject, ask(stage, "server1", checks=checks))

    assert {(f.code, f.path) for f in found if f.severity == "error"} == {
        ("fip.in_use", "/root/resource/fip@fip1/parameters/ip")
    }
