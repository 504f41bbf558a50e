"""Alerts, written by scripts and by the cluster, on all servers of a real cluster; their logs in one archive. At rest
nothing of all that runs."""

from __future__ import annotations

import json
import tarfile

import pytest

from tests.e2e.stage import Stage
from webmanager.demo.machine import DISK, until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
ALERTS = "agent.daemon.alertd"


def test_alerts_are_on_all_servers_and_clplogcc_brings_the_logs_of_all(stage: Stage):
    # It has ended its first work long ago where the machine is slow; with this it has some again.
    stage.cluster.run("server1", "clplogcmd", "-m", "Backup begins.", "-l", "WARN", "--alert")
    stage.hit("server2", ALERTS)
    stage.cluster.run("server1", "clplogcmd", "-m", "Backup is late.", "-l", "WARN", "--alert")
    for server in ("server1", "server2", "server3"):
        # It comes behind everything else that wants the processor.
        stage.says(server, "server1 WARN logcmd:1  Backup is late.", "alert.log", 90)

    stage.bed.power_off("server3")
    for server in ("server1", "server2"):
        # What both survivors say is in both logs.
        until(lambda server=server: stage.log(server, "alert.log").count("nm:2") == 2, f"nm 2 twice on {server}", 90)
    done = stage.cluster.run(
        "server1", "clplogcc", "-o", f"{DISK}/all.tar.gz", "--json", "--timeout", "30", check=False
    )
    said = json.loads(done)

    assert said["servers"] == ["server1", "server2"]
    assert list(said["errors"]) == ["server3"]
    with tarfile.open(stage.cluster.disk("server1") / "all.tar.gz") as archive:
        names = archive.getnames()
        texts = {name: archive.extractfile(name).read().decode() for name in names if name.endswith(".txt")}  # type: ignore[union-attr]
    assert {"server1/log/events.jsonl", "server2/log/events.jsonl", "server1/clp.conf"} <= set(names)
    assert "Server server3 is down" in texts["cause.txt"]
    assert "THE CLUSTER NOW" in texts["cause.txt"]
    assert " server2 " in texts["timeline.txt"]
    assert "server3/NOT_COLLECTED.txt" in names
    for server in ("server1", "server2"):
        until(lambda server=server: not stage.bed[server].pids(ALERTS), f"rest on {server}", 60)
