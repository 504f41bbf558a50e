"""cluster.configuration of the status: how far a change is, until when it can be kept, and how the newest one ended."""

from __future__ import annotations

from typing import Any

from agent.cli import change_display
from agent.clpconf import model
from agent.wire.epoch import Epoch
from agent.wire.peer import Table
from agent.wire.report import Report
from agent.wire.status import build_status, timed
from agent.wire.switch import Applying, Switch

OLD, NEW = "a" * 16, "b" * 16
BOTH = ("server1", "server2")
CLUSTER = model.Cluster(name="c", servers=tuple(model.Server(name=name, priority=n) for n, name in enumerate(BOTH)))
CHANGE = Switch(
    id="r1", to=NEW, origin=OLD, key="k", members=BOTH, groups=("failover1",), by="alice", why="more memory",
    confirm_s=30.0,
)  # fmt: skip


def report(server: str, config: str, **more: Any) -> Report:
    view = {"epoch": Epoch(1, 0), "members": BOTH, "coordinator": "server1"}
    return Report(server=server, incarnation=1, seq=1, config=config, **{**view, **more})


def told(*reports: Report, applying: Applying | None = None, now: float | None = None) -> dict[str, Any]:
    table = Table(epoch=Epoch(1, 0), version=1, applying=applying)
    status = build_status(CLUSTER, {r.server: (r, 0.1, r.server) for r in reports}, table, 3.0)
    return timed(status, {} if now is None else dict.fromkeys(BOTH, now))


def part(*reports: Report, **more: Any) -> dict[str, Any]:
    return dict(told(*reports, **more)["cluster"]["configuration"])


def replaced(**fields: Any) -> Switch:
    import msgspec

    return msgspec.structs.replace(CHANGE, **fields)


def test_without_a_change_it_tells_who_runs_what():
    found = part(report("server1", OLD), report("server2", OLD, stored=NEW))

    assert (found["phase"], found["state"], found["id"], found["left_s"]) == ("", "", "", None)
    assert [one["config"] for one in found["servers"].values()] == [OLD, OLD]
    assert found["servers"]["server2"]["stored"] == NEW


def test_trial_says_until_when_by_the_coordinators_clock():
    running = [report(name, NEW, switch=CHANGE) for name in BOTH]
    applying = Applying(switch=CHANGE, phase="trying", until=130.0, health=True)

    found = part(*running, applying=applying, now=118.5)

    assert (found["phase"], found["left_s"], found["health"], found["why"]) == ("trying", 11.5, True, "more memory")
    assert part(*running, applying=applying, now=200.0)["left_s"] == 0.0
    assert part(*running, applying=applying)["left_s"] is None


def test_servers_that_begin_anew_tell_of_it_before_there_is_a_table():
    first = report("server1", NEW, switch=CHANGE, frozen=True)

    assert part(first, report("server2", OLD))["phase"] == "switching"
    assert part(first, report("server2", NEW, switch=CHANGE, frozen=True))["phase"] == "switching"
    assert part(*(report(name, NEW, switch=CHANGE) for name in BOTH))["phase"] == "trying"


def test_way_back_has_no_time_to_confirm():
    applying = Applying(switch=replaced(state="returned", reason="nobody kept it"), phase="stopping", back=True)

    found = part(*(report(name, NEW, switch=CHANGE) for name in BOTH), applying=applying, now=1.0)

    assert (found["phase"], found["back"], found["left_s"], found["reason"]) == (
        "stopping", True, None, "nobody kept it",
    )  # fmt: skip


def test_end_of_the_newest_change_stays_known_with_its_reason():
    back = replaced(state="returned", reason="server2 was not heard")

    found = part(report("server1", OLD, switch=back), report("server2", OLD, switch=back))

    assert (found["phase"], found["state"], found["reason"]) == ("", "returned", "server2 was not heard")
    assert found["servers"]["server2"]["reason"] == "server2 was not heard"


def test_clpstat_says_what_is_left_and_how_to_keep_it():
    applying = Applying(switch=CHANGE, phase="trying", until=130.0)
    status = told(*(report(name, NEW, switch=CHANGE) for name in BOTH), applying=applying, now=100.0)

    assert change_display.notes(status) == [
        "The configuration is being changed (alice: more memory): all servers run it, on trial. 30 s are left to keep "
        "it (clpcfctrl --keep): every server returns to the one before."
    ]


def test_clpstat_names_servers_that_differ_and_a_return_only_when_asked():
    back = replaced(state="returned", reason="server2 was not heard")
    differ = told(report("server1", OLD), report("server2", NEW))
    returned = told(report("server1", OLD, switch=back), report("server2", OLD, switch=back))

    assert change_display.notes(differ) == [
        f"The servers run different configurations (server1: {OLD}; server2: {NEW}). Deliver the right one: "
        "clpcfctrl --push -h SERVER."
    ]
    assert change_display.notes(returned) == []
    assert change_display.notes(returned, always=True) == [
        "The newest change of the configuration was taken back: server2 was not heard."
    ]
