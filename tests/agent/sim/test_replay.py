"""Recorded cases: translated, played, compared; every difference has a rule, and what must not be is a violation."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from agent.sim.replay.player import replay, replay_all
from agent.sim.replay.reading import CasesError, natural, read
from agent.sim.replay.rules import RULES
from agent.sim.replay.stage import Stage
from agent.sim.replay.stimuli import story_of
from agent.sim.replay.verdict import Difference, Result, Totals
from agent.sim.standard import standard

_ON = [[20, f"power node{n} on"] for n in (1, 2, 3)]


def story(
    services: dict[str, Any], *stimuli: list[Any], final: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    off = {"network": "off", "power": "off"}
    return {
        "id": "it", "nodes": {f"node{n}": off for n in (1, 2, 3)}, "services": services, "rules": [], "starts": [],
        "stimuli": [*_ON, *stimuli], "final": final or {}, "fenced": [], "errors": [], **more,
    }  # fmt: skip


def question(states: dict[str, str], initial: dict[str, list[str]], **more: Any) -> dict[str, Any]:
    return {
        "id": "it", "nodes": {s: {"standby": False} for s in states}, "state": states, "initial": initial,
        "groups": {r: [r] for r in initial}, "policy": {"no-quorum-policy": "ignore"}, "quorum": True, "final": {},
        **more,
    }  # fmt: skip


def reasons(result: Result) -> dict[str, str]:
    return {difference.subject: difference.rule for difference in result.differences}


# Stories of commands --------------------------------------------------------------------------------------------


def test_service_of_an_isolated_server_goes_to_the_least_loaded_one():
    services = {"vm:1": {"node": "node1", "state": "started"}, "vm:3": {"node": "node3", "state": "started"}}
    case = story(
        services, [120, "network node3 off"], final={"vm:1": "node1", "vm:3": "node2"}, fenced=[[166, "node3"]]
    )

    result = replay(case, "it")

    assert (result.verdict, result.placement) == ("agree", {"vm:1": "node1", "vm:3": "node2"})
    assert list(result.fenced) == ["node3"]
    assert result.overlaps == ()


def test_majority_lost_everywhere_stops_everything():
    cuts = [[120, f"network node{n} off"] for n in (1, 2, 3)]
    case = story({"vm:1": {"node": "node1", "state": "started"}}, *cuts, fenced=[[162, "node1"]])

    assert replay(case, "it").placement == {"vm:1": ""}


def test_strict_rule_keeps_a_service_down_when_its_only_server_is_gone():
    rule = {"kind": "node-affinity", "nodes": "node2", "resources": "vm:1", "strict": "1"}
    case = story({"vm:1": {"node": "node2", "state": "started"}}, [120, "power node2 off"], rules=[rule])

    assert replay(case, "it").placement == {"vm:1": ""}
    assert replay(case | {"rules": []}, "it").placement == {"vm:1": "node1"}


def test_failing_starts_are_retried_and_tried_elsewhere_as_the_digits_say():
    ask = [120, "service fa:120 started"]

    patient = replay(story({"fa:120": {"node": "node2", "max_restart": "2"}}, ask), "it")
    impatient = replay(story({"fa:120": {"node": "node2", "max_restart": "0", "max_relocate": "0"}}, ask), "it")
    elsewhere = replay(
        story({"fa:190001": {"node": "node1", "max_restart": "0"}}, [120, "service fa:190001 started"]), "it"
    )

    assert patient.placement == {"fa:120": "node2"}
    assert impatient.placement == {"fa:120": ""}
    assert elsewhere.placement == {"fa:190001": "node2"}


def test_service_that_cannot_stop_stays_and_holds_its_server():
    services = {"fa:1001": {"node": "node3", "state": "started"}}
    result = replay(story(services, [120, "service fa:1001 stopped"], final={"fa:1001": "node3"}), "it")

    assert (result.verdict, result.placement) == ("agree", {"fa:1001": "node3"})


def test_services_apart_and_together_become_exclusion_and_one_group():
    services = {f"vm:{n}": {"node": "node1", "state": "started"} for n in (1, 2, 3)}
    rules = [
        {"kind": "resource-affinity", "affinity": "negative", "resources": "vm:1,vm:3"},
        {"kind": "resource-affinity", "affinity": "positive", "resources": "vm:1,vm:2"},
    ]
    case = story(services, rules=rules)

    groups = {g.resources: g.exclusive for g in story_of(case).cluster.groups}
    placement = replay(case, "it").placement

    assert groups == {("vm:1", "vm:2"): 2, ("vm:3",): 2}
    assert placement["vm:1"] == placement["vm:2"] != placement["vm:3"] != ""


@pytest.mark.parametrize("form", ["object", "list", "text"])
def test_older_sets_of_servers_are_read_in_each_form(form: str):
    told = {"nodes": "node3:2,node2:1", "restricted": 1, "nofailback": 1}
    text = "group: ours\n\tnodes node3:2,node2:1\n\trestricted 1\n\tnofailback 1\n"
    groups = {"object": {"ours": told}, "list": [{"group": "ours", **told}], "text": text}[form]
    case = story({"vm:1": {"node": "node3", "state": "started", "group": "ours"}}, groups=groups)

    group = story_of(case).cluster.groups[0]

    assert (group.policy, group.auto_failback) == (("node3", "node2"), False)


def test_difference_is_explained_by_the_rule_of_the_decision():
    services = {"vm:1": {"node": "node1", "state": "started"}}
    case = story(services, [120, "power node1 off"], final={"vm:1": "node3"})

    result = replay(case, "it")

    assert result.verdict == "differs"
    assert reasons(result) == {"vm:1": "failover-policy"}
    assert "next in its failover policy" in "\n".join(result.lines())


def test_service_that_runs_against_the_wish_of_the_operator_is_a_violation():
    """Ours does not, so what the records expect is turned round: nothing explains that it does not run."""
    services = {"vm:1": {"node": "node1", "state": "started"}}
    good = replay(story(services, final={"vm:1": "node1"}), "it")
    bad = Difference("vm:1", "node1", "nowhere", "", "")

    assert good.verdict == "agree"
    assert replace(good, differences=(bad,)).verdict == "VIOLATION"
    assert "no rule explains it" in replace(good, differences=(bad,)).lines()[-1]


@pytest.mark.parametrize(
    ("stimulus", "rule"),
    [
        ([120, "explode node1"], "unknown-command"),
        ([120, "service vm:1 hibernate"], "unknown-command"),
        ([120, "service vm:9 started"], "unknown-name"),
        ([120, "power node9 on"], "unknown-name"),
        ([120, "service vm:1 migrate node9"], "unknown-name"),
        (["soon", "power node1 on"], "unknown-form"),
        (["power node1 on"], "unknown-form"),
        ([1e9, "delay 5"], "too-large"),
    ],
)
def test_what_cannot_be_played_says_so_with_its_rule(stimulus: list[Any], rule: str):
    result = replay(story({"vm:1": {"node": "node1", "state": "started"}}, stimulus), "it")

    assert (result.verdict, result.supported, reasons(result)) == ("differs", False, {"case": rule})
    assert "not supported: " in result.lines()[-1]


def test_start_without_majority_is_seen_without_asking_the_engine():
    """The engine would not do it; so the stage is told of such a start."""
    stage = Stage(standard(3, safe=True))
    for name in stage.machines:
        stage.switch_on(name)
    stage.run_until(5)
    note = next(n for n in stage.notes.values() if (n.module, n.event) == ("rc", 10))
    assert stage.violations == []

    stage.isolate(note.server)
    stage.run_until(stage.now + 2 * stage.cluster.timeout_s)
    stage.noted(note)

    assert [text.split(": ", 1)[1] for text in stage.violations] == [
        f"{note.name} was started on {note.server}, which has no majority"
    ]


# Questions of placement -----------------------------------------------------------------------------------------


def test_group_of_a_fallen_server_starts_elsewhere_after_it_was_fenced():
    states = {"a": "UNCLEAN (offline)", "b": "online", "c": "UNCLEAN (online)"}
    initial = {"r1": ["Started", "a", "UNCLEAN"], "r2": ["Started", "c", ""]}
    fence = [["reboot", "a", "it is lost"], ["reboot", "c", "its process is lost"]]

    result = replay(question(states, initial, fence=fence, final={"r1": "b", "r2": "b"}), "it")

    assert (result.verdict, result.placement) == ("agree", {"r1": "b", "r2": "b"})
    assert sorted(result.fenced) == ["a", "c"]


def test_scores_make_the_policy_and_bring_a_group_home():
    location = [["r1", "b", "INFINITY"], ["r1", "c", "-INFINITY"], ["r2", "a", "-1"]]
    initial = {"r1": ["Started", "a", ""], "r2": ["Stopped", "", ""]}

    result = replay(question(dict.fromkeys("abc", "online"), initial, location=location), "it")

    assert result.placement == {"r1": "b", "r2": "c"}


def test_standby_server_gives_its_groups_away_and_takes_none():
    case = question({"a": "standby (with active resources)", "b": "online"}, {"r1": ["Started", "a", ""]})

    assert replay(case, "it").placement == {"r1": "b"}


def test_disabled_resource_is_stopped_and_stays_down():
    initial = {"r1": ["Started", "a", "disabled"], "r2": ["Stopped", "(disabled)", ""]}

    assert replay(question({"a": "online", "b": "online"}, initial), "it").placement == {"r1": "", "r2": ""}


def test_failed_resource_is_restarted_where_it_is_unless_nobody_cares_for_it():
    initial = {"r1": ["FAILED", "a", ""], "r2": ["FAILED", "a", "blocked"]}
    case = question({"a": "online", "b": "online"}, initial, final={"r1": "b", "r2": "a"})

    result = replay(case, "it")

    assert result.placement == {"r1": "a", "r2": "a"}
    assert reasons(result) == {"r1": "reactivation"}


def test_missing_quorum_stops_everything_where_it_is_needed():
    initial = {"r1": ["Started", "a", ""]}
    needed = question({"a": "online", "b": "online"}, initial, quorum=False, policy={"no-quorum-policy": "stop"})

    assert replay(needed, "it").placement == {"r1": ""}
    assert replay(needed | {"policy": {"no-quorum-policy": "ignore"}}, "it").placement == {"r1": "a"}


def test_colocated_groups_go_together_unless_no_server_is_left():
    initial = {"r1": ["Stopped", "", ""], "r2": ["Stopped", "", ""]}
    location = [["r1", "a", "-INFINITY"], ["r2", "b", "-INFINITY"]]
    case = question(dict.fromkeys("abc", "online"), initial, colocation=[["r1", "r2", "INFINITY"]])

    assert replay(case | {"location": location}, "it").placement == {"r1": "c", "r2": "c"}
    location += [["r1", "c", "-INFINITY"]]
    assert replay(case | {"location": location}, "it").placement == {"r1": "b", "r2": "a"}


def test_orders_in_a_circle_do_not_stop_anything():
    initial = {"r1": ["Stopped", "", ""], "r2": ["Stopped", "", ""], "r3": ["Stopped", "", ""]}
    order = [["r1", "r2", None], ["r2", "r3", "Optional"], ["r3", "r1", "Mandatory"]]

    assert replay(question({"a": "online"}, initial, order=order), "it").placement == {"r1": "a", "r2": "a", "r3": "a"}


def test_doubly_active_resource_is_taken_from_the_summary_and_ends_on_one_server():
    case = question({"a": "online", "b": "online"}, {}, groups={"r1": ["r1"]})
    case["transition"] = ["Stop       r1    ( a )  due to node availability", "Stop       r1    ( b )  due to x"]

    result = replay(case, "it")

    assert result.placement["r1"] in ("a", "b")
    assert reasons(result) == {"r1": "newest-start-survives"}
    assert result.broken == ()


# Files ----------------------------------------------------------------------------------------------------------


def test_totals_and_their_last_line():
    agree, differs = (
        Result(id="a", form=""),
        Result(id="b", form="", differences=(Difference("x", "", "", "stay", ""),)),
    )
    wrong = Result(id="c", form="", broken=("both",))

    totals = Totals.of([agree, differs, wrong])

    assert totals.line() == "3 cases, 1 agree, 1 policy differences, 1 violations"


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"{", "not JSON"), (b"3", "no list of cases"), (b"[" * 100_000, "not JSON"), (b"\xff", "not JSON")],
)
def test_unusable_file_is_named(data: bytes, words: str):
    with pytest.raises(CasesError, match=words):
        read(data)


def test_entries_of_no_form_are_not_supported():
    results = list(replay_all(read(b'[7, {"id": "x"}, {"stimuli": [], "services": {}, "nodes": {}}]')))

    assert [(r.id, r.verdict) for r in results] == [("case 1", "differs"), ("x", "differs"), ("case 3", "differs")]
    assert {d.rule for r in results for d in r.differences} == {"unknown-form", "too-large"}


def test_names_are_sorted_as_people_do():
    assert sorted(["n10", "n2", "a", "n²"], key=natural) == ["a", "n²", "n2", "n10"]


_JUNK: list[Any] = [None, 1, -1.5, "x", "", [], {}, [[]], {"a": 1}, True, "node1:x", [["a"]], 1e30]


def _spoilt(value: Any, random: Random, depth: int = 0) -> Any:
    if depth and random.random() < 0.06:
        return random.choice(_JUNK)
    if isinstance(value, dict):
        return {key: _spoilt(each, random, depth + 1) for key, each in value.items() if random.random() > 0.03}
    if isinstance(value, list):
        return [_spoilt(each, random, depth + 1) for each in value if random.random() > 0.03]
    return value


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 400, 100))
def test_spoilt_cases_never_crash_and_use_known_rules(first: int):
    services = {"vm:1": {"node": "node1", "state": "started"}, "fa:110": {"node": "node2", "state": "started"}}
    rules = [{"kind": "node-affinity", "nodes": "node1:2,node3", "resources": "vm:1", "strict": "1"}]
    initial = {"r1": ["Started", "a", ""], "r2": ["FAILED", "b", "disabled"]}
    cases = [
        story(services, [120, "network node1 off"], [150, "service vm:1 migrate node3"], rules=rules),
        question({"a": "UNCLEAN (offline)", "b": "online", "c": "pending"}, initial, order=[["r1", "r2", None]],
                 colocation=[["r1", "r2", "-INFINITY"]], location=[["r1", "b", 100]], fence=[["off", "a", ""]]),
    ]  # fmt: skip
    for seed in range(first, first + 100):
        random = Random(seed)
        result = replay(_spoilt(random.choice(cases), random), f"seed {seed}")
        assert result.lines()
        if not result.supported:
            assert {d.rule for d in result.differences} <= set(RULES)
