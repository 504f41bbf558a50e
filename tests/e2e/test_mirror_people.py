"""What an administrator does with a mirror disk, by the commands, on two servers of the bed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.mirror import HEAL_S, NAME, MirrorStage, mirror
from webmanager.demo.machine import until

__all__ = ["mirror"]
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(240)]


def shown(mirror: MirrorStage, server: str) -> dict[str, Any]:
    """As clpmdstat says it there."""
    found: dict[str, Any] = json.loads(mirror.cluster.run(server, "clpmdstat", "-m", NAME, "--json"))
    return found


def says(mirror: MirrorStage, server: str, code: str) -> None:
    until(lambda: code in [fact[1] for fact in shown(mirror, server)["facts"]], f"{code} on {server}", HEAL_S, 0.2)


def test_isolate_split_on_purpose_and_force_with_the_loss_in_view(mirror: MirrorStage):
    run = mirror.cluster.run
    mirror.writes("server1")
    assert run("server2", "clpmdstat", "-l").split()[0] == f"<{NAME}>"
    until(lambda: shown(mirror, "server2")["status"] == "Normal", "Normal on server2", HEAL_S, 0.2)

    run("server1", "clpmdctrl", "--verify", NAME)
    until(lambda: "proven equal" in run("server2", "clpmdstat", "-m", NAME), "proven equal", HEAL_S, 0.2)

    # Isolated: server1 goes on alone, and nobody takes that from it by force.
    run("server1", "clpmdctrl", "-b", NAME, "-h", "server2")
    mirror.goes_alone("server1")
    says(mirror, "server1", "isolated")
    refused = run("server1", "clpmdctrl", "-a", NAME, "-nomount", "-f", "-y", "-h", "server2", check=False)
    assert not mirror.side("server2").get("active"), refused
    mirror.writes("server1")

    # server1 loses its power, and server2 does not follow with old data, until it is told to, knowing the loss.
    mirror.cluster.crash("server1")
    says(mirror, "server2", "isolated_unknown")
    run("server2", "clpmdctrl", "-r", NAME)
    says(mirror, "server2", "doubt")
    assert "has written alone since" in run("server2", "clpmdctrl", "-f", NAME, check=False)
    assert not mirror.side("server2").get("active")
    run("server2", "clpmdctrl", "-f", NAME, "-y")
    # The group has waited for just that.
    mirror.active("server2")
    mirror.writes("server2")

    # Both have gone on alone: the operator keeps what server2 has, and the mirror heals.
    mirror.cluster.recover("server1")
    says(mirror, "server2", "diverged")
    assert shown(mirror, "server1")["status"] == "Abnormal"
    run("server1", "clpmdctrl", "-f", "server2", NAME, "-y")
    run("server1", "clpmdctrl", "--rwait", NAME, "-timeout", "60")
    until(lambda: shown(mirror, "server2")["status"] == "Normal", "Normal on server2", HEAL_S, 0.2)
    assert set(mirror.said("server2")) <= set(mirror.ledger("server2"))
