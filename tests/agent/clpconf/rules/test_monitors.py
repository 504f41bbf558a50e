"""Rules for monitors."""

from __future__ import annotations

import pytest

RECOVERY = "<relation><type>{}</type><name>{}</name></relation>"


def monitor(conf, *texts: str) -> None:
    kinds = dict.fromkeys(text[1:].split(" ")[0] for text in texts)
    conf.monitor = "".join(f'<types name="{kind}"/>' for kind in kinds) + "".join(texts)


def test_monitor_watches_a_resource_of_its_kind(conf, judge):
    monitor(conf, '<fipw name="fipw1"><target>exec1</target></fipw>')

    assert [f.text for f in judge("monitor.target")] == [
        "Monitor fipw1 can watch resources of type fip only; exec1 is of type exec."
    ]


def test_monitor_that_needs_a_target_has_one(conf, judge):
    monitor(conf, '<pidw name="pidw1"/>')

    assert [(f.severity, f.code) for f in judge("monitor.target")] == [("error", "monitor.target")]


@pytest.mark.parametrize("kind", ["mdw", "mdnw"])
def test_mirror_monitor_names_a_mirror(conf, judge, kind):
    monitor(conf, f'<{kind} name="w1"><parameters><object>exec1</object></parameters></{kind}>')

    assert [f.path for f in judge("monitor.object")] == [f"/root/monitor/{kind}@w1/parameters/object"]


def test_process_of_a_synchronous_program_cannot_be_watched(conf, judge):
    monitor(conf, '<pidw name="pidw1"><target>exec1</target></pidw>')
    assert [f.severity for f in judge("pidw.")] == ["warning"]

    asynchronous = '<exec name="exec1"><parameters><act><sync>0</sync></act></parameters></exec>'
    conf.resource = conf.resource.replace('<exec name="exec1"/>', asynchronous)
    assert judge("pidw.") == []


def two_groups(conf) -> None:
    conf.group = (
        '<group name="failover1"><resource name="fip@fip1"/><gid>0</gid></group>'
        '<group name="failover2"><resource name="exec@exec1"/><gid>1</gid></group>'
    )


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("grp", "failover2", 1),
        ("rsc", "exec1", 1),
        ("grp", "failover1", 0),
        ("rsc", "fip1", 0),
        ("cls", "LocalServer", 0),
    ],
)
def test_monitor_recovers_what_it_watches(conf, judge, kind, name, found):
    two_groups(conf)
    monitor(conf, f'<fipw name="fipw1"><target>fip1</target>{RECOVERY.format(kind, name)}</fipw>')

    assert len(judge("monitor.other_group")) == found


def test_recovery_target_that_does_not_exist_is_an_error(conf, judge):
    monitor(conf, f'<userw name="userw">{RECOVERY.format("grp", "failover9")}</userw>')

    assert [f.severity for f in judge("monitor.recovery")] == ["error"]


def test_recovery_target_in_no_group_is_found(conf, judge):
    conf.group = conf.group.replace('<resource name="exec@exec1"/>', "")
    monitor(conf, f'<userw name="userw">{RECOVERY.format("rsc", "exec1")}</userw>')

    assert [f.severity for f in judge("monitor.recovery")] == ["warning"]


@pytest.mark.parametrize(("policy", "severity"), [(("server1",), "error"), (("server1", "server2"), "warning")])
def test_monitor_runs_where_its_target_does(conf, judge, policy, severity):
    orders = "".join(f'<policy name="{s}"><order>{n}</order></policy>' for n, s in enumerate(policy))
    conf.group = conf.group.replace("</group>", f"{orders}</group>")
    monitor(
        conf,
        '<fipw name="fipw1"><target>fip1</target><polling><timing>1</timing><servers id="0"><name>server2</name>'
        "</servers></polling></fipw>",
    )

    assert [f.severity for f in judge("monitor.servers")] == [severity]


def test_one_watchdog_has_one_user(conf, judge):
    conf.more = "<haltp><method>ipmi</method></haltp>"
    monitor(
        conf, '<userw name="userw1"><parameters><method>softdog</method></parameters></userw>', '<userw name="userw2"/>'
    )

    assert [f.path for f in judge("userw.count")] == ["/root/monitor/userw@userw2"]
    assert [f.path for f in judge("watchdog.methods")] == ["/root/haltp/method"]


@pytest.mark.parametrize(
    ("path", "found"), [("/dev/sdb1", 0), ("/dev/nvme0n1", 1), ("/dev/vg0/lv0", 1), ("/dev/vda", 1)]
)
def test_disks_without_scsi_are_not_asked_by_its_commands(conf, judge, path, found):
    monitor(conf, f'<diskw name="diskw1"><parameters><method>TUR</method><object>{path}</object></parameters></diskw>')

    assert len(judge("diskw.tur")) == found


@pytest.mark.parametrize(
    ("nic", "fips", "found"), [("enp0s3", 1, 0), ("ens1920f", 1, 1), ("enp0s31", 11, 1), ("eth10", 101, 0)]
)
def test_long_nic_names_are_noted_for_the_original(conf, judge, nic, fips, found):
    conf.resource = '<types name="fip"/>' + "".join(
        f'<fip name="fip{n}"><parameters><ip>10.0.{n // 200}.{n % 200 + 20}</ip></parameters></fip>'
        for n in range(fips)
    )
    monitor(conf, f'<miiw name="miiw1"><parameters><object>{nic}</object></parameters></miiw>')

    assert [f.severity for f in judge("nic.name")] == ["note"] * found


@pytest.mark.parametrize(("member", "found"), [("userw", 0), ("userw9", 1), ("mtw1", 1)])
def test_monitor_of_several_names_others_that_exist(conf, judge, member, found):
    monitor(
        conf, '<userw name="userw"/>', f'<mtw name="mtw1"><parameters><monitor name="{member}"/></parameters></mtw>'
    )

    assert [f.path for f in judge("mtw.")] == [f"/root/monitor/mtw@mtw1/parameters/monitor@{member}"] * found
