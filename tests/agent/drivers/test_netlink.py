"""The rtnetlink codec."""

from ipaddress import ip_address, ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.netlink import Netlink, NetlinkError, attribute, attributes, messages


@given(st.dictionaries(st.integers(1, 100), st.binary(max_size=40), max_size=8))
def test_attributes_come_back_as_written(values):
    assert attributes(b"".join(attribute(k, v) for k, v in values.items())) == values


@given(st.binary(max_size=200))
def test_rubbish_ends_in_what_is_readable(data):
    attributes(data)
    for _kind, _flags, _sequence, body in messages(data):
        attributes(body)


@pytest.mark.root
@pytest.mark.slow
def test_address_is_added_with_its_prefix_and_removed(lan):
    with lan.server.entered():
        netlink = Netlink()
        index = next(link.index for link in netlink.links() if link.name == "eth0")

        for text in ("10.77.0.50/32", "fd77::50/128"):
            netlink.add_address(index, ip_interface(text))
        assert {ip_interface("10.77.0.50/32"), ip_interface("fd77::50/128")} <= {a for _, a in netlink.addresses()}
        shown = {a["local"]: a for a in lan.server.ip("address", "show", "dev", "eth0")[0]["addr_info"]}
        assert shown["10.77.0.50"]["prefixlen"] == 32
        assert shown["fd77::50"]["prefixlen"] == 128
        assert shown["fd77::50"].get("tentative") is None
        assert shown["fd77::50"]["preferred_life_time"] == 0

        for text in ("10.77.0.50/32", "fd77::50/128"):
            netlink.remove_address(index, ip_interface(text))
        assert not {ip_interface("10.77.0.50/32"), ip_interface("fd77::50/128")} & {a for _, a in netlink.addresses()}
        netlink.close()


@pytest.mark.root
@pytest.mark.slow
def test_refusal_carries_the_reason_of_the_kernel(lan):
    with lan.server.entered():
        netlink = Netlink()
        with pytest.raises(NetlinkError) as caught:
            netlink.add_address(9999, ip_interface("10.77.0.50/32"))
        netlink.close()

    assert caught.value.errno == 19
    assert "device" in caught.value.strerror.lower()


@pytest.mark.root
@pytest.mark.slow
def test_many_addresses_are_read_completely(lan):
    with lan.server.entered():
        netlink = Netlink()
        index = next(link.index for link in netlink.links() if link.name == "eth0")
        wanted = {ip_interface(f"10.77.{a}.{b}/32") for a in range(1, 5) for b in range(1, 251)}
        for address in wanted:
            netlink.add_address(index, address)

        assert wanted <= {address for _, address in netlink.addresses()}
        netlink.close()


@pytest.mark.root
@pytest.mark.slow
def test_pinned_neighbour_is_permanent_until_removed(lan):
    with lan.server.entered():
        netlink = Netlink()
        index = next(link.index for link in netlink.links() if link.name == "eth0")
        for text in ("10.77.0.2", "fd77::2"):
            address = ip_address(text)
            netlink.pin_neighbour(index, address, b"\x02\0\0\0\0\x09")
            found = [n for n in netlink.neighbours() if n.address == address and n.index == index]
            assert [(n.mac, n.permanent) for n in found] == [(b"\x02\0\0\0\0\x09", True)]

            netlink.remove_neighbour(index, address)
            assert not [n for n in netlink.neighbours() if n.address == address and n.permanent]
        netlink.close()
