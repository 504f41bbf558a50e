"""Requests that come again after their answer was lost, and requests that are called off, on real engines."""

from __future__ import annotations

from msgspec.structs import replace

from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.peer import Answer, Request


def world() -> World:
    found = World(standard(3, safe=True), defaults=DEFAULTS)
    found.run_until(5)
    return found


def last(cluster: World, at: str, key: str) -> Answer | None:
    return next((a for a in reversed(cluster.machines[at].answers) if a.id == key), None)


def ask(cluster: World, at: str, request: Request, wait_s: float = 5) -> Answer:
    cluster.ask(at, request)

    def done() -> bool:
        answer = last(cluster, at, request.id)
        return answer is not None and answer.code != 1

    cluster.run_while(lambda: not done(), cluster.now + wait_s)
    found = last(cluster, at, request.id)
    assert found is not None
    return found


def incarnation(cluster: World, server: str) -> int:
    return cluster.machines[server].engine.report.incarnation


def test_server_that_has_begun_anew_is_not_rebooted_again_by_the_same_request():
    cluster = world()
    request = Request(id="r", op="server_stop", target="server2", lives={"server2": incarnation(cluster, "server2")})
    cluster.crash("server2")
    cluster.run_until(cluster.now + 30)
    cluster.power_on("server2")
    cluster.run_until(cluster.now + 30)

    for at in ("server1", "server2"):
        answer = ask(cluster, at, replace(request, id=f"at {at}"))
        assert (answer.code, answer.reason) == (2, "new_life")
        assert "server2 has begun anew" in answer.text

    assert cluster.machines["server2"].engine.report.service != "stopped"
    alive = replace(request, lives={"server2": incarnation(cluster, "server2")})
    assert ask(cluster, "server1", alive, 60).code == 0


def waiting() -> tuple[World, str]:
    """A move that waits for the recovery of its group."""
    cluster = world()
    assert cluster.online_on("failover1") == ["server1"]
    cluster.crash("server1")
    cluster.ask("server3", Request(id="move", op="group_move", target="failover1", server="server3", by="bob"))
    cluster.run_while(lambda: last(cluster, "server3", "move") is None, cluster.now + 30)
    answer = last(cluster, "server3", "move")
    assert answer is not None
    assert answer.code == 1
    return cluster, "server3"


def test_request_that_waits_can_be_called_off():
    cluster, at = waiting()

    answer = ask(cluster, at, Request(id="off", op="request_cancel", target="move", by="alice"))

    assert (answer.code, answer.text) == (0, "It was cancelled while it waited. Nothing was done.")
    cancelled = last(cluster, at, "move")
    assert cancelled is not None
    assert (cancelled.code, cancelled.reason, cancelled.text) == (3, "cancelled", "It was cancelled by alice.")
    cluster.run_until(cluster.now + 60)
    assert cluster.online_on("failover1") == ["server2"]  # Where the recovery took it, and no further.


def test_what_has_ended_or_never_was_cannot_be_called_off():
    cluster = world()
    assert ask(cluster, "server2", Request(id="move", op="group_move", target="failover1"), 30).code == 0

    assert ask(cluster, "server2", Request(id="a", op="request_cancel", target="move")).reason == "ended"
    assert ask(cluster, "server2", Request(id="b", op="request_cancel", target="x")).reason == "unknown_request"


def test_outcome_is_told_without_asking_again():
    cluster = world()
    again = cluster.machines["server2"].engine.operations.again
    assert again.outcome("move") is None
    cluster.ask("server2", Request(id="move", op="group_move", target="failover1"))
    under_way = again.outcome("move")
    assert under_way is not None
    assert under_way.code == 1
    cluster.run_until(cluster.now + 30)
    ended = again.outcome("move")
    assert ended is not None
    assert ended.code == 0


def test_reason_stands_in_the_log():
    cluster = world()
    ask(cluster, "server1", Request(id="s", op="cluster_suspend", by="bob", why="new switch"))
    texts = [note.text for note in cluster.notes.values() if note.module == "apisv"]
    assert any("(new switch)" in text for text in texts)
