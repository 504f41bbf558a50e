"""The pure reducer: which report wins, when something is stale, what changes."""

from __future__ import annotations

import itertools
import json
import random

import pytest

from agent.clpconf import model
from agent.wire.status import apply
from tests.webmanager import stack
from tests.webmanager.stack import note, report
from webmanager import configs, frames
from webmanager.frames import FrameError
from webmanager.reducer import EVENTS_SHOWN, ClusterReducer


def reducer(*nodes: str) -> ClusterReducer:
    made = ClusterReducer("c")
    loaded, problem = configs.load(stack.config("c"))
    assert problem == ""
    made.configure(loaded)
    for node in nodes:
        made.hello(node, "hash", 0)
    return made


def frame(kind: str, rev: int, *reports: dict, age_s: float = 0.0, notes: tuple = (), **more) -> frames.Frame:
    known = {r["server"]: {"report": r, "age_s": age_s} for r in reports}
    return frames.decode(json.dumps({"type": kind, "rev": rev, "at": 0, "reports": known, "notes": notes, **more}))


def test_status_shows_what_servers_say_of_themselves():
    r = reducer("server1")
    r.feed(
        "server1", frame("snapshot", 1, report("server1", runs=("failover1",)), report("server2"), report("server3")), 1
    )
    r.refresh(1)
    assert r.status["groups"]["failover1"]["current"] == "server1"
    assert [s["status"] for s in r.status["servers"].values()] == ["Online"] * 3


def test_newest_report_wins_whoever_brings_it():
    r = reducer("server1", "server2")
    r.feed("server1", frame("snapshot", 1, report("server1", 5, runs=("failover1",))), 1)
    r.feed("server2", frame("snapshot", 1, report("server1", 4)), 2)
    assert r.sources(3)["server1"][0].seq == 5
    r.feed("server2", frame("change", 2, report("server1", 1, incarnation=2)), 3)
    assert r.sources(3)["server1"][0].incarnation == 2


def test_own_word_wins_over_a_fresher_relay_of_the_same_report():
    r = reducer("server1", "server2")
    r.feed("server1", frame("snapshot", 1, report("server1")), 1)
    r.feed("server2", frame("snapshot", 1, report("server1")), 2)
    assert r.sources(2)["server1"][2] == "server1"
    r.gone("server1")
    assert r.sources(2)["server1"][2] == "server2"


def test_ages_grow_and_alive_renews_them():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 7, report("server2"), age_s=0.5), 10)
    assert r.ages(11) == {"server2": 1.5}
    r.feed("server1", frames.decode('{"type":"alive","rev":7,"at":0,"ages":{"server2":0.2}}'), 12)
    assert r.ages(12) == {"server2": 0.2}


def test_silence_makes_a_server_unknown_without_any_message():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, report("server1", runs=("failover1",))), 1)
    r.refresh(1)
    assert not r.turned_stale(2)
    assert r.turned_stale(60)
    changes = r.refresh(60)
    assert ["servers", "server1"] in [c[:2] for c in changes]
    assert r.status["servers"]["server1"]["status"] == "Unknown"
    assert not r.turned_stale(61)


def test_refresh_without_news_changes_nothing_though_ages_grew():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, *(report(s) for s in stack.SERVERS)), 1)
    assert r.refresh(1)
    assert r.refresh(2) == []


@pytest.mark.parametrize(("kind", "rev"), [("change", 3), ("change", 1), ("alive", 2)])
def test_gap_is_refused(kind, rev):
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1), 1)
    with pytest.raises(FrameError, match="gap"):
        r.feed("server1", frame(kind, rev), 2)


def test_change_before_snapshot_is_refused():
    with pytest.raises(FrameError, match="snapshot must come first"):
        reducer("server1").feed("server1", frame("change", 1), 1)


def test_report_under_a_wrong_name_is_refused():
    bad = {"type": "snapshot", "rev": 1, "at": 0, "reports": {"server2": {"report": report("server1"), "age_s": 0}}}
    with pytest.raises(FrameError, match="about server1"):
        reducer("server1").feed("server1", frames.decode(json.dumps(bad)), 1)


def part(server: str, base: tuple[int, int, int], **changed) -> dict:
    return {server: {"part": changed, "base": base, "age_s": 0.0}}


def change(rev: int, told: dict) -> frames.Frame:
    return frames.decode(json.dumps({"type": "change", "rev": rev, "at": 0, "reports": told, "notes": []}))


def test_part_of_a_report_makes_the_next_one_of_it():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, report("server1", 5, runs=("failover1",))), 1)
    before = r.sources(1)["server1"][0]
    r.feed("server1", change(2, part("server1", (1, 5, 0), seq=6, groups={"failover1": None}, detail="Odd.")), 2)
    now = r.sources(2)["server1"][0]
    assert (now.seq, now.detail, "failover1" in now.groups) == (6, "Odd.", False)
    assert now.members is before.members


@pytest.mark.parametrize("told", [part("server1", (1, 4, 0), seq=6), part("server2", (1, 1, 0), seq=2)])
def test_part_of_a_report_that_was_not_told_is_a_gap(told):
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, report("server1", 5)), 1)
    with pytest.raises(FrameError, match="gap: a part of the report"):
        r.feed("server1", change(2, told), 2)


def test_snapshot_with_a_part_is_refused():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, report("server1", 5)), 1)
    text = json.dumps({"type": "snapshot", "rev": 1, "at": 0, "reports": part("server1", (1, 5, 0), seq=6)})
    with pytest.raises(FrameError, match="gap"):
        r.feed("server1", frames.decode(text), 2)


def test_relayed_parts_are_the_same_object_and_a_servers_own_word_counts():
    r = reducer("server1", "server2", "server3")
    for node in ("server1", "server2", "server3"):
        r.feed(node, frame("snapshot", 1, report("server1", 5)), 1)
    r.feed("server2", change(2, part("server1", (1, 5, 0), seq=6, detail="Said by server2.")), 2)
    r.feed("server3", change(2, part("server1", (1, 5, 0), seq=6, detail="Said by server3.")), 2)
    assert r.agents["server3"].reports["server1"].report is r.agents["server2"].reports["server1"].report
    r.feed("server1", change(2, part("server1", (1, 5, 0), seq=6, detail="Said by server1.")), 3)
    assert r.sources(3)["server1"][0].detail == "Said by server1."


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"type":"reboot"}', '{"type":"snapshot"}', '{"type":"alive","rev":"x"}']
)
def test_bad_frames_are_refused(text):
    with pytest.raises(FrameError, match="bad frame"):
        frames.decode(text)


def test_notes_of_two_agents_are_taken_once_and_sorted():
    r = reducer("server1", "server2")
    assert len(r.feed("server1", frame("snapshot", 1, notes=[note(2), note(3)]), 1)) == 2
    new = r.feed("server2", frame("snapshot", 1, notes=[note(1), note(2), note(3)]), 2)
    assert [n["id"] for n in new] == ["server1:1:1"]
    assert [n["id"][-1] for n in r.events] == ["1", "2", "3"]
    assert new[0]["causes"] == []


def test_only_the_newest_events_are_kept():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, notes=[note(n) for n in range(EVENTS_SHOWN + 50)]), 1)
    assert len(r.events) == EVENTS_SHOWN
    assert r.events[0]["id"] == "server1:1:50"


def test_disagreement_is_shown_in_the_cluster_detail():
    r = reducer("server1", "server2")
    r.feed("server1", frame("snapshot", 1, report("server1", epoch=(3, 0))), 1)
    r.feed("server2", frame("snapshot", 1, report("server2", epoch=(4, 1), coordinator="server2")), 1)
    r.refresh(1)
    assert "server1" in r.status["cluster"]["detail"]
    assert "server2" in r.status["cluster"]["detail"]


def test_different_configurations_are_shown():
    r = reducer("server1")
    r.hello("server2", "another", 0)
    r.refresh(1)
    assert "different configurations" in r.status["cluster"]["detail"]


def test_without_a_readable_configuration_the_servers_still_show():
    r = ClusterReducer("c")
    loaded, problem = configs.load(b"<root><cluster>")
    assert loaded is None
    r.configure(loaded, problem)
    r.hello("server1", "h", 0)
    r.feed("server1", frame("snapshot", 1, report("server1")), 1)
    r.refresh(1)
    assert list(r.status["servers"]) == ["server1"]
    assert "line 1" in r.status["cluster"]["detail"]


def test_newest_table_wins():
    r = reducer("server1", "server2")
    r.feed("server1", frame("snapshot", 1, table={"epoch": [2, 0], "version": 9}), 1)
    r.feed("server2", frame("snapshot", 1, table={"epoch": [3, 1], "version": 1}), 1)
    assert r.table().epoch == (3, 1)
    r.feed("server2", frame("change", 2), 2)
    assert r.table().epoch == (3, 1)
    r.feed("server2", frame("change", 3, table=None), 2)
    assert r.table().epoch == (2, 0)


def test_another_process_knows_the_same_from_snapshot_of():
    r, copy = reducer("server1"), reducer("server1")
    r.feed("server1", frame("snapshot", 4, *(report(s) for s in stack.SERVERS), age_s=0.3), 1)
    copy.feed("server1", r.snapshot_of("server1", 2), 2)
    r.refresh(2)
    copy.refresh(2)
    assert copy.status == r.status
    copy.feed("server1", frame("change", 5, report("server1", 2)), 3)


def test_what_is_known_already_is_no_news():
    r = reducer("server1", "server2")
    r.feed(
        "server1", frame("snapshot", 1, *(report(s) for s in stack.SERVERS), table={"epoch": [2, 0], "version": 1}), 1
    )
    r.feed("server2", frame("snapshot", 1, report("server2")), 1)
    r.refresh(1)
    r.feed("server2", frame("change", 2, report("server1"), table={"epoch": [2, 0], "version": 1}), 2)
    assert not r.stirred
    r.feed("server2", frame("change", 3, report("server1", 2)), 2)
    assert r.stirred
    assert r.refresh(2) == [["servers", "server1", r.status["servers"]["server1"]]]  # Its word came by server2 first.
    r.feed("server1", frame("change", 2, report("server1")), 2)
    assert not r.stirred
    r.feed("server1", frame("change", 3, report("server1", 2)), 2)
    assert r.stirred
    r.feed("server1", frame("change", 4, table={"epoch": [3, 0], "version": 1}), 2)
    assert r.refresh(2)
    assert not r.stirred
    r.gone("server1")
    assert r.stirred


def test_report_that_says_the_same_is_news_of_a_server_that_was_silent():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, report("server1")), 1)
    r.refresh(60)
    assert r.status["servers"]["server1"]["status"] == "Unknown"
    r.feed("server1", frame("change", 2, report("server1")), 61)
    assert r.stirred
    r.refresh(61)
    assert r.status["servers"]["server1"]["status"] == "Online"


def test_equal_text_is_read_once():
    r = reducer("server1", "server2")
    r.feed("server1", frame("snapshot", 1, report("server3")), 1)
    r.feed("server2", frame("snapshot", 1, report("server3")), 1)
    first, second = (r.agents[node].reports["server3"].report for node in ("server1", "server2"))
    assert first is second


def test_what_is_heard_counts_as_newer():
    r = reducer("server1", "server2")
    r.feed("server1", frame("snapshot", 1, {**report("server3"), "heard": 4}), 1)
    r.feed("server2", frame("snapshot", 1, {**report("server3"), "heard": 3}), 2)
    assert r.sources(2)["server3"][0].heard == 4


@pytest.mark.parametrize("bad", [{"table": {"epoch": "x"}}, {"table": 7}])
def test_of_a_bad_frame_nothing_is_taken(bad):
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, report("server1")), 1)
    with pytest.raises(FrameError, match="bad frame: the table"):
        r.feed("server1", frame("change", 2, report("server1", 2), **bad), 2)
    assert r.sources(2)["server1"][0].seq == 1
    with pytest.raises(FrameError, match="bad frame: the report under server1"):
        r.feed("server1", frame("change", 2, report("server2", 2), {"server": "server1", "seq": "x"}), 2)
    assert r.sources(2).keys() == {"server1"}
    r.feed("server1", frame("change", 2, report("server1", 3)), 2)
    assert r.sources(2)["server1"][0].seq == 3


@pytest.mark.parametrize("seed", range(30))
def test_snapshot_and_changes_give_what_a_fresh_snapshot_gives(seed):
    dice = random.Random(seed)
    r = reducer(*stack.SERVERS)
    revs, seqs, told = dict.fromkeys(stack.SERVERS, 1), itertools.count(2), {}
    for node in stack.SERVERS:
        r.feed(node, frame("snapshot", 1, report(node)), 0)
    r.refresh(0)
    seen = {kind: dict(things) for kind, things in r.status.items()}
    for now in range(1, 40):
        node = dice.choice(stack.SERVERS)
        revs[node] += 1
        groups = tuple(dice.sample(("failover1", "failover2"), dice.randrange(3)))
        told[node] = report(node, next(seqs), runs=groups, service=dice.choice(("online", "leaving")))
        r.feed(node, frame("change", revs[node], told[node]), now)
        if dice.random() < 0.2:
            r.gone(dice.choice(stack.SERVERS))
        seen = apply(seen, r.refresh(now))
    fresh = reducer(*stack.SERVERS)
    for node, agent in r.agents.items():
        if not agent.connected:
            fresh.gone(node)
        fresh.feed(node, r.snapshot_of(node, 39), 39)
    fresh.refresh(39)
    assert ageless(seen) == ageless(fresh.status)


def ageless(status):
    servers = {name: {**server, "age_s": 0, "source": ""} for name, server in status["servers"].items()}
    return {**status, "servers": servers}


@pytest.mark.slow
def test_large_cluster_is_built_in_time():
    servers = tuple(model.Server(name=f"s{n}", priority=n) for n in range(32))
    names = tuple(s.name for s in servers)
    groups = tuple(model.Group(name=f"g{n}", resources=(f"r{n}",), policy=names) for n in range(500))
    act = model.Activation(timeout_s=1, retry=0)
    resources = tuple(model.Resource(name=f"r{n}", type="exec", activation=act, deactivation=act) for n in range(500))
    r = ClusterReducer("big")
    r.configure(model.Cluster(name="big", servers=servers, groups=groups, resources=resources))
    reports = [{**report(n, epoch=(1, 0)), "members": list(names), "paths": {}} for n in names]
    r.hello("s0", "h", 0)
    r.feed("s0", frame("snapshot", 1, *reports), 0)
    import time

    start = time.process_time()
    for now in range(10):
        r.refresh(now)
    assert (time.process_time() - start) / 10 < 0.5  # 50 ms on a quiet machine
