"""Rules for addresses, disks, mirrors, ports, and the file itself."""

from __future__ import annotations

import pytest


def resource(conf, *texts: str) -> None:
    """All of them in one group."""
    names = [(text[1:].split(" ")[0], text.split('"')[1]) for text in texts]
    links = "".join(f'<resource name="{kind}@{name}"/>' for kind, name in names)
    conf.group = f'<group name="failover1">{links}<gid>0</gid></group>'
    conf.resource = "".join(f'<types name="{kind}"/>' for kind in dict.fromkeys(k for k, _ in names)) + "".join(texts)


def fip(name: str, ip: str) -> str:
    return f'<fip name="{name}"><parameters><ip>{ip}</ip></parameters></fip>'


def test_floating_address_belongs_to_one_resource(conf, judge):
    resource(conf, fip("fip1", "10.0.0.100"), fip("fip2", "10.0.0.100"))

    assert [(f.severity, f.path) for f in judge("fip.")] == [("error", "/root/resource/fip@fip2/parameters/ip")]


def test_same_address_of_a_single_server_is_found(conf, judge):
    own = '<server name="server2"><parameters><ip>10.0.0.101</ip></parameters></server></fip>'
    resource(conf, fip("fip1", "10.0.0.100").replace("</fip>", own), fip("fip2", "10.0.0.101"))

    assert [f.code for f in judge("fip.")] == ["fip.duplicate"]


@pytest.mark.parametrize(
    ("ip", "code", "severity"),
    [
        ("10.0.0.2", "fip.server", "error"),
        ("127.0.0.1", "fip.kind", "error"),
        ("224.0.0.5", "fip.kind", "error"),
        ("0.0.0.0", "fip.kind", "error"),
        ("fe80::10", "fip.scope", "error"),
        ("192.168.7.10", "fip.network", "note"),
        ("2001:db8::10", "fip.network", "note"),
    ],
)
def test_floating_address_that_cannot_serve_is_found(conf, judge, ip, code, severity):
    resource(conf, fip("fip1", ip))

    assert [(f.code, f.severity) for f in judge("fip.")] == [(code, severity)]


@pytest.mark.parametrize("ip", ["10.0.0.100", "10.0.200.1", "fe80::10%eth0"])
def test_floating_address_beside_the_servers_is_right(conf, judge, ip):
    resource(conf, fip("fip1", ip))

    assert judge("fip.") == []


# Disks --------------------------------------------------------------------------------------------------------------


def disk(name: str, device: str, point: str = "") -> str:
    mount = f"<mount><point>{point or '/mnt/' + name}</point></mount>"
    return f'<disk name="{name}"><parameters><device>{device}</device>{mount}</parameters></disk>'


def md(name: str, data: str = "/dev/sdb2", bitmap: str = "/dev/sdb1", nmp: str = "/dev/NMP1", more: str = "") -> str:
    return (
        f'<md name="{name}"><parameters><netdev id="0"><priority>0</priority><device>400</device></netdev>'
        f"<nmppath>{nmp}</nmppath><mount><point>/mnt/{name}</point></mount><diskdev><dppath>{data}</dppath>"
        f"<cppath>{bitmap}</cppath></diskdev>{more}</parameters></md>"
    )


def connects(conf) -> None:
    parts = conf.servers.split("</server>")
    devices = (f'<device id="400"><type>mdc</type><info>10.0.1.{n}</info></device></server>' for n in (1, 2))
    conf.servers = "".join(part + device for part, device in zip(parts[:2], devices, strict=True))


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("/dev/sdb1", "/dev/sdb1", 1),
        ("/dev/sdb1", "/dev/sdb", 1),
        ("/dev/nvme0n1p2", "/dev/nvme0n1", 1),
        ("/dev/sdb1", "/dev/sdb2", 0),
        ("/dev/sdb1", "/dev/sdc1", 0),
    ],
)
def test_device_belongs_to_one_resource(conf, judge, first, second, found):
    resource(conf, disk("disk1", first), disk("disk2", second))

    assert [f.severity for f in judge("device.shared")] == ["error"] * found


def test_partition_of_a_disk_heartbeat_is_used_by_nothing_else(conf, judge):
    device = '<device id="300"><type>disk</type><info>/dev/sdb1</info></device></server>'
    conf.servers = conf.servers.replace("</server>", device)
    conf.heartbeat += '<diskhb name="diskhb1"><priority>2</priority><device>300</device></diskhb>'
    resource(conf, md("md1"))

    assert [f.text for f in judge("device.shared")] == [
        "/dev/sdb1 on server1 is used by md1 (md) and by diskhb1 (diskhb): they would destroy each other's data."
    ]


def test_partition_of_a_raw_monitor_is_used_by_nothing_else(conf, judge):
    resource(conf, disk("disk1", "/dev/sdb1"))
    conf.monitor = '<raww name="raww1"><parameters><object>/dev/sdb1</object></parameters></raww>'

    assert len(judge("device.shared")) == 1


def test_mount_point_is_its_own_directory(conf, judge):
    resource(conf, disk("disk1", "/dev/sdb1", "/mnt/a"), disk("disk2", "/dev/sdb2", "/mnt/a/"))
    assert [f.path for f in judge("mount.")] == ["/root/resource/disk@disk2/parameters/mount/point"]

    resource(conf, disk("disk1", "/dev/sdb1", "/usr"))
    assert [f.code for f in judge("mount.")] == ["mount.system"]


def test_mirror_as_it_should_be_is_right(conf, judge):
    connects(conf)
    resource(conf, md("md1"))

    assert judge("md.") + judge("device.") + judge("port.") == []


@pytest.mark.parametrize(
    ("data", "bitmap", "code"),
    [
        ("/dev/sdb1", "/dev/sdb1", "md.same"),
        ("/dev/sdb1", "/dev/sdb2", "md.order"),
        ("/dev/nvme0n1p1", "/dev/nvme0n1p2", "md.order"),
        ("/dev/mapper/vg-lv", "/dev/sdb1", "md.layered"),
        ("/dev/md0", "/dev/sdb1", "md.layered"),
    ],
)
def test_partitions_of_a_mirror_are_laid_out_right(conf, judge, data, bitmap, code):
    connects(conf)
    resource(conf, md("md1", data, bitmap))

    assert [f.code for f in judge("md.")] == [code]


def test_mirrors_have_devices_of_their_own(conf, judge):
    connects(conf)
    ports = "<mddriver><port>29052</port><hbport>29032</hbport><ack2port>29072</ack2port></mddriver>"
    resource(conf, md("md1"), md("md2", "/dev/sdc2", "/dev/sdc1", more=ports))

    assert [f.code for f in judge("md.")] == ["md.device"]
    assert judge("port.") == []


def test_mirror_has_the_same_device_names_everywhere(conf, judge):
    connects(conf)
    own = '<server name="server2"><parameters><diskdev><dppath>/dev/sdc2</dppath></diskdev></parameters></server></md>'
    resource(conf, md("md1").replace("</md>", own))

    assert [f.code for f in judge("md.")] == ["md.names"]


def test_mirror_needs_its_connect_on_both_servers(conf, judge):
    resource(conf, md("md1"))

    assert [f.text[:40] for f in judge("md.")] == [
        "server1 has no mirror connect device 400", "server2 has no mirror connect device 400",
    ]  # fmt: skip


def test_mirror_keeps_data_on_two_servers(conf, judge):
    conf.servers += (
        '<server name="server3"><priority>2</priority><device id="0"><type>lan</type><info>10.0.0.3</info></device>'
        '<device id="1"><type>lan</type><info>10.0.1.3</info></device></server>'
    )
    resource(conf, md("md1"))

    assert "md.servers" in {f.code for f in judge("md.")}


def test_ports_of_mirrors_are_distinct_and_free(conf, judge):
    connects(conf)
    resource(conf, md("md1"), md("md2", "/dev/sdc2", "/dev/sdc1", "/dev/NMP2"))
    assert len(judge("port.duplicate")) == 3

    resource(conf, md("md1", more="<mddriver><port>29002</port></mddriver>"))
    assert [f.path for f in judge("port.reserved")] == ["/root/resource/md@md1/parameters/mddriver/port"]


def test_shared_disk_without_a_say_is_noted(conf, judge):
    resource(conf, disk("disk1", "/dev/sdb1"))

    assert [f.severity for f in judge("disk.heartbeat")] == ["note"]


# The file itself ----------------------------------------------------------------------------------------------------


def test_misspelt_word_is_found_although_it_is_empty(conf, judge):
    conf.monitor = '<types name="userw"/><userw name="userw"><tarrget/></userw>'

    found = judge("value.unknown")

    assert [(f.severity, f.path, f.remedy) for f in found] == [
        ("warning", "/root/monitor/userw@userw/tarrget", 'Did you mean "target"?')
    ]


def test_parameter_at_the_wrong_place_is_found_with_the_right_one(conf, judge):
    resource(conf, '<fip name="fip1"><ip>10.0.0.100</ip></fip>')

    assert [f.remedy for f in judge("value.unknown")] == ['Did you mean "parameters/ip"?']


def test_word_that_resembles_nothing_is_only_noted(conf, judge):
    conf.cluster += "<zebra>1</zebra>"
    conf.more = "<giraffe><neck>2</neck></giraffe>"

    assert [(f.severity, f.path) for f in judge("value.unknown")] == [
        ("note", "/root/cluster/zebra"), ("note", "/root/giraffe"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["%%FIP%%", "__HOST__", "INPUT_HOST", "/opt/__APP__/run.log"])
def test_placeholder_is_found_in_any_text(conf, judge, text):
    conf.cluster += f"<comment>{text}</comment>"
    conf.cluster = conf.cluster.replace("<comment> </comment>", "")

    assert [f.path for f in judge("value.placeholder")] == ["/root/cluster/comment"]


@pytest.mark.parametrize("text", ["100%% sure", "a__b", "__", "my_INPUT"])
def test_what_only_looks_like_one_is_no_placeholder(conf, judge, text):
    conf.cluster = f"<name>demo</name><comment>{text}</comment>"

    assert judge("value.placeholder") == []


def test_code_page_and_language_are_known(conf, judge):
    conf.more = "<all><charset>EUC-JP</charset><encode>Japanese</encode><serveros>linux</serveros></all>"

    assert [f.code for f in judge("all.")] == ["all.encode"]


def test_wrong_number_of_objects_is_noted(conf, judge):
    conf.more = "<webmgr><client><objectnumber>9</objectnumber></client></webmgr>"

    assert [f.text for f in judge("webmgr.objectnumber")] == ["The file says that it has 9 objects; it has 13."]

    conf.more = conf.more.replace("9", "13")
    assert judge("webmgr.objectnumber") == []


def test_process_recovery_is_set_alike(conf, judge):
    conf.more = "<pm><exec0><recover>2</recover></exec0><exec1><recover>3</recover></exec1></pm>"

    assert [f.severity for f in judge("pm.recover")] == ["warning"]


def test_console_that_lets_nobody_in_is_found(conf, judge):
    conf.more = (
        "<webmgr><client><pollinginterval>10</pollinginterval></client>"
        "<security><clientlist><iprest>1</iprest></clientlist></security></webmgr>"
    )

    assert [(f.severity, f.code) for f in judge("webmgr.")] == [
        ("note", "webmgr.interval"), ("warning", "webmgr.clients"),
    ]  # fmt: skip


@pytest.mark.parametrize(("rate", "found"), [("0", 1), ("80", 0), ("100", 0)])
def test_delay_warning_rate_of_zero_is_for_tests(conf, judge, rate, found):
    conf.more = f"<openclp><delaywarning>{rate}</delaywarning></openclp>"

    assert len(judge("monitor.delay_warning")) == found


def test_mail_without_an_address_is_found(conf, judge):
    conf.cluster += "<messages><use>1</use></messages>"
    conf.more = '<messages><types name="rc"/><rc id="10"><mail>1</mail></rc></messages>'

    assert [f.severity for f in judge("mail.address")] == ["warning"]


def test_no_operation_at_a_failed_deactivation_is_not_for_production(conf, judge):
    resource(conf, '<exec name="exec1"><deact><action>1</action></deact></exec>')

    assert [f.severity for f in judge("resource.final_action")] == ["warning"]
