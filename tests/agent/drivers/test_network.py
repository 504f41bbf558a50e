"""Addresses, announcements, duplicate detection and pings on a real cable."""

import time
from ipaddress import ip_address, ip_interface

import pytest

from agent.drivers import arp, ndp
from agent.drivers.packet import mac_text
from agent.ports import DriverError

pytestmark = [pytest.mark.root, pytest.mark.slow]

STRANGE_MAC = "02:00:00:00:00:99"
FLOATING = ["10.77.0.50", "fd77::50"]


def host(text):
    return ip_interface(ip_address(text))


@pytest.mark.parametrize("text", FLOATING)
def test_adding_and_removing_twice_is_as_once(lan, text):
    nic = lan.server.nic()

    for _time in range(2):
        lan.server.run(lambda network: network.add_address(nic, host(text)))
        assert lan.server.nic().addresses.count(host(text)) == 1
    for _time in range(2):
        lan.server.run(lambda network: network.remove_address(nic, host(text)))
        assert host(text) not in lan.server.nic().addresses


def test_nic_without_carrier_is_not_up(lan, wait_until):
    lan.peer.ip("link", "set", "eth0", "down")

    wait_until(lambda: not lan.server.nic().up)


def test_loopback_has_no_mac_and_is_asked_nothing(lan):
    loopback = lan.server.nic("lo")

    assert loopback.mac == b""
    assert lan.server.run(lambda network: network.in_use(loopback, ip_address("127.0.0.9"), 5.0)) is None


@pytest.mark.parametrize("text", FLOATING)
def test_stranger_with_the_address_is_found_at_once(lan, text):
    lan.peer.ip("address", "add", text, "dev", "eth0", *(["nodad"] if ":" in text else []))
    nic = lan.server.nic()
    begun = time.monotonic()

    found = lan.server.run(lambda network: network.in_use(nic, ip_address(text), 20.0))

    assert found == mac_text(lan.peer.nic().mac)
    assert time.monotonic() - begun < 10.0  # Not at the end of the time.


@pytest.mark.parametrize("text", FLOATING)
def test_free_address_is_known_as_free_after_the_given_time(lan, text):
    nic = lan.server.nic()
    begun = time.monotonic()

    assert lan.server.run(lambda network: network.in_use(nic, ip_address(text), 0.03)) is None

    assert time.monotonic() - begun >= 0.03


def test_asking_leaves_no_trace_in_the_neighbours(lan):
    nic = lan.server.nic()
    lan.peer.ip("neigh", "replace", "10.77.0.50", "lladdr", STRANGE_MAC, "dev", "eth0", "nud", "reachable")

    lan.server.run(lambda network: network.in_use(nic, ip_address("10.77.0.50"), 0.03))

    assert lan.peer.neighbour("10.77.0.50") == STRANGE_MAC


def test_claim_from_before_the_question_does_not_count(lan):
    nic, peer = lan.server.nic(), lan.peer.nic()
    address = ip_address("10.77.0.50")
    lan.server.run(lambda network: network.in_use(nic, address, 0.01))  # The socket is open from now on.

    lan.peer.run(lambda network: network.announce(peer, address))

    assert lan.server.run(lambda network: network.in_use(nic, address, 0.05)) is None


def test_hung_server_of_the_cluster_is_no_stranger(lan):
    lan.peer.ip("address", "add", "10.77.0.50/32", "dev", "eth0")
    nic, mac = lan.server.nic(), lan.peer.nic().mac
    lan.server.run(lambda network: network.pin_neighbour(ip_address("10.77.0.2"), mac))

    assert lan.server.run(lambda network: network.in_use(nic, ip_address("10.77.0.50"), 0.1)) is None


@pytest.mark.parametrize("text", FLOATING)
def test_announcement_moves_a_young_entry_of_a_client(lan, wait_until, text):
    nic = lan.server.nic()
    lan.peer.ip("neigh", "replace", text, "lladdr", STRANGE_MAC, "dev", "eth0", "nud", "reachable")

    lan.server.run(lambda network: network.announce(nic, ip_address(text)))

    wait_until(lambda: lan.peer.neighbour(text) == mac_text(nic.mac), 5.0)


@pytest.mark.parametrize("prefix", ["10.77.0.1", "fd77::1"])
def test_first_packet_of_a_client_is_not_lost(lan, prefix):
    """The kernel agrees to an IPv6 address before it takes packets for it."""
    nic = lan.server.nic()
    for number in range(20):
        address = ip_interface(f"{prefix}{number:02}")
        lan.server.run(lambda network, address=address: network.add_address(nic, address))
        lan.server.run(lambda network, address=address: network.announce(nic, address.ip))

        round_trip_s = lan.peer.run(lambda network, address=address: network.ping(address.ip, 5.0))

        assert round_trip_s is not None
        assert round_trip_s < 0.5


def test_announcement_creates_no_entry(lan):
    nic = lan.server.nic()

    lan.server.run(lambda network: network.announce(nic, ip_address("10.77.0.50")))

    # The ping is answered after the announcement was handled: one cable, one order.
    assert lan.server.run(lambda network: network.ping(ip_address("10.77.0.2"), 5.0)) is not None
    assert lan.peer.neighbour("10.77.0.50") == ""


def test_announcing_on_a_dead_nic_is_an_error_with_its_name(lan):
    nic = lan.server.nic()
    lan.server.ip("link", "set", "eth0", "down")

    with pytest.raises(DriverError, match=r"cannot announce 10\.77\.0\.50 on eth0: "):
        lan.server.run(lambda network: network.announce(nic, ip_address("10.77.0.50")))


@pytest.mark.parametrize("text", ["10.77.0.2", "fd77::2", "127.0.0.1", "::1"])
def test_ping_gives_the_round_trip(lan, text):
    round_trip_s = lan.server.run(lambda network: network.ping(ip_address(text), 5.0))

    assert 0 < round_trip_s < 5


@pytest.mark.parametrize("text", ["10.77.0.99", "fd77::99", "192.0.2.1", "2001:db8::1"])
def test_ping_of_nobody_gives_nothing_in_time(lan, text):
    assert lan.server.run(lambda network: network.ping(ip_address(text), 0.1)) is None


def test_pinned_neighbour_stays_and_goes(lan):
    mac = lan.peer.nic().mac
    lan.server.run(lambda network: network.pin_neighbour(ip_address("10.77.0.2"), mac))
    state = [n["state"] for n in lan.server.ip("neigh", "show", "dev", "eth0") if n["dst"] == "10.77.0.2"]

    assert state == [["PERMANENT"]]
    assert lan.server.run(lambda network: network.ping(ip_address("10.77.0.2"), 5.0)) is not None

    lan.server.run(lambda network: network.unpin_neighbours())
    assert lan.server.neighbour("10.77.0.2") == ""


def test_codecs_read_what_they_write():
    mac = bytes.fromhex("020000000001")
    heard = arp.parse(arp.announcement(mac, ip_address("192.0.2.1")))
    assert heard == arp.Arp(1, mac, ip_address("192.0.2.1"), bytes(6), ip_address("192.0.2.1"))
    assert arp.parse(b"") is None
    assert arp.parse(arp.announcement(mac, ip_address("192.0.2.1"))[:30]) is None
    assert ndp.parse(ndp.announcement(mac, ip_address("2001:db8::1"))[54:]).mac == mac
    assert ndp.parse(b"\x88" * 10) is None
