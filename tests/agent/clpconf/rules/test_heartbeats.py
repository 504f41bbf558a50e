"""Rules for heartbeats, devices and network partitions."""

from __future__ import annotations

import pytest

LANS = '<lanhb name="lanhb1"><priority>0</priority><device>0</device></lanhb>'
SECOND = '<lanhb name="lanhb2"><priority>1</priority><device>1</device></lanhb>'


def test_lan_heartbeats_of_one_kind_only_are_noted(conf, judge):
    assert [f.severity for f in judge("heartbeat.kernel")] == ["note"]

    conf.heartbeat += '<lankhb name="lankhb1"><priority>2</priority><device>0</device></lankhb>'

    assert judge("heartbeat.kernel") == []


def test_serial_line_joins_two_servers_only(conf, judge):
    conf.heartbeat += '<comhb name="comhb1"><priority>2</priority><device>500</device></comhb>'
    assert judge("heartbeat.com") == []

    conf.servers += (
        '<server name="server3"><priority>2</priority><device id="0"><type>lan</type><info>10.0.0.3</info></device>'
        '<device id="1"><type>lan</type><info>10.0.1.3</info></device></server>'
    )

    assert [(f.severity, f.path) for f in judge("heartbeat.com")] == [("warning", "/root/heartbeat/comhb@comhb1")]


def disks(conf, *paths: str) -> None:
    devices = "".join(
        f'<device id="{300 + n}"><type>disk</type><info>{path}</info></device>' for n, path in enumerate(paths)
    )
    conf.servers = conf.servers.replace("</server>", devices + "</server>")
    conf.heartbeat += "".join(
        f'<diskhb name="diskhb{n + 1}"><priority>{n + 2}</priority><device>{300 + n}</device></diskhb>'
        for n in range(len(paths))
    )


def test_two_disk_heartbeats_are_enough(conf, judge):
    disks(conf, "/dev/sdb1", "/dev/sdc1", "/dev/sdd1")

    assert [f.path for f in judge("heartbeat.disk_count")] == ["/root/heartbeat/diskhb@diskhb3"]
    assert judge("heartbeat.disk_number") == []


@pytest.mark.parametrize("paths", [("/dev/sdb1", "/dev/sdc2"), ("/dev/nvme0n1p1", "/dev/nvme1n1p3")])
def test_disk_heartbeats_want_one_partition_number(conf, judge, paths):
    disks(conf, *paths)

    assert [f.severity for f in judge("heartbeat.disk_number")] == ["warning"]


def test_heartbeat_names_a_device_of_its_kind(conf, judge):
    conf.heartbeat += '<bmchb name="bmchb1"><priority>2</priority><device>1</device></bmchb>'

    found = judge("heartbeat.kind")

    assert [f.path for f in found] == ["/root/heartbeat/bmchb@bmchb1/device"]
    assert found[0].text == 'Device 1 of server server1 has type "lan"; bmchb1 needs one of type bmc.'


def test_device_number_outside_of_its_range_is_noted(conf, judge):
    conf.servers = conf.servers.replace(
        "</server>", '<device id="7"><type>mdc</type><info>10.0.2.1</info></device></server>', 1
    )

    assert [(f.severity, f.path) for f in judge("device.range")] == [("note", "/root/server@server1/device@7")]


def test_device_of_different_kinds_is_found(conf, judge):
    conf.servers = conf.servers.replace("<type>lan</type><info>10.0.1.2", "<type>ping</type><info>10.0.1.2")

    assert [f.path for f in judge("device.kinds")] == ["/root/server@server2/device@1"]


def test_heartbeats_have_priorities_of_their_own(conf, judge):
    conf.heartbeat = LANS + SECOND.replace("<priority>1", "<priority>0")

    assert [f.path for f in judge("heartbeat.priority")] == ["/root/heartbeat/lanhb@lanhb2/priority"]


@pytest.mark.parametrize(("timeout", "found"), [(8999, 1), (9000, 0), (2999, 0)])
def test_timeout_wants_three_intervals(conf, judge, timeout, found):
    """Below one interval it is another finding."""
    conf.cluster += f"<heartbeat><interval>3000</interval><timeout>{timeout}</timeout></heartbeat>"

    assert len(judge("heartbeat.margin")) == found
    assert len(judge("heartbeat.timeout")) == (timeout < 3000)


def test_two_heartbeats_over_one_address_are_one_way(conf, judge):
    conf.servers = conf.servers.replace("10.0.1.1", "10.0.0.1")

    assert [f.path for f in judge("heartbeat.path")] == ["/root/heartbeat/lanhb@lanhb2/device"]


def test_nobody_reaches_a_loopback_address(conf, judge):
    conf.servers = conf.servers.replace("10.0.1.2", "127.0.0.1")

    assert [(f.severity, f.path) for f in judge("heartbeat.loopback")] == [("error", "/root/server@server2/device@1")]


def test_addresses_of_one_heartbeat_are_of_one_family(conf, judge):
    conf.servers = conf.servers.replace("10.0.1.2", "fd00::2")

    assert [f.path for f in judge("heartbeat.family")] == ["/root/heartbeat/lanhb@lanhb2/device"]


def test_one_address_belongs_to_one_server(conf, judge):
    conf.servers = conf.servers.replace("10.0.1.2", "10.0.0.1")

    assert [(f.severity, f.path) for f in judge("device.address")] == [("error", "/root/server@server2/device@1")]


# Network partitions -------------------------------------------------------------------------------------------------


def resolvers(conf, inner: str, device: str = "") -> None:
    types = "".join(f'<types name="{t}"/>' for t in ("pingnp", "httpnp", "majonp", "disknp") if f"<{t} " in inner)
    conf.more = f"<networkpartition>{types}{inner}</networkpartition>"
    conf.servers = conf.servers.replace("</server>", device + "</server>")


PING = (
    '<pingnp name="pingnp1"><priority>0</priority><device>10200</device>'
    '<grp id="0"><list id="0"><ip>{}</ip></list></grp></pingnp>'
)
PING_DEVICE = '<device id="10200"><type>ping</type><info>1</info></device>'
HTTP = '<httpnp name="httpnp1"><priority>{}</priority><device>10700</device><host>{}</host></httpnp>'
HTTP_DEVICE = '<device id="10700"><type>http</type><info>{}</info></device>'


def test_resolver_without_its_device_is_found(conf, judge):
    resolvers(conf, PING.format("10.0.0.254"))

    assert [f.text for f in judge("resolver.device")] == [
        "Device 10200, which pingnp1 uses, is missing on server1 and server2: it does not take part there."
    ]


def test_resolver_that_nobody_uses_is_found(conf, judge):
    resolvers(conf, HTTP.format(0, "192.0.2.9"), HTTP_DEVICE.format(0))

    assert [f.path for f in judge("resolver.")] == ["/root/networkpartition/httpnp@httpnp1/device"]


def test_resolver_is_not_mistaken_for_another_kind(conf, judge):
    resolvers(conf, HTTP.format(0, "192.0.2.9").replace("10700", "0"))

    assert "resolver.kind" in {f.code for f in judge("resolver.")}


def test_resolvers_have_priorities_of_their_own(conf, judge):
    resolvers(conf, PING.format("10.0.0.254") + HTTP.format(0, "192.0.2.9"), PING_DEVICE + HTTP_DEVICE.format(1))

    assert [f.code for f in judge("resolver.")] == ["resolver.priority"]


@pytest.mark.parametrize("target", ["10.0.0.1", "10.0.0.100", "127.0.0.1"])
def test_ping_target_is_outside_of_the_cluster(conf, judge, target):
    resolvers(conf, PING.format(target), PING_DEVICE)

    assert [(f.severity, f.path) for f in judge("ping.target")] == [
        ("warning", "/root/networkpartition/pingnp@pingnp1/grp@0/list@0/ip")
    ]


def test_ping_target_outside_is_right(conf, judge):
    resolvers(conf, PING.format("10.0.0.254"), PING_DEVICE)

    assert judge("ping.") + judge("resolver.") == []


def test_ping_target_twice_is_found(conf, judge):
    twice = PING.format('10.0.0.254</ip></list><list id="1"><ip>10.0.0.254')
    resolvers(conf, twice, PING_DEVICE)

    assert [f.code for f in judge("ping.")] == ["ping.duplicate"]


@pytest.mark.parametrize("host", ["10.0.1.2", "server2", "10.0.0.100"])
def test_witness_is_outside_of_the_cluster(conf, judge, host):
    resolvers(conf, HTTP.format(0, host), HTTP_DEVICE.format(1))

    assert [f.severity for f in judge("witness.inside")] == ["error"]


MAJORITY = '<majonp name="majonp1"><priority>0</priority></majonp>'
THIRD = (
    '<server name="server3"><priority>2</priority><device id="0"><type>lan</type><info>10.0.0.3</info></device>'
    '<device id="1"><type>lan</type><info>10.0.1.3</info></device></server>'
)


def test_majority_of_two_servers_stops_everything(conf, judge):
    resolvers(conf, MAJORITY)
    assert [f.severity for f in judge("majority.two")] == ["warning"]

    conf.servers += THIRD
    assert judge("majority.two") == []


def test_majority_with_a_witness_is_right_for_two(conf, judge):
    resolvers(conf, MAJORITY + HTTP.format(1, "192.0.2.9"), HTTP_DEVICE.format(1))

    assert judge("majority.two") == []


def test_majority_without_reset_is_noted(conf, judge):
    resolvers(conf, HTTP.format(0, "192.0.2.9"), HTTP_DEVICE.format(1))
    assert [f.severity for f in judge("quorum.")] == ["note"]

    conf.monitor = '<userw name="userw"/>'
    assert judge("quorum.") == []
