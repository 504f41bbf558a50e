"""fip on a real cable."""

import time
from ipaddress import ip_interface

import pytest

from agent.drivers.packet import mac_text
from agent.ports import DriverError
from agent.resources.fip import SPEC, TYPE

pytestmark = [pytest.mark.root, pytest.mark.slow]

FLOATING = ["10.77.0.50", "fd77::50"]


@pytest.fixture
def on(lan, make_ports):
    """Runs activate, deactivate ... on a node of the LAN."""

    def run(deed, ip, node=None, **more):
        node = node or lan.server
        ports = make_ports(network=node.network, **more)
        result = node.run(lambda _network: deed(SPEC.values({"parameters/ip": ip}), ports))
        return (result, ports.notes) if ports.notes else result

    return run


@pytest.mark.parametrize("ip", FLOATING)
def test_address_comes_announced_and_goes(lan, on, wait_until, ip):
    lan.peer.ip("neigh", "replace", ip, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "reachable")

    on(TYPE.activate, ip)
    assert ip_interface(ip) in lan.server.nic().addresses
    assert on(TYPE.active, ip)
    wait_until(lambda: lan.peer.neighbour(ip) == mac_text(lan.server.nic().mac), 5.0)

    on(TYPE.deactivate, ip)
    assert ip_interface(ip) not in lan.server.nic().addresses
    assert not on(TYPE.active, ip)


@pytest.mark.parametrize("ip", FLOATING)
def test_client_reaches_the_address_on_its_new_server(lan, on, ip):
    """Moved twice: the client's neighbour entry has to follow each time."""
    third = ip_interface(ip).ip
    on(TYPE.activate, ip)
    assert lan.peer.run(lambda network: network.ping(third, 5.0)) is not None
    on(TYPE.deactivate, ip)

    on(TYPE.activate, ip, node=lan.peer)

    assert lan.server.run(lambda network: network.ping(third, 5.0)) is not None


@pytest.mark.parametrize("ip", FLOATING)
def test_activation_and_deactivation_may_be_repeated(lan, on, ip):
    for _time in range(2):
        on(TYPE.activate, ip)
    assert lan.server.nic().addresses.count(ip_interface(ip)) == 1
    for _time in range(2):
        on(TYPE.deactivate, ip)
    assert ip_interface(ip) not in lan.server.nic().addresses


@pytest.mark.parametrize("ip", FLOATING)
def test_address_of_a_stranger_is_refused_and_not_taken(lan, on, ip):
    on(TYPE.activate, ip, node=lan.peer)
    mac = mac_text(lan.peer.nic().mac)

    with pytest.raises(DriverError, match=f"address {ip} is in use by {mac} on the LAN of eth0; free it there"):
        on(TYPE.activate, ip)

    assert ip_interface(ip) not in lan.server.nic().addresses


def test_prepared_address_is_taken_and_announced_at_once(lan, on, wait_until):
    ip = "10.77.0.50"
    lan.peer.ip("neigh", "replace", ip, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "reachable")
    take = on(TYPE.prepare, ip)
    assert ip_interface(ip) not in lan.server.nic().addresses

    with lan.server.entered():
        take()

    assert ip_interface(ip) in lan.server.nic().addresses
    wait_until(lambda: lan.peer.neighbour(ip) == mac_text(lan.server.nic().mac), 5.0)


@pytest.mark.parametrize(("where", "ip"), [("peer", "10.77.0.50"), ("server", "10.77.0.50"), (None, "fd77::50")])
def test_nothing_is_prepared_where_more_than_taking_the_address_is_due(lan, on, where, ip):
    """A stranger has it, an earlier activation left it, or the kernel lets an IPv6 address wait."""
    if where:
        on(TYPE.activate, ip, node=getattr(lan, where))

    assert on(TYPE.prepare, ip) is None


def test_address_that_came_meanwhile_is_left_to_the_whole_activation(lan, on):
    take = on(TYPE.prepare, "10.77.0.50")
    on(TYPE.activate, "10.77.0.50")

    with lan.server.entered(), pytest.raises(DriverError, match=r"cannot take 10\.77\.0\.50/32 on eth0"):
        take()


def test_left_over_address_that_another_has_now_is_given_up(lan, on):
    on(TYPE.activate, "10.77.0.50")
    lan.peer.ip("address", "add", "10.77.0.50/32", "dev", "eth0")

    with pytest.raises(DriverError, match="is in use by"):
        on(TYPE.activate, "10.77.0.50")

    assert ip_interface("10.77.0.50") not in lan.server.nic().addresses


def test_activation_costs_little_more_than_the_question(lan, on):
    begun = time.monotonic()
    on(TYPE.activate, "10.77.0.50")

    assert 0.005 <= time.monotonic() - begun < 2.0  # `bin/bench failover` has the figure.


def test_outdated_server_keeps_quiet(lan, on):
    lan.peer.ip("neigh", "replace", "10.77.0.50", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "reachable")

    on(TYPE.activate, "10.77.0.50", announce=False)

    assert lan.server.run(lambda network: network.ping(ip_interface("10.77.0.2").ip, 5.0)) is not None
    assert lan.peer.neighbour("10.77.0.50") == "02:00:00:00:00:99"


def test_announce_repeats_only_where_the_address_is(lan, on, wait_until):
    on(TYPE.activate, "10.77.0.50")
    lan.peer.ip("neigh", "replace", "10.77.0.50", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "reachable")

    on(TYPE.announce, "10.77.0.51")
    on(TYPE.announce, "10.77.0.50")

    wait_until(lambda: lan.peer.neighbour("10.77.0.50") == mac_text(lan.server.nic().mac), 5.0)
    assert lan.peer.neighbour("10.77.0.51") == ""


def test_address_of_no_network_names_the_networks_that_are_there(lan, on):
    with pytest.raises(DriverError) as caught:
        on(TYPE.activate, "192.0.2.50")

    assert caught.value.detail == (
        "no network interface of server1 is in the network of 192.0.2.50 (it has 10.77.0.0/24); "
        "give one an address there, or correct parameters/ip"
    )


def test_nic_without_cable_is_refused(lan, on, wait_until):
    lan.peer.ip("link", "set", "eth0", "down")
    wait_until(lambda: not lan.server.nic().up)

    with pytest.raises(DriverError, match="eth0 has no link"):
        on(TYPE.activate, "10.77.0.50")


def test_address_that_the_operating_system_has_is_refused_and_left_alone(lan, on):
    lan.server.ip("address", "add", "10.77.0.50/24", "dev", "eth0")

    with pytest.raises(DriverError, match=r"the operating system has set 10\.77\.0\.50/24 on eth0") as caught:
        on(TYPE.activate, "10.77.0.50")
    assert not caught.value.retryable

    _result, notes = on(TYPE.deactivate, "10.77.0.50")
    assert notes == ["10.77.0.50/24 stays on eth0: the operating system has set it, not the cluster"]
    assert ip_interface("10.77.0.50/24") in lan.server.nic().addresses


def test_link_local_address_goes_to_the_nic_that_it_names(lan, on):
    on(TYPE.activate, "fe80::50%eth0")
    assert ip_interface("fe80::50") in lan.server.nic().addresses

    on(TYPE.deactivate, "fe80::50%eth0")
    assert ip_interface("fe80::50") not in lan.server.nic().addresses

    with pytest.raises(DriverError, match="server1 has no network interface eth9"):
        on(TYPE.activate, "fe80::50%eth9")
