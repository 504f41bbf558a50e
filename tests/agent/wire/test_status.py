"""The status object: what is shown when servers agree, disagree, fall silent or are lost."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clpconf import model
from agent.wire.epoch import Epoch
from agent.wire.peer import GroupRecord, Table
from agent.wire.report import GroupReport, MonitorReport, PathReport, Report, ResourceReport
from agent.wire.status import KINDS, Source, apply, build_status, diff

STALE_S = 3.0
NAMES = ("server1", "server2", "server3")
STEP = model.Activation(timeout_s=60, retry=0)


def cluster(**changes: Any) -> model.Cluster:
    base: dict[str, Any] = {
        "name": "demo",
        "servers": tuple(
            model.Server(name=n, priority=i, devices=(model.Device(id=0, type="lan", info="10.0.0.1"),))
            for i, n in enumerate(NAMES)
        ),
        "heartbeats": (
            model.Heartbeat(name="lanhb1", type="lanhb", priority=0, device=0),
            model.Heartbeat(name="lanhb2", type="lankhb", priority=1, device=0),
        ),
        "groups": (model.Group(name="failover1", comment="web", resources=("fip1", "exec1"), policy=NAMES),),
        "resources": (
            model.Resource(name="fip1", type="fip", activation=STEP, deactivation=STEP),
            model.Resource(name="exec1", type="exec", activation=STEP, deactivation=STEP),
        ),
        "monitors": (model.Monitor(name="pidw1", type="pidw", target="exec1", timing="active"),),
    }
    return model.Cluster(**{**base, **changes})


def report(name: str, **changes: Any) -> Report:
    paths = {peer: {"lanhb1": _path("Normal"), "lanhb2": _path("Normal")} for peer in NAMES if peer != name}
    base: dict[str, Any] = {
        "incarnation": 7,
        "seq": 1,
        "epoch": Epoch(3, 0),
        "members": NAMES,
        "coordinator": "server1",
        "paths": paths,
    }
    return Report(server=name, **{**base, **changes})


def running(name: str, **changes: Any) -> Report:
    """A report of a server on which the group runs."""
    return report(
        name,
        groups={"failover1": GroupReport(state="Online", since=5.0, epoch=Epoch(3, 0))},
        resources={"fip1": ResourceReport(state="Online"), "exec1": ResourceReport(state="Online")},
        monitors={"pidw1": MonitorReport(state="Normal", elapsed_ms=1.5)},
        **changes,
    )


def status(
    *reports: Report, via: str = "server1", ages: dict[str, float] | None = None, **options: Any
) -> dict[str, Any]:
    sources: dict[str, Source] = {r.server: (r, (ages or {}).get(r.server, 0.1), via or r.server) for r in reports}
    return build_status(options.get("config", cluster()), sources, options.get("table"), STALE_S)


def _path(state: str) -> PathReport:
    return PathReport(state=state, worst_gap_ms=12.34)


def healthy() -> dict[str, Any]:
    return status(running("server1"), report("server2"), report("server3"))


def test_healthy_cluster_is_normal_and_json() -> None:
    shown = healthy()

    assert json.loads(json.dumps(shown)) == shown
    assert shown["cluster"]["status"] == "Normal"
    assert shown["cluster"]["members"] == list(NAMES)
    assert (shown["cluster"]["epoch"], shown["cluster"]["coordinator"]) == ("3.0", "server1")
    assert [s["status"] for s in shown["servers"].values()] == ["Online"] * 3


def test_objects_have_exactly_the_documented_keys() -> None:
    shown = healthy()

    assert set(shown["servers"]["server1"]) == {
        "name", "status", "comment", "priority", "source", "age_s", "incarnation", "epoch", "coordinator", "detail",
        "watchdog", "heartbeats", "hears", "health", "quarantine", "drill",
    }  # fmt: skip
    assert set(shown["groups"]["failover1"]) == {
        "name", "status", "current", "active_on", "comment", "policy", "home", "autostart", "since", "detail",
        "resources", "held", "goal", "servers",
    }  # fmt: skip
    assert set(shown["resources"]["fip1"]) == {
        "name", "type", "status", "current", "group", "comment", "address", "detail", "servers",
    }  # fmt: skip
    assert set(shown["monitors"]["pidw1"]) == {
        "name", "type", "status", "comment", "target", "servers", "timeout_ms", "proposed_ms", "rule",
    }  # fmt: skip
    assert set(shown["monitors"]["pidw1"]["servers"]["server1"]) == {
        "status", "detail", "elapsed_ms", "restarts", "failovers", "since", "responses",
    }  # fmt: skip


def test_active_group_shows_its_server_and_resources() -> None:
    shown = healthy()

    group = shown["groups"]["failover1"]
    assert (group["status"], group["current"], group["active_on"]) == ("Online", "server1", ["server1"])
    assert (group["home"], group["since"], group["comment"]) == ("server1", 5.0, "web")
    assert {n: s["status"] for n, s in group["servers"].items()} == {
        "server1": "Online", "server2": "Offline", "server3": "Offline",
    }  # fmt: skip
    fip = shown["resources"]["fip1"]
    assert (fip["status"], fip["current"], fip["group"]) == ("Online", "server1", "failover1")


def test_group_active_twice_is_a_failure_that_names_both() -> None:
    shown = status(running("server1"), running("server2"), report("server3"))

    group = shown["groups"]["failover1"]
    assert group["status"] == "Online Failure"
    assert group["active_on"] == ["server1", "server2"]
    assert group["detail"] == "Active on server1 and server2 at the same time. Stop it on all of them but one."
    assert shown["resources"]["fip1"]["status"] == "Online Failure"
    assert shown["cluster"]["status"] == "Error"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Online"),
        ({"service": "stopped"}, "Offline"),
        ({"service": "leaving"}, "Offline Pending"),
        ({"epoch": Epoch(0, 0), "members": ()}, "Online Pending"),
        ({"members": ("server1", "server3")}, "Online Pending"),
        ({"suspended": True}, "Suspend"),
    ],
)
def test_server_state_follows_its_report(changes: dict[str, Any], expected: str) -> None:
    shown = status(running("server1"), report("server2", **changes), report("server3"))

    assert shown["servers"]["server2"]["status"] == expected


def test_suspended_table_suspends_cluster_and_servers() -> None:
    table = Table(epoch=Epoch(3, 0), version=1, suspended=True)

    shown = status(running("server1"), report("server2"), report("server3"), table=table)

    assert shown["cluster"]["suspended"] is True
    assert shown["cluster"]["status"] == "Suspend"
    assert {s["status"] for s in shown["servers"].values()} == {"Suspend"}


def test_server_without_report_is_unknown() -> None:
    shown = status(running("server1"), report("server2"))

    assert shown["servers"]["server3"]["status"] == "Unknown"
    assert shown["servers"]["server3"]["heartbeats"]["lanhb1"]["status"] == "Unknown"
    assert shown["groups"]["failover1"]["servers"]["server3"]["status"] == "Unknown"
    assert shown["cluster"]["status"] == "Caution"


def test_stale_server_is_unknown_and_its_group_too() -> None:
    shown = status(report("server1"), running("server2"), report("server3"), ages={"server2": 3.1})

    assert shown["servers"]["server2"]["status"] == "Unknown"
    assert shown["servers"]["server2"]["age_s"] == 3.1
    group = shown["groups"]["failover1"]
    assert (group["status"], group["active_on"]) == ("Unknown", [])
    assert group["detail"] == "Last known: Online on server2, of which nothing is heard now."
    assert group["servers"]["server2"]["detail"] == "Last known: Online."


def test_lost_server_is_offline_and_never_counts_as_active() -> None:
    alone = {"members": ("server2", "server3"), "lost": ("server1",), "epoch": Epoch(4, 1), "coordinator": "server2"}
    taken = running("server2", **alone)

    shown = status(running("server1"), taken, report("server3", **alone), via="server2", ages={"server1": 1.0})

    assert shown["servers"]["server1"]["status"] == "Offline"
    assert shown["servers"]["server1"]["heartbeats"]["lanhb1"]["status"] == "Offline"
    assert shown["groups"]["failover1"]["active_on"] == ["server2"]
    assert shown["groups"]["failover1"]["status"] == "Online"
    assert shown["groups"]["failover1"]["servers"]["server1"]["detail"] == "Last known: Online."


def test_group_of_lost_server_is_unknown_until_a_later_order() -> None:
    alone: dict[str, Any] = {"members": ("server2", "server3"), "lost": ("server1",), "epoch": Epoch(4, 1)}
    waiting = report("server2", **alone)
    stopped = report("server2", groups={"failover1": GroupReport(epoch=Epoch(4, 1))}, **alone)

    before = status(running("server1"), waiting, via="server2")
    after = status(running("server1"), stopped, via="server2")

    assert before["groups"]["failover1"]["status"] == "Unknown"
    assert after["groups"]["failover1"]["status"] == "Offline"


def test_both_sides_of_a_partition_speak_for_themselves() -> None:
    left = running("server1", members=("server1",), lost=("server2", "server3"), epoch=Epoch(4, 0))
    right = running(
        "server2", members=("server2", "server3"), lost=("server1",), epoch=Epoch(4, 1), coordinator="server2"
    )

    shown = status(left, right, via="")

    assert shown["servers"]["server1"]["status"] == "Online"
    assert shown["servers"]["server2"]["status"] == "Online"
    assert shown["groups"]["failover1"]["status"] == "Online Failure"
    assert shown["cluster"]["detail"] == (
        "The servers do not follow the same view. "
        "server1: coordinator server1 (view 4.0); server2: coordinator server2 (view 4.1)."
    )


def test_without_any_fresh_report_the_cluster_is_unknown() -> None:
    assert status()["cluster"]["status"] == "Unknown"
    old = status(running("server1"), ages={"server1": 60.0})
    assert old["cluster"]["status"] == "Unknown"
    assert old["servers"]["server1"]["status"] == "Unknown"


def test_stopped_everywhere_is_offline() -> None:
    shown = status(*(report(name, service="stopped") for name in NAMES))

    assert shown["cluster"]["status"] == "Offline"
    assert shown["groups"]["failover1"]["status"] == "Offline"
    assert shown["groups"]["failover1"]["current"] == ""


@pytest.mark.parametrize(
    ("to_server2", "to_server3", "expected"),
    [
        ("Normal", "Normal", "Normal"),
        ("Error", "Normal", "Caution"),
        ("Error", "Error", "Error"),
        ("Unused", "Error", "Error"),
        ("Unused", "Unused", "Unused"),
    ],
)
def test_heartbeat_state_counts_the_peers(to_server2: str, to_server3: str, expected: str) -> None:
    paths = {"server2": {"lanhb1": _path(to_server2)}, "server3": {"lanhb1": _path(to_server3)}}

    shown = status(report("server1", paths=paths), report("server2"), report("server3"))

    heartbeat = shown["servers"]["server1"]["heartbeats"]["lanhb1"]
    assert heartbeat["status"] == expected
    assert heartbeat["peers"]["server2"] == {"status": to_server2, "worst_gap_ms": 12.3, "gaps": None}


def test_heartbeat_without_a_device_is_unused_and_single_server_is_normal() -> None:
    elsewhere = cluster(heartbeats=(model.Heartbeat(name="lanhb9", type="lanhb", priority=0, device=9),))
    assert status(report("server1"), config=elsewhere)["servers"]["server1"]["heartbeats"]["lanhb9"]["status"] == (
        "Unused"
    )
    single = cluster(servers=cluster().servers[:1])
    alone = report("server1", members=("server1",), paths={})
    assert status(alone, config=single)["servers"]["server1"]["heartbeats"]["lanhb1"]["status"] == "Normal"


def test_heartbeat_comments_are_the_fixed_texts() -> None:
    resolvers = (
        model.PartitionResolver(name="pingnp1", type="pingnp", priority=0, device=10200),
        model.PartitionResolver(name="majonp1", type="majonp", priority=1, device=0),
    )

    shown = status(report("server1"), config=cluster(resolvers=resolvers))

    assert {n: (h["comment"], h["status"]) for n, h in shown["servers"]["server1"]["heartbeats"].items()} == {
        "lanhb1": ("LAN Heartbeat", "Normal"),
        "lanhb2": ("Kernel Mode LAN Heartbeat", "Normal"),
        "pingnp1": ("ping resolution", "Unused"),
        "majonp1": ("majority resolution", "Normal"),
    }


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("Normal", "Offline", "Offline"), "Normal"),
        (("Normal", "Error", "Offline"), "Caution"),
        (("Error", "Offline", "Offline"), "Error"),
        (("Error", "Error", "Error"), "Error"),
        (("Suspend", "Suspend", "Suspend"), "Suspend"),
        (("Normal", "Normal", "Suspend"), "Caution"),
        (("Caution", "Normal", "Normal"), "Caution"),
        (("Offline", "Offline", "Offline"), "Offline"),
    ],
)
def test_monitor_state_is_the_sum_of_its_servers(states: tuple[str, ...], expected: str) -> None:
    reports = (
        report(name, monitors={"pidw1": MonitorReport(state=state, detail="why")})
        for name, state in zip(NAMES, states, strict=True)
    )

    shown = status(*reports)

    assert shown["monitors"]["pidw1"]["status"] == expected
    assert {n: s["status"] for n, s in shown["monitors"]["pidw1"]["servers"].items()} == dict(
        zip(NAMES, states, strict=True)
    )


def test_monitor_is_listed_only_where_it_may_run() -> None:
    config = cluster(monitors=(model.Monitor(name="ipw1", type="ipw", servers=("server2",)),))

    shown = status(report("server1"), report("server2"), config=config)

    assert list(shown["monitors"]["ipw1"]["servers"]) == ["server2"]


def test_failed_and_held_groups_say_why() -> None:
    failed = report("server1", groups={"failover1": GroupReport(detail="exec1: start.sh ended with 1")})
    gave_up = Table(epoch=Epoch(3, 0), version=1, groups={"failover1": GroupRecord(gave_up=True)})
    held = Table(epoch=Epoch(3, 0), version=1, groups={"failover1": GroupRecord(held=True, goal="")})

    shown = status(failed, report("server2"), table=gave_up)["groups"]["failover1"]
    stopped = status(report("server1"), report("server2"), table=held)["groups"]["failover1"]

    assert shown["detail"] == "No server is left to try. server1: exec1: start.sh ended with 1"
    assert (stopped["held"], stopped["detail"]) == (True, "Stopped by the operator.")


@pytest.mark.parametrize(
    ("changes", "possible", "words"),
    [
        ({}, True, "If all of lanhb1, lanhb2 fail at once, both sides take each other for dead"),
        ({"resolvers": "majority"}, True, "no watchdog resets a server that hangs"),
        ({"resolvers": "majority", "self_fencing": True}, False, "a watchdog resets a server"),
        ({"self_fencing": True}, True, "because no majority resolver is configured"),
        ({"servers": cluster().servers[:1]}, False, "one server only"),
    ],
)
def test_split_brain_is_told_from_the_configuration(changes: dict[str, Any], possible: bool, words: str) -> None:
    if changes.get("resolvers") == "majority":
        resolver = model.PartitionResolver(name="majonp1", type="majonp", priority=0, device=0)
        changes = {**changes, "resolvers": (resolver,)}

    shown = status(report("server1"), config=cluster(**changes))["cluster"]["split_brain"]

    assert shown["possible"] is possible
    assert words in shown["why"]


things = st.dictionaries(
    st.sampled_from("abcd"),
    st.fixed_dictionaries({"status": st.sampled_from(["Online", "Offline"]), "age_s": st.integers(0, 3)}),
)
statuses = st.fixed_dictionaries(
    {"cluster": st.fixed_dictionaries({"status": st.text(max_size=2)}), **dict.fromkeys(KINDS, things)}
)


@given(statuses, statuses)
def test_applying_the_difference_gives_the_new_status(old: dict[str, Any], new: dict[str, Any]) -> None:
    changes = json.loads(json.dumps(diff(old, new)))

    assert apply(old, changes) == new
    assert apply(apply(old, changes), changes) == new
    assert diff(new, new) == []


@given(statuses)
def test_a_first_difference_carries_everything(new: dict[str, Any]) -> None:
    assert apply({}, diff({}, new)) == new


def test_ageing_alone_is_a_change_only_on_demand() -> None:
    younger = healthy()
    older = status(running("server1"), report("server2"), report("server3"), ages={"server2": 0.9})

    assert [change[:2] for change in diff(younger, older)] == [["servers", "server2"]]
    assert diff(younger, older, ages=False) == []


def test_apply_refuses_a_kind_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="kind 'group'"):
        apply(healthy(), [["group", "failover1", None]])


@pytest.mark.slow
def test_a_large_cluster_is_built_quickly() -> None:
    names = tuple(f"s{i:02}" for i in range(32))
    groups = tuple(
        model.Group(name=f"g{i}", policy=names, resources=tuple(f"r{i}_{j}" for j in range(5))) for i in range(500)
    )
    config = cluster(
        servers=tuple(model.Server(name=name, priority=i) for i, name in enumerate(names)),
        groups=groups,
        resources=tuple(
            model.Resource(name=r, type="exec", activation=STEP, deactivation=STEP) for g in groups for r in g.resources
        ),
        monitors=tuple(model.Monitor(name=f"m{i}", type="pidw") for i in range(2000)),
    )
    sources = {name: (_busy(name, i, names, groups), 0.1, name) for i, name in enumerate(names)}

    seconds = []
    for _ in range(5):
        start = time.process_time()
        shown = build_status(config, sources, None, STALE_S)
        seconds.append(time.process_time() - start)

    assert shown["groups"]["g33"]["current"] == "s01"
    # 0.05 s on a quiet core of today; a quadratic step would take seconds.
    assert min(seconds) < 0.3


def _busy(name: str, index: int, names: tuple[str, ...], groups: tuple[model.Group, ...]) -> Report:
    mine = [group for i, group in enumerate(groups) if i % 32 == index]
    return Report(
        server=name,
        incarnation=1,
        seq=1,
        epoch=Epoch(3, 0),
        members=names,
        coordinator=names[0],
        groups={g.name: GroupReport(state="Online" if g in mine else "Offline") for g in groups},
        resources={r: ResourceReport(state="Online") for g in mine for r in g.resources},
        monitors={f"m{i}": MonitorReport(state="Normal" if i % 32 == index else "Offline") for i in range(2000)},
        paths={peer: {"lanhb1": _path("Normal"), "lanhb2": _path("Normal")} for peer in names if peer != name},
    )
