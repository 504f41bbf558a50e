"""Two files differ in what they mean, not in how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.catalog import specs
from agent.clpconf.archive import Script
from agent.clpconf.diff import SECRET_TEXT, Difference, diff, diff_scripts
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit
from agent.clpconf.objects import find, find_all
from agent.clpconf.plan import Plan, Times, plan
from tests.agent.clpconf.conftest import Conf

SPECS = specs()


def differences(before: bytes, after: bytes) -> list[Difference]:
    return diff(Document.read(before), Document.read(after), SPECS)


def after(conf: Conf, *steps: Callable[[Edit], object]) -> bytes:
    edit = Edit(Document.read(conf.write()), SPECS)
    for step in steps:
        step(edit)
    return edit.document.write()


def short(found: list[Difference]) -> list[tuple[str, str, str, str, str, str, str]]:
    return [(d.change, d.kind, d.name, d.label, d.before, d.after, d.applies) for d in found]


def of(conf: Conf, *steps: Callable[[Edit], object]) -> list[tuple[str, str, str, str, str, str, str]]:
    return short(differences(conf.write(), after(conf, *steps)))


@pytest.fixture
def conf(conf: Conf) -> Conf:
    conf.monitor = (
        '<types name="pidw"/><pidw name="pidw1"><target>exec1</target><polling><interval>30</interval></polling>'
        "<relation><type>rsc</type><name>exec1</name></relation></pidw>"
    )
    conf.more = (
        "<webmgr><client><objectnumber>1</objectnumber></client></webmgr><trekking><configid>1</configid></trekking>"
    )
    return conf


def test_how_a_file_is_written_makes_no_difference(conf: Conf) -> None:
    data = conf.write()
    other = data.replace(b"><", b">\r\n\t<!-- c --><").replace(b"<interval>30<", b"<interval> 030\n<")
    other = other.replace(b"</fip>", b"<comment> </comment></fip>").replace(b'<types name="fip"/>', b"")
    other = other.replace(b"<objectnumber>1<", b"<objectnumber>9<").replace(b"<configid>1<", b"<configid>9<")

    assert differences(data, other) == []
    assert differences(other, data) == []


def test_default_that_is_written_out_makes_no_difference(conf: Conf) -> None:
    data = conf.write()
    written = (
        b'<exec name="exec1"><act><timeout>1980</timeout><retry>0</retry></act>'
        b"<parameters><act><path>start.sh</path></act></parameters></exec>"
    )
    other = data.replace(b'<exec name="exec1"/>', written)
    other = other.replace(b"<name>demo</name>", b"<name>demo</name><heartbeat><timeout>90000</timeout></heartbeat>")

    assert differences(data, other) == []
    assert differences(other, data) == []


def test_policy_of_all_servers_in_their_order_is_the_default(conf: Conf) -> None:
    assert of(conf, lambda e: e.set_policy("failover1", ["server1", "server2"])) == []
    assert of(conf, lambda e: e.set_policy("failover1", ["server2", "server1"])) == [
        ("changed", "group", "failover1", "Failover policy", "(all servers by priority)", "server2, server1", "noted")
    ]


def test_changed_value_is_named_with_its_label_default_and_what_it_needs(conf: Conf) -> None:
    found = differences(conf.write(), after(conf, lambda e: e.set("monitor/pidw@pidw1/polling/interval", "5"),
                                            lambda e: e.set("cluster/heartbeat/timeout", "30000")))  # fmt: skip

    assert short(found) == [
        ("added", "section", "cluster", "Heartbeat timeout", "", "30000", "suspend"),
        ("changed", "monitor", "pidw1", "Interval", "30", "5", "monitor"),
    ]
    assert [(d.path, d.default) for d in found] == [
        ("/root/cluster/heartbeat/timeout", "90000"),
        ("/root/monitor/pidw@pidw1/polling/interval", "60"),
    ]


def test_new_object_comes_with_its_values_and_a_gone_one_alone(conf: Conf) -> None:
    step = [
        lambda e: e.add_monitor("ipw", "i"),
        lambda e: e.set_list("monitor/ipw@i/parameters/list@*/ip", ["10.0.0.9"]),
    ]

    assert of(conf, *step) == [
        ("added", "monitor", "i", "", "", "", "monitor"),
        ("added", "monitor", "i", "Kind of the recovery target", "", "cls", "monitor"),
        ("added", "monitor", "i", "Recovery target", "", "LocalServer", "monitor"),
        ("added", "monitor", "i", "IP address", "", "10.0.0.9", "monitor"),
    ]
    assert short(differences(after(conf, *step), conf.write())) == [("removed", "monitor", "i", "", "", "", "monitor")]


def test_renamed_objects_are_recognised_and_their_mentions_say_nothing(conf: Conf) -> None:
    steps = (
        lambda e: e.set_policy("failover1", ["server2", "server1"]),
        lambda e: e.set_depends("exec1", ["fip1"]),
    )
    start = after(conf, *steps)
    edit = Edit(Document.read(start), SPECS)
    edit.rename("resource/fip@fip1", "address")
    edit.rename("resource/exec@exec1", "web")
    edit.rename("server@server1", "alpha")
    edit.rename("group@failover1", "shop")
    edit.rename("monitor/pidw@pidw1", "watch")

    found = differences(start, edit.document.write())
    assert {(d.change, d.kind, d.before, d.after, d.applies) for d in found} == {
        ("renamed", "server", "server1", "alpha", "stop"),
        ("renamed", "group", "failover1", "shop", "group"),
        ("renamed", "resource", "fip1", "address", "group"),
        ("renamed", "resource", "exec1", "web", "group"),
        ("renamed", "monitor", "pidw1", "watch", "monitor"),
    }


def test_renamed_and_changed_in_one_go_is_another_object(conf: Conf) -> None:
    changes = of(conf, lambda e: e.rename("resource/fip@fip1", "address"),
                 lambda e: e.set("resource/fip@address/parameters/ip", "10.0.0.101"))  # fmt: skip

    assert [(d[0], d[2]) for d in changes] == [("removed", "fip1"), ("added", "address"), ("added", "address")]


def test_resource_in_another_group_has_moved(conf: Conf) -> None:
    assert of(conf, lambda e: e.add_group("g2"), lambda e: e.move_resource("fip1", "g2")) == [
        ("added", "group", "g2", "", "", "", "noted"),
        ("moved", "resource", "fip1", "", "failover1", "g2", "group"),
    ]


def test_dependencies_are_compared_by_what_they_mean(conf: Conf) -> None:
    assert of(conf, lambda e: e.set_depends("exec1", ())) == [
        ("changed", "resource", "exec1", "Depends on", "(default of the type)", "(none)", "group")
    ]


def test_order_of_servers_and_heartbeats_counts_not_their_numbers(conf: Conf) -> None:
    data = conf.write()
    shifted = re.sub(rb"<priority>(\d)<", lambda m: b"<priority>%d<" % (int(m[1]) * 10 + 3), data)

    assert differences(data, shifted) == []
    assert of(conf, lambda e: e.order("heartbeat", ["lanhb2"]), lambda e: e.order("server", ["server2"])) == [
        ("changed", "server", "", "Priority", "server1, server2", "server2, server1", "stop"),
        ("changed", "heartbeat", "", "Priority", "lanhb1, lanhb2", "lanhb2, lanhb1", "suspend"),
    ]


def test_lists_are_compared_without_their_numbers(conf: Conf) -> None:
    pattern = "monitor/ipw@i/parameters/list@*/ip"
    base = after(conf, lambda e: e.add_monitor("ipw", "i"), lambda e: e.set_list(pattern, ["10.0.0.1", "10.0.0.2"]))
    edit = Edit(Document.read(base), SPECS)
    edit.set_list(pattern, ["10.0.0.2", "10.0.0.1"])
    assert differences(base, edit.document.write()) == []
    edit.set_list(pattern, ["10.0.0.2", "10.0.0.7"])
    assert short(differences(base, edit.document.write())) == [
        ("changed", "monitor", "i", "IP address", "10.0.0.1", "10.0.0.7", "monitor")
    ]


def test_secret_is_never_told(conf: Conf) -> None:
    steps = (
        lambda e: e.add_monitor("mysqlw", "m"),
        lambda e: e.set("monitor/mysqlw@m/parameters/password", "old-word"),
    )
    base = after(conf, *steps)
    edit = Edit(Document.read(base), SPECS)
    edit.set("monitor/mysqlw@m/parameters/password", "new-word")
    edit.set("resource/fip@fip1/parameters/unknown_password", "third-word")

    found = differences(base, edit.document.write())

    assert [(d.before, d.after, d.secret) for d in found] == [("", SECRET_TEXT, True), (SECRET_TEXT, SECRET_TEXT, True)]
    assert "word" not in repr([(d.before, d.after, d.default) for d in found])


def test_value_that_nobody_knows_is_a_difference_without_effect(conf: Conf) -> None:
    assert of(conf, lambda e: e.set("resource/fip@fip1/color", "red"), lambda e: e.set("strange/thing", "1")) == [
        ("added", "section", "strange", "thing", "", "1", "noted"),
        ("added", "resource", "fip1", "color", "", "red", "noted"),
    ]


def test_device_counts_once_however_often_it_is_written(conf: Conf) -> None:
    base = after(conf, lambda e: e.add_device("server1", "mdc", 400, "10.0.2.1"))
    single = base.replace(b"<mdc><info>10.0.2.1</info></mdc>", b"")
    assert single != base

    assert differences(base, single) == []
    assert differences(conf.write(), base)[0].name == "server1/400"


def test_value_of_one_server_differs_from_the_general_one(conf: Conf) -> None:
    path = "resource/fip@fip1/server@server2/parameters/ip"

    assert of(conf, lambda e: e.set(path, "10.0.1.100")) == [
        ("added", "resource", "fip1", "IP address (server2)", "", "10.0.1.100", "group")
    ]


def test_scripts_are_compared_by_content_and_mode() -> None:
    before = {"g/e/start.sh": Script(b"1", 0o755), "g/e/stop.sh": Script(b"1", 0o755), "old": Script(b"")}
    now = {"g/e/start.sh": Script(b"2", 0o755), "g/e/stop.sh": Script(b"1", 0o700), "new": Script(b"")}

    found = [(d.change, d.name, d.label, d.before, d.after) for d in diff_scripts(before, now)]

    assert found == [
        ("changed", "g/e/start.sh", "Content", "", ""),
        ("changed", "g/e/stop.sh", "Mode", "0755", "0700"),
        ("added", "new", "", "", ""),
        ("removed", "old", "", "", ""),
    ]


def test_real_file_equals_itself_however_its_objects_are_ordered(real_conf: Path) -> None:
    data = real_conf.read_bytes()
    document, turned = Document.read(data), Document.read(data)
    for section in turned.root.children:
        section.content.reverse()
    turned.root.content.reverse()
    twice = find_all(turned.root, "trekking") and len(find_all(turned.root, "all")) > 1

    assert diff(document, Document.read(data), SPECS) == []
    assert diff(document, turned, SPECS) == [] or twice


def test_differences_of_real_files_lead_from_one_to_the_other(real_conf: Path) -> None:
    """There and back the same objects are named, with before and after exchanged."""
    data = real_conf.read_bytes()
    edit = Edit(Document.read(data), SPECS)
    edit.set("cluster/comment", "x")
    edit.add_server("zz")
    forth = diff(Document.read(data), edit.document, SPECS)
    back = diff(edit.document, Document.read(data), SPECS)

    assert {(d.kind, d.name, d.before, d.after) for d in forth if d.label} == {
        (d.kind, d.name, d.after, d.before) for d in back if d.label
    }


# Plans -------------------------------------------------------------------------------------------------------


def planned(conf: Conf, *steps: Callable[[Edit], object], measured: dict[str, Times] | None = None) -> Plan:
    before, now = Document.read(conf.write()), Document.read(after(conf, *steps))
    return plan(diff(before, now, SPECS), before, now, SPECS, measured)


def test_plan_of_nothing_says_so(conf: Conf) -> None:
    assert planned(conf).level == "nothing"
    assert planned(conf).words() == ["Nothing changes."]


def test_comment_is_only_noted(conf: Conf) -> None:
    found = planned(conf, lambda e: e.set("resource/fip@fip1/comment", "x"))

    assert (found.level, found.groups, found.monitors) == ("noted", (), ())


def test_monitor_restarts_alone(conf: Conf) -> None:
    found = planned(conf, lambda e: e.set("monitor/pidw@pidw1/polling/interval", "5"))

    assert (found.level, found.words()) == ("monitor", ["Monitor pidw1 restarts: pidw1: Interval."])


def test_group_restarts_for_as_long_as_its_timeouts_allow(conf: Conf) -> None:
    found = planned(conf, lambda e: e.set("resource/fip@fip1/parameters/ip", "10.0.0.101"))

    # fip: 180 s both ways; exec: 1980 s.
    assert [(g.name, g.step, g.stop_s, g.start_s, g.measured) for g in found.groups] == [
        ("failover1", "restarts", 2160, 2160, False)
    ]
    assert found.words() == [
        "Group failover1 stops and starts again, at most 72 min by its timeouts: fip1: IP address."
    ]


def test_group_restarts_for_as_long_as_it_took_lately(conf: Conf) -> None:
    times = {"fip1": Times(0.5, 1.5), "exec1": Times(4, 6)}
    found = planned(conf, lambda e: e.set("resource/fip@fip1/parameters/ip", "10.0.0.101"), measured=times)

    assert found.words() == ["Group failover1 stops and starts again, about 12 s as measured: fip1: IP address."]


def test_moved_resource_restarts_both_groups_and_a_new_group_only_starts(conf: Conf) -> None:
    found = planned(conf, lambda e: e.add_group("g2"), lambda e: e.move_resource("fip1", "g2"))

    assert {(g.name, g.step) for g in found.groups} == {("failover1", "restarts"), ("g2", "starts")}
    assert found.level == "group"
    new = planned(conf, lambda e: e.add_group("g2"), lambda e: e.add_resource("g2", "exec", "e"))
    assert (new.level, [(g.name, g.step) for g in new.groups]) == ("noted", [("g2", "starts")])


def test_removed_group_stops_for_good(conf: Conf) -> None:
    found = planned(conf, lambda e: e.remove("group@failover1"))

    assert [(g.name, g.step, g.start_s) for g in found.groups] == [("failover1", "stops", 0)]
    assert [(m.name, m.step) for m in found.monitors] == [("pidw1", "stops")]


def test_renamed_group_is_one_restart(conf: Conf) -> None:
    found = planned(conf, lambda e: e.rename("group@failover1", "shop"))

    assert [(g.name, g.step) for g in found.groups] == [("shop", "restarts")]


def test_hardest_need_is_the_level_and_comes_first(conf: Conf) -> None:
    found = planned(conf, lambda e: e.set("cluster/heartbeat/timeout", "30000"), lambda e: e.add_server("server3"))

    assert found.level == "stop"
    assert [line.split(":")[0] for line in found.words()][:2] == [
        "The cluster must be stopped on all servers meanwhile",
        "The cluster is suspended meanwhile, so that nothing is recovered",
    ]


def test_address_of_a_heartbeat_needs_a_suspended_cluster(conf: Conf) -> None:
    found = planned(conf, lambda e: e.set("server@server1/device@0/info", "10.0.0.9"))

    assert found.level == "suspend"
    assert find(Document.read(conf.write()).root, "server@server1/device@0") is not None
