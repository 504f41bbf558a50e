"""Rules for types that this version does not run."""

from __future__ import annotations

from dataclasses import replace

from agent.catalog import specs
from agent.clpconf.rules.types import NOT_READY
from agent.clpconf.validate import validate

CATALOG = specs()

MONITOR = '<psw name="{}"><parameters><processname>x</processname></parameters></psw>'
SD = '<types name="sd"/><sd name="sd1"/>'


def test_monitors_of_one_type_are_told_in_one_line(conf, judge):
    conf.monitor = '<types name="psw"/>' + "".join(MONITOR.format(name) for name in ("p1", "p2", "p3"))

    (finding,) = judge(NOT_READY)

    assert (finding.severity, finding.path) == ("warning", "/root/monitor/psw@p1")
    assert finding.text == "Type psw does not run in this version, so nothing is watched by p1, p2 and p3."


def test_group_that_cannot_start_is_named(conf):
    later = {**CATALOG, "exec": replace(CATALOG["exec"], ready=False)}

    (finding,) = [f for f in validate(conf.write(), later) if f.code == NOT_READY]

    assert finding.text == "Type exec does not run in this version, so failover1 cannot start with exec1."


def test_windows_types_are_told_unless_the_whole_file_is_for_windows(conf, judge):
    conf.resource += SD
    conf.group = conf.group.replace("</group>", '<resource name="sd@sd1"/></group>')
    assert [finding.text for finding in judge(NOT_READY)] == [
        "Type sd exists on Windows servers only; kept without effect: sd1."
    ]

    conf.more = "<all><serveros>windows</serveros></all>"
    assert judge(NOT_READY) == []
    assert [finding.code for finding in judge("cluster.windows")] == ["cluster.windows"]


def test_value_that_a_rule_explains_is_not_refused_twice(conf):
    conf.more = "<all><encode>Japanese</encode></all>"

    assert [f.code for f in validate(conf.write(), CATALOG) if f.path == "/root/all/encode"] == ["all.encode"]
