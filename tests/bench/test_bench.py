"""The arithmetic of the benches: verdicts, quantiles, the peers' timers, what the watchers in the bed recognise."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.bench import push_clients
from tests.bench.beats import is_beat
from tests.bench.goals import Goal, Outcome, quantile
from tests.bench.holders import Change, Moves, moves
from tests.bench.push_clients import Browser, Frames, Seen
from tests.bench.rivals import vrrp
from tests.bench.sim import cluster_of, play
from tests.bench.watch import DELADDR, NEWADDR, addresses
from webmanager import sockets

MAC = bytes.fromhex("022900000301")


@pytest.mark.parametrize(
    ("measured", "reference", "verdict"),
    [(0.55, 0.5, "ok"), (0.56, 0.5, "MISSED"), (None, 0.5, "skipped"), (0.5, None, "skipped"), (0, 0, "ok"),
     (1, 0, "MISSED"), (float("inf"), 0.5, "MISSED")],
)  # fmt: skip
def test_goal_is_missed_above_its_limit_only(measured: float | None, reference: float | None, verdict: str):
    goal = Goal("outage", measured, reference, "timeout", 1.1, "s")

    assert goal.verdict == verdict
    assert bool(Outcome("", ("",), goals=[goal]).missed) == (verdict == "MISSED")
    assert verdict in Outcome("", ("",), goals=[goal]).text()


def test_quantile_is_a_measured_value():
    assert [quantile(range(1, 101), share) for share in (0.5, 0.9, 0.99, 1)] == [50, 90, 99, 100]
    assert quantile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(("interval", "timeout"), [(100, 500), (20, 100), (200, 1000), (1000, 5000)])
def test_keepalived_is_given_the_same_detection_time(interval: int, timeout: int):
    advert, priority, silence = vrrp(timeout - interval / 2)

    assert silence - advert / 2 == pytest.approx(timeout - interval / 2, rel=0.02)
    assert 1 < priority < 254


def test_watcher_reads_addresses_that_come_and_go():
    def message(kind: int, address: str) -> bytes:
        attribute = struct.pack("=HH", 8, 2) + socket.inet_aton(address)
        return struct.pack("=IHHII", 16 + 8 + len(attribute), kind, 0, 0, 0) + bytes(8) + attribute

    data = message(NEWADDR, "10.29.3.101") + message(DELADDR, "10.29.3.102")
    assert list(addresses(data)) == [(NEWADDR, "10.29.3.101"), (DELADDR, "10.29.3.102")]


@pytest.mark.parametrize(
    ("source", "protocol", "port", "expected"),
    [(MAC, 17, 29002, True), (MAC, 17, 53, False), (MAC, 112, 0, True), (MAC, 6, 29002, False),
     (bytes(6), 17, 29002, False)],
)  # fmt: skip
def test_beat_is_told_from_other_frames(source: bytes, protocol: int, port: int, expected: bool):
    header = bytes([0x45]) + bytes(8) + bytes([protocol]) + bytes(10)
    frame = bytes(6) + source + b"\x08\x00" + header + struct.pack("!HHHH", 29002, port, 8, 0)

    assert is_beat(frame, MAC) == expected


@pytest.mark.parametrize("step", [1, 2, 7, 100_000])
def test_frames_are_cut_wherever_the_network_cuts_them(step: int):
    texts = [b"", b"short", b"x" * 125, b"y" * 126, b"z" * 65_535, b"w" * 65_536, b"end"]
    data, found = b"".join(map(sockets.framed, texts)), []
    frames = Frames(lambda opcode, payload: found.append((opcode, payload)))
    for at in range(0, len(data), step):
        frames.feed(data[at : at + step])
    assert found == [(1, text) for text in texts]


def test_change_that_is_told_again_counts_once_and_by_its_first_arrival(monkeypatch: pytest.MonkeyPatch):
    browser, now = Browser(Seen()), iter((10.0, 11.0, 12.0))
    monkeypatch.setattr(push_clients.time, "monotonic", lambda: next(now))
    browser.counts = True
    for text in (b"bench 1 9.500000", b"bench 1 9.500000 bench 2 9.750000", b"nothing"):
        browser.heard(text)
    assert browser.delays() == {1: 0.5, 2: 1.25}
    assert browser.marked == 2


def test_four_seeds_in_a_row_are_four_kinds_of_cluster():
    kinds = {(len(c.servers), c.majority, c.self_fencing) for c in map(cluster_of, range(4))}
    assert kinds == {(3, True, True), (3, False, False), (5, True, True), (5, False, False)}


@pytest.mark.slow
def test_seed_plays_twice_alike_and_breaks_nothing():
    first = play(1)

    assert first == play(1)
    assert first[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [455, 470])
def test_seeds_that_once_failed_hold_now(seed: int):
    """A group that a final action had stopped, or whose stop had failed, could not be started by hand."""
    _, violations, _, _ = play(seed)

    assert violations == []


def test_time_on_two_servers_is_counted_and_what_is_said_twice_is_not():
    changes = [
        Change(10.0, "server1", "a", True),  # It has it already.
        Change(11.0, "server2", "a", True),
        Change(13.5, "server1", "a", False),
        Change(14.0, "server1", "a", True),
    ]
    assert moves(frozenset({"server1"}), changes, 9.0, 15.0) == Moves(taken=2, lost=1, both_s=3.5)
    assert moves(frozenset({"server1", "server2"}), [], 9.0, 15.0) == Moves(0, 0, 6.0)
