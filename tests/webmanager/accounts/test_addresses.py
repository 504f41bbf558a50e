"""Where a request comes from, and what a client list leaves an address to do."""

from __future__ import annotations

import pytest

from webmanager.accounts.addresses import Origin, group_of, of_request, of_scope, read

LIST = b"""<root><webmgr><security><clientlist><iprest>1</iprest>
<ip name="192.0.2.0/24"/><ip name="2001:db8::/32"/><ip name="no address"/>
<ipro name="198.51.100.7"/></clientlist></security></webmgr></root>"""


@pytest.mark.parametrize(
    ("address", "left"),
    [("192.0.2.9", "administrator"), ("::ffff:192.0.2.9", "administrator"), ("2001:db8::1", "administrator"),
     ("198.51.100.7", "viewer"), ("198.51.100.8", ""), ("unknown", ""), ("", "")],
)  # fmt: skip
def test_address_gets_what_the_list_says(address, left):
    assert read(LIST).leaves(Origin(address, local=False)) == left


def test_local_may_all_whatever_the_list_says():
    assert read(LIST).leaves(Origin("127.0.0.1", local=True)) == "administrator"


@pytest.mark.parametrize(
    "config",
    [b"", b"clientlist", b"<root/>", LIST.replace(b">1<", b">0<"), LIST.replace(b"<iprest>1</iprest>", b""),
     LIST.replace(b"</root>", b"")],
)  # fmt: skip
def test_without_a_list_nothing_is_closed(config):
    assert read(config).leaves(Origin("203.0.113.1", local=False)) == "administrator"


@pytest.mark.parametrize("tag", ["X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP"])
def test_nobody_becomes_local_through_a_proxy_that_is_not_trusted(tag):
    meta = {"REMOTE_ADDR": "127.0.0.1"}
    assert of_request(meta).local
    assert not of_request({**meta, f"HTTP_{tag}": "127.0.0.1"}).local
    header = tag.lower().replace("_", "-").encode()
    scope = {"client": ("127.0.0.1", 5), "headers": []}
    assert of_scope(scope).local
    assert not of_scope({**scope, "headers": [(header, b"127.0.0.1")]}).local


def test_others_are_not_local():
    assert not of_request({"REMOTE_ADDR": "192.0.2.1"}).local
    assert not of_request({}).local
    assert of_request({"REMOTE_ADDR": "::1"}).local


def test_counting_takes_a_network_of_ipv6_as_one():
    assert group_of("2001:db8:1:2:3::4") == group_of("2001:db8:1:2::5") == "2001:db8:1:2::/64"
    assert group_of("::ffff:192.0.2.9") == group_of("192.0.2.9") == "192.0.2.9"
    assert group_of("192.0.2.9") != group_of("192.0.2.8")
