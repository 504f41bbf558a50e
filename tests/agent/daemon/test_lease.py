"""The lease outlives the heartbeat child, and a child that hangs does not outlive the lease."""

from __future__ import annotations

import os

import pytest

from agent.daemon.heartbeat_client import HeartbeatClient
from agent.daemon.lease import Lease, make_lease
from agent.engine import events
from agent.engine.detector import Detector, LeaseHeld, LeaseLost, SelfFence
from tests.agent.daemon.verdicts import client as client
from tests.agent.daemon.verdicts import says
from tests.agent.daemon.verdicts import told as told

ABC = ("a", "b", "c")
INTERVAL, TIMEOUT = 0.2, 1.0


def successor(now: float, since: float) -> Detector:
    return Detector("a", ABC, ["lan0"], INTERVAL, TIMEOUT, True, now, lease_since=since)


def test_memory_is_shared_and_begins_empty():
    descriptor = make_lease()
    try:
        one, other = Lease(descriptor), Lease(descriptor)
        assert other.read() == 0.0
        one.write(12345.678)
        assert other.read() == 12345.678
    finally:
        os.close(descriptor)


def test_without_a_descriptor_it_is_ones_own():
    one, other = Lease(-1), Lease(-1)
    one.write(1.0)
    assert (one.read(), other.read()) == (1.0, 0.0)


def test_successor_holds_the_lease_for_as_long_as_its_predecessor_would_have():
    detector = successor(100.3, since=100.0)
    assert detector.judge(100.4) == [LeaseHeld()]
    assert detector.lease_since() == 100.0

    (lost,) = [v for v in detector.judge(100.71) if isinstance(v, LeaseLost)]
    assert lost.silence_s == pytest.approx(0.71)
    assert [type(v) for v in detector.judge(100.91)] == [SelfFence]
    assert detector.fence_due(100.91)


def test_successor_that_comes_too_late_has_lost_the_lease():
    detector = successor(103.0, since=100.0)
    assert [v for v in detector.judge(103.0) if isinstance(v, LeaseLost)] != []


def test_first_of_all_inherits_nothing():
    detector = successor(100.0, since=0.0)
    assert [type(v) for v in detector.judge(100.0)] == [LeaseLost]
    assert detector.lease_since() == 0.0


def test_silent_child_is_spoken_for_once_and_taken_back(client: HeartbeatClient, told: list[events.Event]):
    client.lease_ran_out(0.8)
    assert told == []  # There was none to be lost.
    says(client, "LeaseHeld")
    client.lease_runs()
    client.lease_ran_out(0.8)
    client.lease_ran_out(0.9)
    client.lease_runs()
    client.lease_runs()

    assert told == [events.LeaseHeld(), events.LeaseLost(silence_s=0.8), events.LeaseHeld()]


def test_what_the_child_says_itself_is_not_taken_back(client: HeartbeatClient, told: list[events.Event]):
    says(client, "LeaseHeld")
    client.lease_ran_out(0.8)
    says(client, "LeaseLost", silence_s=0.9)
    client.lease_runs()

    assert told[-1] == events.LeaseLost(silence_s=0.9)
