"""Which packets are answers to our ping."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.icmp import answers, request
from agent.drivers.ndp import checksum

TOKEN = bytes(range(16))
V4, V6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def test_only_the_reply_with_our_token_is_an_answer():
    asked = request(V4, 1, TOKEN)
    reply = b"\0" + asked[1:]

    assert answers(reply, V4, TOKEN)
    assert answers(b"\x45" + bytes(19) + reply, V4, TOKEN)
    assert not answers(asked, V4, TOKEN)
    assert not answers(reply, V4, bytes(16))
    assert answers(b"\x81" + request(V6, 1, TOKEN)[1:], V6, TOKEN)


def test_checksum_of_a_request_is_right():
    assert checksum(request(V4, 7, TOKEN)) == 0


@given(st.binary(max_size=100))
def test_rubbish_is_no_answer(data):
    assert not answers(data, V4, TOKEN)
    assert not answers(data, V6, TOKEN)
