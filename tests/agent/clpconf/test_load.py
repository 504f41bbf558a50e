"""From clp.conf to the model: defaults, references, and everything that is wrong, with its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from agent.clpconf.load import load
from agent.clpconf.model import (
    Activation,
    Cluster,
    Device,
    Group,
    Heartbeat,
    Monitor,
    PartitionResolver,
    Preaction,
    Resource,
)
from agent.clpconf.schema import IP, SCRIPT, Param, TypeSpec, integer

if TYPE_CHECKING:
    from conftest import Conf

CATALOG = {
    "fip": TypeSpec("fip", "", params=(Param("parameters/ip", "Address", IP, required=True),)),
    "exec": TypeSpec(
        "exec", "", params=(Param("parameters/act/path", "Start", SCRIPT),), depends_on=("fip",),
        activation_timeout_s=1980, activation_retry=2, deactivation_timeout_s=1990,
    ),
    "ipw": TypeSpec("ipw", "", params=(Param("parameters/list@*/ip", "Targets", IP, required=True),)),
    "pidw": TypeSpec("pidw", ""),
    "userw": TypeSpec("userw", ""),
    "lanhb": TypeSpec("lanhb", "", params=(Param("device", "Device", integer(0, 299)),)),
    "pingnp": TypeSpec("pingnp", "", params=(Param("grp@*/list@*/ip", "Targets", IP, required=True),)),
    "majonp": TypeSpec("majonp", ""),
    "future": TypeSpec("future", "", ready=False),
}  # fmt: skip


def cluster_of(conf: Conf) -> Cluster:
    loaded = load(conf.write(), CATALOG)
    assert [str(f) for f in loaded.findings if f.severity != "note"] == []
    assert loaded.cluster is not None
    return loaded.cluster


def findings_of(conf: Conf) -> list[tuple[str, str, str]]:
    return [(f.severity, f.code, f.path) for f in load(conf.write(), CATALOG).findings if f.code != "types.register"]


def test_smallest_cluster_gets_the_defaults_of_the_format(conf: Conf) -> None:
    cluster = cluster_of(conf)

    assert (cluster.name, cluster.comment, cluster.interval_s, cluster.timeout_s) == ("demo", "", 3.0, 90.0)
    assert (cluster.startup_wait_s, cluster.grace_s, cluster.self_fencing, cluster.npaction) == (300, 5, False, 2)
    assert cluster.server_names == ("server1", "server2")
    assert cluster.server("server2").devices == (
        Device(id=0, type="lan", info="10.0.0.2"),
        Device(id=1, type="lan", info="10.0.1.2"),
    )
    assert cluster.heartbeats == (
        Heartbeat(name="lanhb1", type="lanhb", priority=0, device=0),
        Heartbeat(name="lanhb2", type="lanhb", priority=1, device=1),
    )
    assert cluster.groups == (Group(name="failover1", resources=("fip1", "exec1"), policy=("server1", "server2")),)
    assert cluster.resource("fip1").values == {"parameters/ip": "10.0.0.100"}
    assert cluster.resource("exec1") == Resource(
        name="exec1",
        type="exec",
        activation=Activation(timeout_s=1980, retry=2, failover=1, action=1),
        deactivation=Activation(timeout_s=1990, retry=0, action=4),
        depends=None,
    )


def test_order_of_elements_carries_no_meaning(conf: Conf) -> None:
    conf.monitor = '<userw name="userw"><relation><type>cls</type><name>LocalServer</name></relation></userw>'
    text = conf.write().decode()
    head, body = text.split("<root>\n")
    lines = body.removesuffix("</root>").split("\n")

    backwards = head + "<root>\n" + "\n".join(reversed(lines)) + "</root>"

    assert load(backwards.encode(), CATALOG).cluster == load(text.encode(), CATALOG).cluster is not None


def test_sections_may_stand_twice(conf: Conf) -> None:
    conf.more = (
        '<resource><fip name="fip2"><parameters><ip>10.0.0.101</ip></parameters></fip></resource>'
        '<group name="failover2"><resource name="fip@fip2"/></group><cluster><haltp>1</haltp></cluster>'
    )
    cluster = cluster_of(conf)

    assert [r.name for r in cluster.resources] == ["fip1", "exec1", "fip2"]
    assert cluster.self_fencing


def test_times_of_the_cluster_are_milliseconds_and_those_of_our_own_section_seconds(conf: Conf) -> None:
    conf.cluster += "<heartbeat><interval>200</interval><timeout> 1000\n</timeout></heartbeat>"
    conf.more = "<openclp><startupwait>20</startupwait><grace>0.5</grace></openclp>"

    cluster = cluster_of(conf)

    assert (cluster.interval_s, cluster.timeout_s, cluster.startup_wait_s, cluster.grace_s) == (0.2, 1.0, 20, 0.5)


def test_userw_switches_self_fencing_on(conf: Conf) -> None:
    conf.monitor = '<userw name="userw"><relation><type>cls</type><name>LocalServer</name></relation></userw>'

    assert cluster_of(conf).self_fencing


def test_group_attributes_and_policy_in_its_own_order(conf: Conf) -> None:
    conf.group = (
        '<group name="failover1"><comment> web </comment><gid>7</gid><type>failover</type><resource name="fip@fip1"/>'
        '<resource name="exec@exec1"/><policy name="server1"><order>1</order></policy>'
        '<policy name="server2"><order>0</order></policy><start>0</start><failover>0</failover><failback>1</failback>'
        '<exclusive>2</exclusive><depend><act><depend name="failover2"/><timeout>9</timeout></act></depend></group>'
        '<group name="failover2"><resource name="fip@fip2"/><policy name="server2"><order>0</order></policy>'
        '<depend><deact><depend name="failover1"/></deact></depend></group>'
    )
    conf.resource += '<fip name="fip2"><parameters><ip>10.0.0.101</ip></parameters></fip>'

    first, second = cluster_of(conf).groups

    assert first == Group(
        name="failover1", gid=7, comment="web", resources=("fip1", "exec1"), policy=("server2", "server1"),
        autostart=False, auto_failover=False, auto_failback=True, exclusive=2, start_after=("failover2",),
        start_wait_s=9,
    )  # fmt: skip
    assert (second.policy, second.stop_after) == (("server2",), ("failover1",))


@pytest.mark.parametrize(
    ("depend", "expected"),
    [
        ("", None),
        ('<depend name=""/>', ()),
        ('<depend name=" "/>', ()),
        ('<depend name="fip1"/>', ("fip1",)),
        ('<depend name=""/><depend name="fip1"/>', ("fip1",)),
    ],
)
def test_depend_has_three_meanings(conf: Conf, depend: str, expected: tuple[str, ...] | None) -> None:
    conf.resource = conf.resource.replace('<exec name="exec1"/>', f'<exec name="exec1">{depend}</exec>')

    assert cluster_of(conf).resource("exec1").depends == expected


def test_steps_of_a_resource_and_values_of_one_server(conf: Conf) -> None:
    conf.resource = conf.resource.replace(
        '<exec name="exec1"/>',
        '<exec name="exec1"><act><timeout>480</timeout><retry>0</retry><fo>3</fo><action>5</action></act>'
        "<deact><timeout>360</timeout><retry>1</retry><action>5</action></deact>"
        '<parameters><act><path> start.sh </path></act></parameters><server name="server2"><parameters><act>'
        "<path>other.sh</path></act></parameters></server></exec>",
    )
    resource = cluster_of(conf).resource("exec1")

    assert resource.activation == Activation(timeout_s=480, retry=0, failover=3, action=5)
    assert resource.deactivation == Activation(timeout_s=360, retry=1, action=5)
    assert resource.on("server1") == {"parameters/act/path": "start.sh"}
    assert resource.on("server2") == {"parameters/act/path": "other.sh"}


def test_monitor_with_all_its_attributes_and_one_with_none(conf: Conf) -> None:
    conf.monitor = (
        '<ipw name="ipw1"><comment>gw</comment><target>fip1</target><parameters><list id="0"><ip>10.0.0.254</ip></list>'
        "</parameters><polling><interval>30</interval><timeout>10</timeout><reconfirmation>2</reconfirmation>"
        '<timing>1</timing><servers id="0"><name>server2</name></servers></polling><firstmonwait>5</firstmonwait>'
        "<relation><type>grp</type><name>failover1</name></relation>"
        "<emergency><threshold><restart>0</restart><fo>2</fo></threshold><action>4</action></emergency></ipw>"
        '<pidw name="pidw1"><target>exec1</target><relation><type>cls</type><name>LocalServer</name></relation></pidw>'
    )
    full, bare = cluster_of(conf).monitors

    assert full == Monitor(
        name="ipw1", type="ipw", comment="gw", target="fip1", timing="active", interval_s=30, timeout_s=10, retries=2,
        first_wait_s=5, servers=("server2",), recovery_type="grp", recovery_name="failover1", restart_threshold=0,
        failover_threshold=2, action=4, values={"parameters/list@0/ip": "10.0.0.254"},
    )  # fmt: skip
    assert bare == Monitor(
        name="pidw1", type="pidw", target="exec1", timing="always", interval_s=60, timeout_s=60, retries=0,
        recovery_type="cls", recovery_name="LocalServer", restart_threshold=3, failover_threshold=1, action=1,
    )  # fmt: skip


def test_order_between_groups_with_its_times_and_occasions(conf: Conf) -> None:
    conf.group += (
        '<group name="failover2"><resource name="fip@fip2"/><depend>'
        '<act><depend name="failover1"><sameserver>1</sameserver></depend><timeout>60</timeout></act>'
        '<deact><depend name="failover1"/><timeout>30</timeout><cluster><use>0</use></cluster><server><use>1</use>'
        "</server><other><use>1</use></other></deact></depend></group>"
    )
    conf.resource += '<fip name="fip2"><parameters><ip>10.0.0.101</ip></parameters></fip>'

    first, second = cluster_of(conf).groups

    assert (second.start_after, second.start_same_server, second.start_wait_s) == (("failover1",), ("failover1",), 60)
    assert (second.stop_after, second.stop_wait_s) == (("failover1",), 30)
    assert (second.stop_order_cluster, second.stop_order_server, second.stop_order_other) == (False, True, True)
    assert (first.start_wait_s, first.stop_wait_s) == (1800, 1800)
    assert (first.stop_order_cluster, first.stop_order_server, first.stop_order_other) == (True, False, False)


def test_script_before_recovery_and_flags_of_a_monitor(conf: Conf) -> None:
    relation = "<relation><type>cls</type><name>LocalServer</name></relation>"
    conf.monitor = (
        f'<pidw name="pidw1"><target>exec1</target>{relation}<openclp><observe>1</observe></openclp><emergency>'
        "<preaction><use>1</use><usefailover>1</usefailover><timeout>9</timeout></preaction><timeout><notreconfirmation>"
        "<use>1</use></notreconfirmation><notrecovery><use>1</use></notrecovery></timeout></emergency></pidw>"
        f'<pidw name="pidw2"><target>exec1</target>{relation}<emergency><preaction><path>x.sh</path></preaction>'
        "</emergency></pidw>"
    )
    first, second = cluster_of(conf).monitors

    assert first.preaction == Preaction(path="preaction.sh", timeout_s=9, failover=True, final=True)
    assert (first.observe, first.retry_timeout, first.recover_timeout) == (True, False, False)
    assert (second.preaction, second.observe, second.retry_timeout, second.recover_timeout) == (None, False, True, True)
    assert first.values == second.values == {}


def test_policies_of_the_whole_cluster_and_their_defaults(conf: Conf) -> None:
    found = cluster_of(conf)
    assert (found.stalled_action, found.max_reboots, found.quarantine_count, found.calm_s) == (4, 3, 3, 60)
    assert [found.survive_activation, found.survive_deactivation, found.survive_monitor] == [False] * 3

    conf.cluster += (
        "<survive><rscact>1</rscact><rscdeact>1</rscdeact><monitor>1</monitor></survive>"
        "<rsctimeout><rsctoaction>3</rsctoaction></rsctimeout>"
    )
    conf.more = (
        "<rc><errordetect><rscact><norecovery>1</norecovery></rscact><rscdeact><norecovery>1</norecovery></rscdeact>"
        "</errordetect></rc><rm><errordetect><norecovery>1</norecovery></errordetect></rm>"
        "<openclp><maxreboot><count>2</count><time>60</time></maxreboot><quarantine><count>5</count><window>50</window>"
        "<time>40</time></quarantine><calm>7</calm><failbackwait>8</failbackwait></openclp>"
    )
    found = cluster_of(conf)

    assert found.survive_activation
    assert found.survive_deactivation
    assert found.survive_monitor
    assert found.ignore_activation_errors
    assert found.ignore_deactivation_errors
    assert found.ignore_monitor_errors
    assert (found.stalled_action, found.max_reboots, found.max_reboots_s) == (5, 2, 60)
    assert (found.quarantine_count, found.quarantine_window_s, found.quarantine_s) == (5, 50, 40)
    assert (found.calm_s, found.failback_s) == (7, 8)


def test_unknown_stall_action_is_found_with_its_place(conf: Conf) -> None:
    conf.cluster += "<rsctimeout><rsctoaction>4</rsctoaction></rsctimeout>"

    (finding,) = load(conf.write(), CATALOG).errors

    assert finding.path == "/root/cluster/rsctimeout/rsctoaction"


def test_resolvers(conf: Conf) -> None:
    conf.more = (
        '<networkpartition><types name="pingnp"/><types name="majonp"/>'
        '<majonp name="majonp1"><priority>1</priority></majonp>'
        '<pingnp name="pingnp1"><priority>0</priority><device>10200</device>'
        '<grp id="0"><list id="0"><ip>10.0.0.254</ip></list></grp></pingnp></networkpartition>'
    )
    cluster = cluster_of(conf)

    assert cluster.majority
    assert cluster.resolvers == (
        PartitionResolver(name="pingnp1", type="pingnp", priority=0, device=10200,
                          values={"grp@0/list@0/ip": "10.0.0.254"}),
        PartitionResolver(name="majonp1", type="majonp", priority=1, device=0),
    )  # fmt: skip


def test_one_server_needs_no_heartbeat(conf: Conf) -> None:
    conf.servers = '<server name="server1"/>'
    conf.heartbeat = ""

    assert cluster_of(conf).server("server1").priority == 0


def test_model_survives_json(conf: Conf) -> None:
    cluster = cluster_of(conf)

    assert msgspec.json.decode(msgspec.json.encode(cluster), type=Cluster) == cluster


DEVICE = '<device id="0"><type>lan</type><info>10.0.0.2</info></device>'


@pytest.mark.parametrize(
    ("part", "old", "new", "expected"),
    [
        ("cluster", "<name>demo</name>", "", ("error", "value.missing", "/root/cluster/name")),
        ("cluster", "<comment>", "<haltp>yes</haltp><comment>", ("error", "value.syntax", "/root/cluster/haltp")),
        ("cluster", "<comment>", "<heartbeat><timeout>3000</timeout></heartbeat><comment>",
         ("error", "heartbeat.timeout", "/root/cluster/heartbeat/timeout")),
        ("cluster", "<comment>", "<heartbeat><interval>abc</interval></heartbeat><comment>",
         ("error", "value.syntax", "/root/cluster/heartbeat/interval")),
        ("cluster", "<comment>", "<name>x</name><comment>", ("warning", "value.duplicate", "/root/cluster/name")),
        ("servers", 'name="server2"', 'name="server1"', ("error", "name.duplicate", "/root/server@server1")),
        ("servers", 'name="server2"', 'name="../x"', ("error", "name.syntax", "/root/server@../x")),
        ("servers", 'name="server2"', "", ("error", "name.missing", "/root/server")),
        ("servers", 'name="server2"', 'name="Server2"', ("warning", "server.case", "/root/server@Server2")),
        ("servers", "<priority>1</priority>", "<priority>0</priority>",
         ("error", "server.priority", "/root/server@server1/priority")),
        ("servers", "<priority>1</priority>", "", ("error", "value.missing", "/root/server@server2/priority")),
        ("servers", DEVICE, "", ("error", "heartbeat.device", "/root/heartbeat/lanhb@lanhb1/device")),
        ("servers", DEVICE, DEVICE.replace("lan<", "mdc<"),
         ("error", "heartbeat.device", "/root/heartbeat/lanhb@lanhb1/device")),
        ("servers", DEVICE, DEVICE * 2, ("error", "device.duplicate", "/root/server@server2/device@0")),
        ("servers", "10.0.0.2", "host", ("error", "heartbeat.address", "/root/heartbeat/lanhb@lanhb1/device")),
        ("servers", "10.0.0.2", "10.0.0.1", ("error", "heartbeat.address", "/root/heartbeat/lanhb@lanhb1/device")),
        ("heartbeat", "lanhb", "diskhb", ("error", "heartbeat.none", "/root/heartbeat")),
        ("heartbeat", "<device>1</device>", "<device>0</device>", ("warning", "heartbeat.single", "/root/heartbeat")),
        ("heartbeat", "<device>1</device>", "", ("error", "value.missing", "/root/heartbeat/lanhb@lanhb2/device")),
        ("heartbeat", "<device>1</device>", "<device>300</device>",
         ("error", "value.range", "/root/heartbeat/lanhb@lanhb2/device")),
        ("group", "fip@fip1", "fip@fip9", ("error", "group.resource", "/root/group@failover1/resource@fip@fip9")),
        ("group", "fip@fip1", "exec@fip1", ("error", "group.resource", "/root/group@failover1/resource@exec@fip1")),
        ("group", '<resource name="fip@fip1"/>', "", ("warning", "resource.unused", "/root/resource/fip@fip1")),
        ("group", "</group>", '</group><group name="f2"/>', ("warning", "group.empty", "/root/group@f2")),
        ("group", "</group>", '</group><group name="f2"><resource name="fip@fip1"/></group>',
         ("error", "group.resource", "/root/group@f2/resource@fip@fip1")),
        ("group", "</group>", '<policy name="server9"><order>0</order></policy></group>',
         ("error", "policy.server", "/root/group@failover1/policy@server9")),
        ("group", "</group>", '<policy name="server1"><order>x</order></policy></group>',
         ("error", "value.syntax", "/root/group@failover1/policy@server1/order")),
        ("group", "</group>", '<depend><act><depend name="f9"/></act></depend></group>',
         ("error", "group.depend", "/root/group@failover1")),
        ("group", "</group>", '<depend><act><depend name="failover1"/></act></depend></group>',
         ("error", "group.cycle", "/root/group@failover1")),
        ("resource", '<exec name="exec1"/>', '<exec name="exec1"><depend name="x"/></exec>',
         ("error", "depend.unknown", "/root/resource/exec@exec1")),
        ("resource", '<exec name="exec1"/>', '<exec name="exec1"><depend depend="fip1"/></exec>',
         ("error", "depend.name", "/root/resource/exec@exec1/depend")),
        ("resource", '<exec name="exec1"/>', '<exec name="exec1"><act><retry>100</retry></act></exec>',
         ("error", "value.range", "/root/resource/exec@exec1/act/retry")),
        ("resource", '<exec name="exec1"/>', '<exec name="exec1"><deact><action>2</action></deact></exec>',
         ("error", "value.syntax", "/root/resource/exec@exec1/deact/action")),
        ("resource", '<exec name="exec1"/>', '<exec name="exec1"><deact><action>1</action></deact></exec>',
         ("warning", "resource.final_action", "/root/resource/exec@exec1/deact/action")),
        ("resource", '<exec name="exec1"/>', '<exec name="exec1"><server name="s9"/></exec>',
         ("error", "override.server", "/root/resource/exec@exec1/server@s9")),
        ("resource", "10.0.0.100", "%%FIP%%", ("error", "value.placeholder", "/root/resource/fip@fip1/parameters/ip")),
        ("resource", "<ip>10.0.0.100</ip>", "", ("error", "value.missing", "/root/resource/fip@fip1/parameters/ip")),
        ("monitor", "", '<pidw name="p"><target>x</target><relation><type>cls</type></relation></pidw>',
         ("error", "monitor.target", "/root/monitor/pidw@p/target")),
        ("monitor", "", '<pidw name="p"><polling><timing>1</timing></polling></pidw>',
         ("error", "monitor.target", "/root/monitor/pidw@p/target")),
        ("monitor", "", '<pidw name="p"><relation><type>grp</type><name>x</name></relation></pidw>',
         ("error", "monitor.recovery", "/root/monitor/pidw@p/relation/name")),
        ("monitor", "", '<pidw name="p"/>', ("note", "monitor.recovery", "/root/monitor/pidw@p")),
        ("monitor", "", '<pidw name="p"><polling><servers id="0"><name>x</name></servers></polling>'
         "<relation><type>cls</type></relation></pidw>",
         ("error", "monitor.server", "/root/monitor/pidw@p/polling/servers@0/name")),
        ("monitor", "", '<spyw name="s"><relation><type>cls</type></relation></spyw>',
         ("warning", "type.unknown", "/root/monitor/spyw@s")),
        ("monitor", "", '<future name="f"><relation><type>cls</type></relation></future>',
         ("warning", "type.not_ready", "/root/monitor/future@f")),
        ("more", "", "<all><serveros>windows</serveros></all>", ("note", "cluster.windows", "/root/all/serveros")),
    ],
)  # fmt: skip
def test_fault_is_found_with_its_place(
    conf: Conf, part: str, old: str, new: str, expected: tuple[str, str, str]
) -> None:
    text = getattr(conf, part)
    setattr(conf, part, text.replace(old, new) if old else new)

    loaded = load(conf.write(), CATALOG)

    assert expected in [(f.severity, f.code, f.path) for f in loaded.findings]
    finding = next(f for f in loaded.findings if f.code == expected[1])
    assert finding.line > 1
    assert finding.column >= 1
    assert finding.text.endswith(".")
    assert finding.remedy.endswith(".")
    assert (loaded.cluster is None) == any(f.severity == "error" for f in loaded.findings)


def test_no_server_at_all(conf: Conf) -> None:
    conf.servers = ""

    assert ("error", "server.none", "/root/server") in findings_of(conf)


def test_dependency_cycle_counts_defaults_of_the_types(conf: Conf) -> None:
    # exec follows fip by default, so that this closes a circle that no single line of the file shows.
    conf.resource = conf.resource.replace('<fip name="fip1">', '<fip name="fip1"><depend name="exec1"/>')

    loaded = load(conf.write(), CATALOG)

    assert [f.code for f in loaded.errors] == ["depend.cycle"]
    assert "exec1" in loaded.errors[0].text
    assert "fip1" in loaded.errors[0].text


def test_dependency_on_another_group_is_refused(conf: Conf) -> None:
    conf.resource += '<exec name="exec2"><depend name="fip1"/></exec>'
    conf.group += '<group name="failover2"><resource name="exec@exec2"/></group>'

    assert ("error", "depend.group", "/root/resource/exec@exec2") in findings_of(conf)


def test_value_missing_in_general_may_be_given_for_every_server(conf: Conf) -> None:
    each = "".join(f'<server name="server{n}"><parameters><ip>10.0.0.10{n}</ip></parameters></server>' for n in (1, 2))
    conf.resource = conf.resource.replace("<parameters><ip>10.0.0.100</ip></parameters>", each)

    assert findings_of(conf) == []


def test_bad_value_of_one_server_is_found(conf: Conf) -> None:
    conf.resource = conf.resource.replace(
        "</fip>", '<server name="server2"><parameters><ip>x</ip></parameters></server></fip>'
    )
    assert findings_of(conf) == [("error", "value.syntax", "/root/resource/fip@fip1/parameters/ip")]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(conf: Conf) -> None:
    conf.cluster = "<heartbeat><timeout>1</timeout></heartbeat>"
    conf.group = conf.group.replace("fip@fip1", "fip@fip7")
    conf.resource = conf.resource.replace("10.0.0.100", "no")

    findings = load(conf.write(), CATALOG).findings

    assert [f.code for f in findings if f.severity == "error"] == [
        "value.missing", "value.range", "group.resource", "value.syntax",
    ]  # fmt: skip
    assert [f.line for f in findings] == sorted(f.line for f in findings)


def test_without_a_catalog_everything_is_kept_with_a_warning(conf: Conf) -> None:
    loaded = load(conf.write(), {})

    assert loaded.cluster is not None
    assert loaded.cluster.resource("fip1").values == {"parameters/ip": "10.0.0.100"}
    assert {f.code for f in loaded.findings if f.severity == "warning"} == {"type.unknown"}


def test_broken_xml_gives_findings_and_nothing_else() -> None:
    loaded = load(b"<root>\n<cluster>", {})

    assert (loaded.cluster, loaded.document) == (None, None)
    assert [(f.code, f.line) for f in loaded.errors] == [("xml.unclosed", 1), ("xml.unclosed", 2)]


def test_wrong_root_is_refused() -> None:
    assert "xml.root" in [f.code for f in load(b"<html/>", {}).errors]


def test_real_file_gives_a_model_or_findings_with_places(real_conf: Path) -> None:
    loaded = load(real_conf.read_bytes(), CATALOG)

    assert loaded.cluster is not None or loaded.errors
    assert all(f.line > 0 and f.column > 0 and f.remedy for f in loaded.findings)


@pytest.mark.slow
def test_large_cluster_loads_whole() -> None:
    servers = "".join(
        f'<server name="s{n}"><priority>{n}</priority>'
        f'<device id="0"><type>lan</type><info>10.0.0.{n + 1}</info></device>'
        f'<device id="1"><type>lan</type><info>10.0.1.{n + 1}</info></device></server>\n'
        for n in range(32)
    )
    resources = "".join(
        f'<exec name="e{n}">\n  <comment> </comment>\n  <parameters>\n    <act>\n      <path>start.sh</path>\n'
        f"    </act>\n  </parameters>\n  <act>\n    <timeout>480</timeout>\n  </act>\n</exec>\n"
        for n in range(2500)
    )
    monitors = "".join(
        f'<pidw name="m{n}">\n  <comment/>\n  <target>e{n}</target>\n'
        f"  <polling>\n    <interval>30</interval>\n  </polling>\n"
        f"  <relation>\n    <type>rsc</type>\n    <name>e{n}</name>\n  </relation>\n</pidw>\n"
        for n in range(2500)
    )
    groups = "".join(
        f'<group name="g{g}"><gid>{g}</gid>'
        + "".join(f'<resource name="exec@e{5 * g + n}"/>' for n in range(5))
        + f'<policy name="s{g % 32}"><order>0</order></policy></group>\n'
        for g in range(500)
    )
    data = (
        '<?xml version="1.0" encoding="EUC-JP"?>\n<root><cluster><name>big</name></cluster>'
        f'{servers}<heartbeat><lanhb name="a"><priority>0</priority><device>0</device></lanhb>'
        '<lanhb name="b"><priority>1</priority><device>1</device></lanhb></heartbeat>'
        f"<resource>{resources}</resource><monitor>{monitors}</monitor>{groups}</root>"
    ).encode("euc_jp")

    loaded = load(data, CATALOG)

    assert loaded.cluster is not None
    assert (len(loaded.cluster.resources), len(loaded.cluster.monitors)) == (2500, 2500)
