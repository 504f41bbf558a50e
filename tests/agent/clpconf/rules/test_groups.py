"""Rules for groups: policies, exclusion, order, and contradictions in words."""

from __future__ import annotations

import itertools

import pytest

from agent.clpconf.model import Group
from agent.clpconf.rules.groups import _crowd


def group(name: str, *servers: str, exclusive: int = 0, more: str = "", resource: str = "") -> str:
    policy = "".join(f'<policy name="{s}"><order>{n}</order></policy>' for n, s in enumerate(servers))
    kept = f"<exclusive>{exclusive}</exclusive>" if exclusive else ""
    return f'<group name="{name}"><resource name="exec@{resource or name}x"/><gid>0</gid>{policy}{kept}{more}</group>'


def use(conf, *groups: str) -> None:
    conf.group = "".join(groups)
    names = [text.split("exec@")[1].split('"')[0] for text in groups]
    conf.resource = '<types name="exec"/>' + "".join(f'<exec name="{name}"/>' for name in names)


def texts(findings) -> list[str]:
    return [finding.text for finding in findings]


def test_group_without_a_number_is_noted(conf, judge):
    assert [(f.severity, f.path) for f in judge("group.gid")] == [("note", "/root/group@failover1")]


def test_unknown_type_of_group_is_found(conf, judge):
    use(conf, group("failover1", more="<type>failver</type>"))

    assert [f.path for f in judge("group.type")] == ["/root/group@failover1/type"]


def test_policy_that_names_nobody_is_an_error(conf, judge):
    use(conf, group("failover1", "server7", "server8"))

    assert [(f.severity, f.path) for f in judge("policy.none")] == [("error", "/root/group@failover1")]


def test_policy_with_equal_orders_is_found(conf, judge):
    use(conf, group("failover1", "server1", "server2").replace("<order>1", "<order>0"))

    assert texts(judge("policy.order")) == [
        "In the policy of failover1 the servers server1 and server2 have the same order 0."
    ]


def test_group_for_one_server_and_server_for_no_group_are_noted(conf, judge):
    use(conf, group("failover1", "server1"))

    assert [f.path for f in judge("policy.single")] == ["/root/group@failover1"]
    assert [f.path for f in judge("server.idle")] == ["/root/server@server2"]


def test_groups_that_must_be_apart_have_only_one_server(conf, judge):
    use(conf, group("failover1", "server1", exclusive=2), group("failover2", "server1", exclusive=2))

    found = judge("exclusion.")

    assert texts(found) == ["failover1 and failover2 must be apart, but both may run only on server1."]
    assert found[0].severity == "error"
    assert found[0].path == "/root/group@failover2/exclusive"


def test_three_groups_must_be_apart_on_two_servers(conf, judge):
    use(conf, *(group(f"failover{n}", exclusive=2) for n in (1, 2, 3)))

    assert texts(judge("exclusion.")) == [
        "failover1, failover2 and failover3 must be apart, but all 3 may run only on server1 and server2."
    ]


def test_normal_exclusion_never_contradicts(conf, judge):
    use(conf, *(group(f"failover{n}", "server1", exclusive=1) for n in (1, 2, 3)))

    assert judge("exclusion.") == []


def test_normally_exclusive_group_shares_with_no_absolute_one(conf, judge):
    use(conf, group("failover1", "server1", exclusive=2), group("failover2", "server1", exclusive=1))

    assert texts(judge("exclusion.")) == ["failover1 and failover2 must be apart, but both may run only on server1."]


def test_exclusion_that_a_failure_breaks_is_noted(conf, judge):
    use(conf, group("failover1", exclusive=2), group("failover2", exclusive=2))

    found = judge("exclusion.")

    assert [f.severity for f in found] == ["note"]
    assert found[0].text == (
        "When server1 is down, one of failover1 and failover2 stays down: they must be apart, and may then run only on "
        "server2."
    )


def test_crowd_is_what_trying_all_placements_says():
    """For all small cases: a crowd exists exactly when no assignment of different servers does."""
    servers = ("a", "b", "c")
    choices = [c for size in (1, 2) for c in itertools.combinations(servers, size)]
    for policies in itertools.product(choices, repeat=3):
        groups = [Group(name=f"g{n}", policy=policy, exclusive=2) for n, policy in enumerate(policies)]
        possible = any(len(set(placed)) == 3 for placed in itertools.product(*policies))

        crowd = _crowd(groups, ())

        assert (crowd is None) == possible
        if crowd is not None:
            names, reached = crowd
            assert len(names) > len(reached)
            assert all(set(g.policy) <= set(reached) for g in groups if g.name in names)


START = '<depend><act><depend name="{}"/></act></depend>'


def test_group_that_waits_for_a_manual_one_is_found(conf, judge):
    use(conf, group("failover1", more="<start>0</start>"), group("failover2", more=START.format("failover1")))

    assert texts(judge("order.")) == [
        "failover2 starts by itself after failover1, which starts by hand only: it waits 1800 s and then stays down."
    ]


def test_order_on_the_same_server_needs_a_shared_one(conf, judge):
    same = '<depend><act><depend name="failover1"><sameserver>1</sameserver></depend></act></depend>'
    use(conf, group("failover1", "server1"), group("failover2", "server2", more=same))

    assert [f.code for f in judge("order.")] == ["order.same_server"]


def test_stop_order_against_the_start_order_is_found(conf, judge):
    both = '<depend><act><depend name="failover1"/></act><deact><depend name="failover1"/></deact></depend>'
    use(conf, group("failover1"), group("failover2", more=both))

    assert [f.code for f in judge("order.")] == ["order.crossed"]


def test_start_order_in_a_circle_is_an_error(conf, judge):
    use(conf, group("failover1", more=START.format("failover2")), group("failover2", more=START.format("failover1")))

    assert [f.severity for f in judge("group.cycle")] == ["error"]


def test_failback_with_one_server_is_noted(conf, judge):
    use(conf, group("failover1", "server1", more="<failback>1</failback>"))

    assert [f.path for f in judge("group.failback")] == ["/root/group@failover1/failback"]


@pytest.mark.parametrize(("name", "found"), [("failover1", 1), ("other", 0)])
def test_one_name_stands_for_one_thing(conf, judge, name, found):
    conf.monitor = f'<types name="userw"/><userw name="{name}"/>'

    assert len(judge("name.shared")) == found
