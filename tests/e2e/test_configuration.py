"""A configuration is taken from a running cluster, changed, and delivered while it is stopped, or scripts alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.stage import WAIT_S, WORK, Stage, staged
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def two() -> Iterator[Stage]:
    with clean_bed(servers=2) as bed, staged(bed) as stage:
        yield stage


def sh(stage: Stage, server: str, command: str) -> str:
    done = stage.sh(server, command, timeout_s=120.0)
    assert done.code == 0, done
    return done.out


def incarnations(stage: Stage) -> dict[str, int]:
    return {name: server["incarnation"] for name, server in stage.status("server1")["servers"].items()}


def test_delivery_to_a_stopped_service_reaches_every_server(two: Stage):
    sh(two, "server1", f"mkdir -p {WORK} && clpcfctrl --pull -x {WORK}")
    before = (two.cluster.disk("server2") / "etc/clp.conf").read_bytes()
    sh(two, "server1", f"cd {WORK} && clpcfset add clsparam cluster/heartbeat/timeout 7000")
    sh(two, "server1", f"echo '# new' >> {WORK}/scripts/failover1/exec1/start.sh")

    sh(two, "server1", "clpcl -t -a")
    old = incarnations(two)
    sh(two, "server1", f"clpcfctrl --push -l -x {WORK}")

    for server in ("server1", "server2"):
        etc = two.cluster.disk(server) / "etc"
        assert "<timeout>7000</timeout>" in (etc / "clp.conf").read_text()
        assert (etc / "scripts/failover1/exec1/start.sh").read_text().endswith("# new\n")
        until(lambda server=server: two.shown(server) == "Offline", f"{server} begins anew and stays stopped", WAIT_S)
        (kept,) = (two.cluster.disk(server) / "state/configurations").glob("*Z-*")
        assert (kept / "clp.conf").read_bytes() == before

    sh(two, "server1", "clpcl -s -a")
    two.cluster.wait_online(60.0)
    assert all(new > old[name] for name, new in incarnations(two).items())
    running = json.loads((two.cluster.disk("server2") / "state/running.json").read_bytes())
    assert running["cluster"]["timeout_s"] == 7.0


def test_scripts_alone_are_delivered_to_a_cluster_that_runs_and_no_daemon_ends(two: Stage):
    daemons = [two.bed[server].pids("agent.daemon.main") for server in ("server1", "server2")]
    sh(two, "server2", f"mkdir -p {WORK} && clpcfctrl --pull -h server1 -x {WORK}")
    sh(two, "server2", f"echo '# new' >> {WORK}/scripts/failover1/exec1/start.sh")

    sh(two, "server2", f"clpcfctrl --push -x {WORK}")

    for server in ("server1", "server2"):
        etc = two.cluster.disk(server) / "etc"
        assert (etc / "scripts/failover1/exec1/start.sh").read_text().endswith("# new\n")
    assert two.quiet()
    assert [two.bed[server].pids("agent.daemon.main") for server in ("server1", "server2")] == daemons


def test_live_checks_ask_every_server(two: Stage):
    sh(two, "server1", f"mkdir -p {WORK} && clpcfctrl --pull -x {WORK} && clpcfctrl --compcheck")
    sh(two, "server1", f"cd {WORK} && clpcfset add rscparam fip fip1 parameters/ip {two.bed.address('client', 'pub')}")

    done = two.sh("server1", f"clpcfctrl --compcheck -x {WORK}")

    assert done.code == 1, done
    assert "error fip.in_use /root/resource/fip@fip1/parameters/ip" in done.out


def test_nobody_is_switched_when_one_server_cannot_take_it(two: Stage):
    sh(two, "server1", f"mkdir -p {WORK} && clpcfctrl --pull -x {WORK}")
    before = (two.cluster.disk("server1") / "etc/clp.conf").read_bytes()
    sh(two, "server1", f"cd {WORK} && clpcfset add clsparam cluster/heartbeat/timeout 7000")
    sh(two, "server1", "clpcl -t -a")
    two.faults.freeze("server2")

    refused = two.sh("server1", f"clpcfctrl --push --timeout 30 -x {WORK}", timeout_s=90)

    assert refused.code == 3
    assert (two.cluster.disk("server1") / "etc/clp.conf").read_bytes() == before
    two.faults.thaw("server2")
    until(lambda: two.sh("server1", f"clpcfctrl --push -x {WORK}", timeout_s=90).code == 0, "it is delivered", 90.0)
