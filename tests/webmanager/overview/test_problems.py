"""What is wrong with a cluster, in a few facts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import translation

from tests.browser.cluster import MadeUp
from webmanager.overview import problems
from webmanager.overview.problems import SENTENCES, say, worst


def found(cluster: MadeUp) -> list[tuple[str, str, str]]:
    told = problems.problems(cluster.status(), cluster.agents())
    return [(one.look, one.code, one.name) for one in told]


def test_nothing_is_wrong_with_a_healthy_cluster():
    cluster = MadeUp()
    assert found(cluster) == []
    assert worst([]) == "good"


def test_worst_comes_first():
    cluster = MadeUp()
    cluster.monitor_errors["ipw1", "server1"] = "No answer."
    cluster.put("failover2", "server2", state="Online Failure")
    cluster.cut.add(("lanhb1", "server2"))
    looks = [look for look, _, _ in found(cluster)]

    assert looks == sorted(looks, key=problems.RANKS.__getitem__)
    assert {("bad", "failed", "failover2"), ("bad", "monitor", "ipw1"), ("warn", "path", "lanhb1")} <= set(
        found(cluster)
    )
    assert worst(problems.problems(cluster.status(), cluster.agents())) == "bad"


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda c: c.also("failover1", "server3"), ("bad", "twice", "failover1")),
        (lambda c: c.nowhere("failover1"), ("bad", "nowhere", "failover1")),
        (lambda c: c.put("failover1", "server2", state="Online Pending"), ("busy", "moving", "failover1")),
        (lambda c: c.quarantined.add("server2"), ("warn", "quarantine", "server2")),
        (lambda c: c.crash("server3"), ("warn", "unproven", "server3")),
        (lambda c: c.away.update(c.names), ("unknown", "silent", "")),
    ],
)  # fmt: skip
def test_each_trouble_is_found(act, expected):
    cluster = MadeUp()
    act(cluster)
    assert expected in found(cluster)


def test_group_that_an_operator_stopped_is_no_trouble():
    cluster = MadeUp()
    cluster.nowhere("failover1")
    cluster.held.add("failover1")
    assert found(cluster) == []


def test_cluster_that_never_reported_is_not_well():
    assert [one.code for one in problems.problems(None, {})] == ["never"]
    assert worst(problems.problems(None, {})) == "unknown"


def test_silence_says_more_than_what_was_wrong_before_it():
    cluster = MadeUp()
    cluster.nowhere("failover1")
    cluster.away.update(cluster.names)
    told = problems.problems(cluster.status(), cluster.agents())
    assert [one.code for one in told[:2]] == ["silent", "nowhere"]
    assert worst(told) == "unknown"


def test_wrong_clock_is_told():
    cluster = MadeUp()
    agents = cluster.agents()
    agents["server2"]["ahead_s"] = -90.0
    (one,) = problems.problems(cluster.status(), agents)
    assert say(one.as_dict()) == "The clock of server2 is wrong by -90 s."


def test_what_a_server_says_within_a_fact_is_in_the_readers_language():
    fact = {"code": "remark", "name": "server1", "detail": "Lost: no heartbeat."}
    with translation.override("ja"):
        assert say(fact).endswith("server1: ハートビートが途絶えました。")
    assert say(fact) == "Server server1: Lost: no heartbeat."


def test_every_fact_has_its_sentence():
    source = Path(problems.__file__).read_text()
    codes = set(re.findall(r'(?:Problem|found)\("\w+", "(\w+)"', source)) | {"both", "nobody", "path", "resolver"}
    codes |= {*problems._OF_MIRRORS.values(), "mirror_single"}
    assert codes | {"caution", "monitor"} == set(SENTENCES)
    for code in SENTENCES:
        assert say({"code": code, "name": "x", "detail": "y"})
