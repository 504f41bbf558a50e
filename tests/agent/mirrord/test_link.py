"""The link of two mirror processes over real sockets: order, content, one session after the other, signs of life."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from agent.mirrord import link, outgoing
from agent.mirrord.frames import GRAIN, WORD, WRITE
from agent.mirrord.sealing import MOST_PAYLOAD
from tests.agent.mirrord.link_pair import Make, make

__all__ = ["make"]

MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "checked": {"check_data": True},
    "compressed": {"compress": 3},
    "encrypted": {"encrypt": True},
    "all": {"check_data": True, "compress": 3, "encrypt": True},
}


def data_of(dice: random.Random, size: int) -> bytes:
    """Half of it can be compressed."""
    return dice.randbytes(size) if dice.random() < 0.5 else dice.randbytes(16) * (size // 16) + bytes(size % 16)


# ---- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_frames_of_all_sizes_arrive_in_order_both_ways(make: Make, mode: str) -> None:
    ends = make(**MODES[mode]).until_up()
    dice = random.Random(7)
    sizes = [0, 1, 91, 92, 4096, 16 << 10, (16 << 10) + 1, 65536, 262144, 1 << 20, MOST_PAYLOAD]
    sizes += [dice.choice((0, 100, 4096, 65536, 300_000)) for _ in range(40)]
    dice.shuffle(sizes)
    sent: list[list[tuple[Any, ...]]] = [[], []]
    for seq, size in enumerate(sizes, 1):
        for number, one in enumerate(ends.links):
            kind = dice.choice((WRITE, GRAIN, WORD))
            frame = (kind, seq, (seq, 2**40), dice.randrange(2**60), data_of(dice, size), dice.randrange(2**32))
            one.send(*frame)
            sent[number].append(frame)
        if seq % 7 == 0:
            for poller in ends.pollers:
                poller.turn(0)

    ends.until(lambda: all(len(r.frames) == len(sizes) for r in ends.recorders))

    assert ends.recorders[1].frames == sent[0]
    assert ends.recorders[0].frames == sent[1]
    assert ends.one.queued == ends.other.queued == 0


@pytest.mark.parametrize("mode", ["plain", "encrypted"])
def test_data_may_change_after_send_even_when_the_other_side_sleeps(make: Make, mode: str) -> None:
    ends = make(**MODES[mode]).until_up()
    data = bytearray(1 << 20)
    for seq in range(1, 17):
        data[:] = bytes((seq,)) * len(data)
        ends.one.send(WRITE, seq, payload=memoryview(data))
    data[:] = b"\xff" * len(data)

    assert ends.one.queued > 1 << 20
    ends.until(lambda: len(ends.recorders[1].frames) == 16)
    for kind, seq, _, _, payload, _ in ends.recorders[1].frames:
        assert kind == WRITE
        assert payload.count(seq) == len(payload) == 1 << 20
    assert ends.one.queued == 0


def test_small_frames_of_one_turn_go_together(make: Make) -> None:
    ends = make().until_up()
    before = ends.one.figures()["sent"]
    for seq in range(10):
        ends.one.send(WORD, seq)

    assert ends.one.figures()["sent"] == before, "they wait for the end of the turn"
    ends.one.flush()
    assert ends.one.figures()["sent"] > before


def test_payload_of_a_frame_cannot_be_kept(make: Make) -> None:
    ends = make().until_up()
    kept = []
    ends.recorders[1].on_frame = lambda frame: kept.append(frame.payload)
    ends.one.send(WORD, payload=b"here")
    ends.until(lambda: kept)

    with pytest.raises(ValueError, match="released"):
        bytes(kept[0])


def test_compression_is_left_alone_where_it_does_not_help(make: Make) -> None:
    ends = make(compress=2).until_up()
    noise = random.Random(1).randbytes(65536)
    start = ends.one.figures()["sent"]
    for _ in range(8):
        ends.one.send(WRITE, payload=noise)
        ends.one.send(GRAIN, payload=bytes(65536))  # Only writes are compressed here.
    ends.until(lambda: len(ends.recorders[1].frames) == 16)
    assert ends.one.figures()["sent"] - start >= 16 * 65536

    start = ends.one.figures()["sent"]
    for _ in range(64):
        ends.one.send(WRITE, payload=bytes(65536))
    ends.until(lambda: len(ends.recorders[1].frames) == 80)
    assert ends.one.figures()["sent"] - start < 40 * 65536


# ---- one session after the other -------------------------------------------------------------------------------------


def test_a_dropped_link_says_hello_anew(make: Make) -> None:
    ends = make().until_up()
    one, other = ends.recorders
    ends.one.drop("the generation has changed")

    assert one.downs == [], "not from within drop"
    assert not ends.one.connected
    ends.until(lambda: one.ups == other.ups == 2)
    assert one.downs == ["the generation has changed"]
    assert other.downs == ["server1 begins the connection anew: the generation has changed"]
    assert one.events[-1] == ("up", "server1 2", "server2 2")
    assert other.events[-1] == ("up", "server2 2", "server1 2")
    assert one.notes == other.notes == []


def test_each_side_may_drop_at_any_time(make: Make) -> None:
    ends = make(2).until_up()
    dice = random.Random(3)
    for _ in range(40):
        dice.choice(ends.links).drop("dice")
        if dice.random() < 0.3:
            ends.links[0].drop("both")
            ends.links[1].drop("both")
        for _ in range(dice.randrange(6)):
            ends.pollers[dice.randrange(2)].turn(0.001)
    ends.until_up()
    ends.one.send(WORD, 5)
    ends.until(lambda: ends.recorders[1].frames and ends.recorders[1].frames[-1][1] == 5)


def test_drop_from_within_a_frame_takes_no_other_frame(make: Make) -> None:
    ends = make().until_up()
    ends.recorders[1].on_frame = lambda frame: ends.other.drop("no sense")
    for seq in range(5):
        ends.one.send(WORD, seq)
    ends.one.flush()
    ends.until(lambda: ends.recorders[1].ups == 2)

    assert [frame[1] for frame in ends.recorders[1].frames] == [0]


def test_what_was_sent_before_a_drop_arrives(make: Make) -> None:
    ends = make().until_up()
    ends.one.send(WRITE, 1, payload=bytes(100_000))
    ends.one.send(WORD, 2)
    ends.one.drop("the last word was said")
    ends.until(lambda: ends.recorders[1].ups == 2)

    assert [frame[1] for frame in ends.recorders[1].frames] == [1, 2]


def test_what_is_sent_without_a_session_is_lost(make: Make) -> None:
    ends = make().until_up()
    ends.one.drop("now")
    ends.one.send(WORD, 1)
    ends.until(lambda: ends.recorders[1].ups == 2)
    ends.one.send(WORD, 2)
    ends.until(lambda: ends.recorders[1].frames)

    assert [frame[1] for frame in ends.recorders[1].frames] == [2]


def test_what_the_caller_sends_after_its_hello_follows_it(make: Make) -> None:
    ends = make()
    ends.until(lambda: ends.recorders[0].hellos == 1)
    assert not ends.one.connected
    ends.one.send(WORD, 9)
    ends.until_up()
    ends.until(lambda: ends.recorders[1].frames)

    assert ends.recorders[1].frames[0][1] == 9


def test_a_new_process_takes_the_place_of_one_that_left_no_word(make: Make) -> None:
    ends = make(silent_s=30).until_up()
    ends.other._paths[0].connection.close()  # type: ignore[union-attr]
    ends.until(lambda: ends.recorders[0].downs)
    assert ends.recorders[0].downs == ["server2 has closed the connection."]
    # The acceptor's engine has not heard of it: its connection was closed behind its back. The next call ends it.
    ends.until(lambda: ends.recorders[1].ups == 2)
    assert ends.recorders[1].downs == ["server1 has connected anew."]


def test_a_stopped_link_says_nothing_more(make: Make) -> None:
    ends = make().until_up()
    ends.one.stop()
    ends.until(lambda: ends.recorders[1].downs)

    assert ends.recorders[0].downs == []
    assert "process ends" in ends.recorders[1].downs[0]


# ---- signs of life ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("sleeper", [0, 1])
def test_a_side_that_hangs_is_missed(make: Make, sleeper: int) -> None:
    ends = make(keepalive_s=0.05, silent_s=0.3).until_up()
    awake = 1 - sleeper
    ends.until(lambda: ends.recorders[awake].downs, asleep=sleeper)
    assert ends.recorders[awake].downs == [f"server{sleeper + 1} was silent for 0.3 s."]

    ends.until_up()
    assert all(r.ups >= 2 for r in ends.recorders)


@pytest.mark.slow
def test_who_was_away_himself_reads_before_he_judges(make: Make) -> None:
    ends = make(keepalive_s=0.05, silent_s=2.0).until_up()
    clock = ends.pollers[0].now
    ends.pollers[0].now = lambda: clock() + 2.5  # type: ignore[method-assign]
    pings = ends.other.figures()["sent"]
    ends.until(lambda: ends.other.figures()["sent"] >= pings + 92, asleep=0)
    # Only the timers: as in a turn that was long.
    for path in ends.one._paths:
        path.connection._look()  # type: ignore[union-attr]

    assert ends.one.connected
    ends.pollers[0].now = clock  # type: ignore[method-assign]


@pytest.mark.slow
def test_an_idle_link_stays_and_knows_its_round_trip(make: Make) -> None:
    ends = make(2, keepalive_s=0.05, silent_s=0.4)
    ends.until_up()
    start = ends.pollers[0].now()
    ends.until(lambda: ends.pollers[0].now() > start + 0.6)

    figures = ends.one.figures()
    assert ends.recorders[0].downs == []
    assert all(0 < path["round_trip_s"] < 30 for path in figures["paths"])
    json.dumps(figures)


def test_a_queue_that_nobody_takes_ends_the_session(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MOST_QUEUED", 8 << 20)
    ends = make().until_up()
    for seq in range(40):
        ends.one.send(WRITE, seq, payload=bytes(1 << 20))
    assert ends.one.queued == 0, "nothing is kept for a connection that is given up"

    ends.until(lambda: ends.recorders[0].downs)
    assert "takes nothing" in ends.recorders[0].downs[0]
    ends.until_up()


def test_who_fills_the_link_sees_at_once_that_it_is_broken(make: Make) -> None:
    """An engine sends as long as little is queued: that must end, though `down` comes only with the next turn."""
    ends = make(2).until_up()
    ends.other._paths[0].connection.close()  # type: ignore[union-attr]
    sent = 0
    while ends.one.connected and ends.one.queued < 1 << 20:
        ends.one.send(WRITE, sent, payload=bytes(65536))
        sent += 1
        assert sent < 1000

    ends.until_up()


@pytest.mark.slow
def test_a_side_that_takes_nothing_but_speaks_is_given_up(make: Make) -> None:
    ends = make(keepalive_s=0.05, silent_s=20, send_s=0.3).until_up()
    for seq in range(12):
        ends.one.send(WRITE, seq, payload=bytes(1 << 20))
    ends.until(lambda: ends.recorders[0].downs, asleep=1)

    assert ends.recorders[0].downs == ["server2 has taken nothing for 0.3 s."]


# ---- paths -----------------------------------------------------------------------------------------------------------


def test_the_best_path_is_used_and_the_other_is_kept_ready(make: Make) -> None:
    ends = make(2).until_up()
    ends.until_ready()

    assert [p["state"] for p in ends.one.figures()["paths"]] == ["used", "ready"]
    assert [p["state"] for p in ends.other.figures()["paths"]] == ["used", "ready"]
    assert ends.recorders[0].ups == 1


@pytest.mark.slow
@pytest.mark.parametrize("ways", [("there", "back"), ("there",), ("back",)])
def test_the_next_path_takes_over_when_one_is_cut(make: Make, ways: tuple[str, ...]) -> None:
    ends = make(2, relayed=True, keepalive_s=0.05, silent_s=0.3, steady_s=0.2).until_up()
    ends.until_ready()
    ends.relays[0].cut(*ways)
    ends.until(lambda: ends.one.figures()["path"] == ends.other.figures()["path"] == "mdc2")
    ends.one.send(WORD, 1)
    ends.until(lambda: ends.recorders[1].frames)

    for recorder in ends.recorders:
        assert [event[0] for event in recorder.events][:3] == ["up", "down", "up"]
        assert any("mdc1" in text for _, text in recorder.notes)
    assert any("mdc1" in text and severity == "warning" for severity, text in ends.recorders[0].notes)
    assert ends.one.figures()["paths"][0]["state"] == "lost"

    ends.relays[0].heal()
    ends.until_used("mdc1")
    assert "goes before" in ends.recorders[0].downs[-1]
    assert "goes over to" in ends.recorders[1].downs[-1] or "goes before" in ends.recorders[1].downs[-1]
    assert any("is in use now, in place of" in text for _, text in ends.recorders[0].notes)
    assert any(text.endswith("works again.") for _, text in ends.recorders[0].notes)


@pytest.mark.slow
def test_a_path_that_flaps_waits_longer_each_time(make: Make) -> None:
    ends = make(2, relayed=True, keepalive_s=0.05, silent_s=0.3, steady_s=0.02).until_up()
    ends.until_ready()
    best = ends.one._paths[0]
    waits = []
    for _ in range(3):
        ends.relays[0].cut()
        ends.until_used("mdc2")
        waits.append(ends.one._steady(best))
        ends.relays[0].heal()
        ends.until_used("mdc1")

    assert waits[0] >= 0.04
    assert waits[1] >= 2 * waits[0]
    assert waits[2] >= 2 * waits[1]


def test_a_dropped_path_is_waited_for(make: Make) -> None:
    ends = make(2).until_up()
    ends.until_ready()
    for end in (*ends.links, *ends.links):
        ends.one._settled = 0.0  # The start is long ago.
        end.drop("again")
        ends.until(lambda: not ends.one.connected)
        ends.until_up()

    assert ends.one.figures()["path"] == "mdc1"
    assert ends.recorders[0].notes == []


@pytest.mark.slow
def test_after_a_time_without_any_path_the_better_one_is_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = make(2, relayed=True, keepalive_s=0.05, silent_s=0.3, steady_s=1000).until_up()
    ends.until_ready()

    def dark_and_second_first(dawn_s: float) -> None:
        monkeypatch.setattr(link, "_DAWN_S", dawn_s)
        for relay in ends.relays:
            relay.cut()
        ends.until(lambda: all(p["state"] == "lost" for one in ends.links for p in one.figures()["paths"]))
        ends.relays[1].heal()
        ends.until(lambda: ends.one._paths[1].connection is not None)

    dark_and_second_first(1000)
    assert not ends.one.connected
    ends.relays[0].heal()
    ends.until_used("mdc1")

    dark_and_second_first(0.01)
    ends.until_used("mdc2")


@pytest.mark.slow
@pytest.mark.parametrize("dropper", [0, 1])
def test_a_dropped_path_that_does_not_come_back_is_replaced(make: Make, dropper: int) -> None:
    ends = make(2, relayed=True, keepalive_s=0.05, silent_s=0.3).until_up()
    ends.until_ready()
    ends.relays[0].cut()
    ends.links[dropper].drop("at a bad moment")
    ends.until_used("mdc2")


def test_links_work_over_ipv6(make: Make) -> None:
    ends = make(places=[("::1", "0:0:0:0:0:0:0:1")]).until_up()
    ends.one.send(WORD, 3)
    ends.until(lambda: ends.recorders[1].frames)

    assert ends.recorders[1].frames[0][1] == 3
