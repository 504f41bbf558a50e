"""What the wizard fills in from the servers' network cards."""

from __future__ import annotations

from agent.wire.inventory import Inventory, NicInfo


def nic(name: str, *addresses: str) -> NicInfo:
    return NicInfo(name=name, up=True, addresses=addresses)


def test_one_address_of_each_card_is_taken_and_none_that_only_its_link_knows():
    from builder.views import wizard

    cards = (
        nic("lo", "127.0.0.1/8"), nic("eth0", "fe80::1/64", "2001:db8::1/64", "192.0.2.1/24", "192.0.2.100/32"),
        nic("eth1", "2001:db8:1::1/64"), nic("eth2", "198.51.100.1/24"),
    )  # fmt: skip
    found = {"server1": Inventory(server="server1", nics=cards), "server2": Inventory(server="server2")}

    assert wizard._read(found, 2) == {
        "name1": "server1", "first1": "192.0.2.1", "second1": "2001:db8:1::1", "name2": "server2",
    }  # fmt: skip
    assert "fe80::1" not in [address for address, _ in wizard._offers(found)[0]]
