"""The control socket: who listens hears, rubbish is answered, who does not read is let go."""

from __future__ import annotations

import json
import os
import socket

import pytest

from agent.mirrord.control import Control
from agent.mirrord.orders import Pace, Verify
from agent.mirrord.poller import Poller


@pytest.fixture
def control(tmp_path):
    poller = Poller(1)
    orders: list[object] = []
    control = Control(
        poller, str(tmp_path / "md1.sock"), "md1", orders.append, lambda: {"type": "state", "color": "GREEN"}
    )
    control.orders, control.poller, control.path = orders, poller, str(tmp_path / "md1.sock")
    yield control
    control.close()
    poller.close()


@pytest.fixture
def client(control):
    with connected(control) as end:
        yield end


def connected(control):
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.settimeout(5)
    end.connect(control.path)
    control.poller.turn(1)
    return end


def heard(end):
    return json.loads(end.recv(65536))


def test_who_comes_is_greeted_and_told_the_state(client):
    assert heard(client) == {"type": "hello", "version": 1, "pid": os.getpid(), "mirror": "md1"}
    assert heard(client) == {"type": "state", "color": "GREEN"}


def test_only_its_owner_may_speak(control):
    assert os.stat(control.path).st_mode & 0o777 == 0o600


def test_orders_come_and_events_go_to_all(control, client):
    with connected(control) as other:
        client.send(b'{"op":"pace","bytes_s":5}')
        other.send(b'{"op":"verify","id":"v"}')
        control.poller.turn(1)
        control.poller.turn(0.1)
        control.tell({"type": "note"})

        assert {type(order) for order in control.orders} == {Pace, Verify}
        for end in (client, other):
            heard(end), heard(end)
            assert heard(end) == {"type": "note"}


@pytest.mark.parametrize(
    ("order", "name", "why"),
    [
        (b"rubbish", "", "JSON is malformed"),
        (b'{"op":"explode","id":"x"}', "x", "Invalid value 'explode'"),
        (b'{"op":"construct","id":"x","full":"yes"}', "x", "Expected `bool`, got `str` - at `$.full`"),
        (b'{"op":"outdate","generation":"g","epoch":[1]}', "", "$.epoch"),
    ],
)
def test_what_is_not_understood_is_answered_with_its_place(control, client, order, name, why):
    heard(client), heard(client)
    client.send(order)
    control.poller.turn(1)
    answer = heard(client)

    assert (answer["type"], answer["id"]) == ("failed", name)
    assert why in answer["why"]
    assert control.orders == []


def test_who_does_not_read_is_let_go(control, client):
    for _ in range(5000):
        control.tell({"type": "note", "text": "x" * 4096})

    assert control._clients == {}


def test_place_is_gone_after_the_end(control):
    control.close()
    assert not os.path.exists(control.path)
    control._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.poller.watch(control._listener.fileno(), lambda: None)
