"""What a witness promises, and to whom."""

from __future__ import annotations

import json

import pytest

from agent.wire.epoch import Epoch
from agent.wire.witness import Ask, Beat, Record
from agent.witness.mind import Promise, RefusedError, Witness, promise_fields, promise_of, state_for_people

T = 1.0
LIFE = "aa"


class Table:
    """A witness that has been up for long, and its clock."""

    def __init__(self, promise: Promise = Promise(), up_s: float = 100.0) -> None:  # noqa: B008
        self.now = 1000.0
        self.witness = Witness(promise, self.now - up_s, LIFE)
        self.seq = 0

    def beat(self, server: str, service: str = "online") -> Record:
        self.seq += 1
        return self.witness.beat(Beat(server, 1, self.seq, LIFE, T, service), self.now).record

    def propose(self, server: str, counter: int, *members: str):
        self.seq += 1
        ask = Ask(server, 1, self.seq, LIFE, T, Epoch(counter, 0), members, (*members, "witness1"))
        answer, promise = self.witness.propose(ask, self.now)
        if promise is not None:
            self.witness.keep(promise)
        return answer


def test_first_view_is_promised_and_named_to_those_who_beat():
    table = Table()
    assert table.beat("server1") == Record()

    answer = table.propose("server1", 1, "server1", "server2")

    assert (answer.granted, answer.promised, answer.before) == (True, Epoch(1, 0), Record())
    voters = ("server1", "server2", "witness1")
    record = Record(Epoch(1, 0), ("server1", "server2"), voters, ((Epoch(1, 0), voters),))
    assert table.beat("server2") == table.beat("server3") == record


def test_of_two_sides_that_ask_only_the_first_is_granted():
    table = Table()
    table.propose("server1", 1, "server1", "server2")
    for server in ("server1", "server2"):
        table.beat(server)
    table.now += 0.2

    assert table.propose("server1", 2, "server1").granted
    late = table.propose("server2", 3, "server2")

    assert (late.granted, late.promised) == (False, Epoch(2, 0))
    assert late.detail == "server1 was heard 0.2 s ago and runs view 2.0"


def test_ages_tell_until_when_a_lease_may_hold():
    table = Table()
    table.propose("server1", 1, "server1", "server2")
    table.beat("server2")
    table.now += 0.4

    assert table.propose("server1", 2, "server1").heard_s == {"server2": pytest.approx(0.4)}
    table.now += 0.7
    assert table.propose("server1", 3, "server1").heard_s == {}


def test_stranger_is_granted_when_nobody_of_the_view_was_heard_for_a_timeout():
    table = Table()
    table.propose("server1", 1, "server1")
    table.beat("server1")
    table.now += 0.99
    assert not table.propose("server2", 2, "server2").granted
    table.now += 0.02

    answer = table.propose("server2", 2, "server2")

    assert (answer.granted, answer.before.members) == (True, ("server1",))


def test_stranger_is_granted_when_it_takes_all_living_members_along():
    table = Table()
    table.propose("server1", 1, "server1", "server2")
    table.now += 5
    table.beat("server2")

    assert not table.propose("server3", 2, "server3").granted
    assert table.propose("server3", 2, "server2", "server3").granted


def test_who_says_that_it_has_stopped_need_not_be_waited_for():
    table = Table()
    table.propose("server1", 1, "server1")
    table.beat("server1")
    table.beat("server1", "stopped")

    answer = table.propose("server2", 2, "server2")

    assert (answer.granted, answer.heard_s) == (True, {})


def test_old_view_is_refused_and_its_question_may_be_repeated():
    table = Table()
    table.propose("server1", 5, "server1", "server2")
    table.propose("server1", 6, "server1")

    again = table.propose("server1", 6, "server1")
    other = table.propose("server1", 6, "server1", "server2")

    assert (again.granted, again.before.epoch) == (True, Epoch(5, 0))
    assert (other.granted, other.promised) == (False, Epoch(6, 0))
    assert other.detail == "view 6.0 of server1 has been promised already"
    assert table.propose("server1", 4, "server1", "server2").granted is False


def test_after_its_restart_a_witness_takes_nobody_for_dead_before_a_timeout_has_passed():
    table = Table()
    table.propose("server1", 1, "server1", "server2", "server3")
    table.propose("server1", 2, "server1")

    fresh = Table(table.witness.promise, up_s=0.25)

    assert not fresh.propose("server2", 3, "server2").granted
    # Also whoever was left out shortly before may have a lease yet.
    answer = fresh.propose("server1", 3, "server1")
    assert answer.heard_s == dict.fromkeys(("server1", "server2", "server3"), 0.25)
    fresh.now += 0.8
    assert fresh.propose("server1", 4, "server1").heard_s == {}
    assert fresh.propose("server2", 5, "server2").granted


@pytest.mark.parametrize("number", [(1, 5), (1, 4), (0, 9)])
def test_repeated_or_old_request_counts_for_nothing(number: tuple[int, int]):
    witness = Witness(Promise(), 0.0, LIFE)
    witness.beat(Beat("server1", 1, 5, LIFE, T), 10.0)

    with pytest.raises(RefusedError, match="does not count") as refused:
        witness.beat(Beat("server1", *number, LIFE, T), 20.0)

    assert refused.value.life == ""
    assert witness.ages(20.0) == {}


def test_request_of_another_life_is_told_the_right_one():
    witness = Witness(Promise(), 0.0, LIFE)

    with pytest.raises(RefusedError) as refused:
        witness.beat(Beat("server1", 1, 5, "bb", T), 10.0)

    assert refused.value.life == LIFE
    assert witness.heard == {}


def test_promise_and_memory_survive_as_json():
    table = Table()
    table.propose("server1", 1, "server1", "server2")
    table.propose("server1", 2, "server1")
    table.beat("server1")

    promise = promise_of(json.loads(json.dumps(promise_fields(table.witness.promise))))
    twin = Witness.from_memory(promise, json.loads(json.dumps(table.witness.memory())))

    assert promise == table.witness.promise
    assert twin.memory() == table.witness.memory()
    assert twin.ages(table.now) == table.witness.ages(table.now)


@pytest.mark.parametrize("fields", [None, [], {}, {"timeout_s": 1}, {"timeout_s": 1, "record": {}, "before": {}}])
def test_damaged_promise_is_an_error(fields: object):
    with pytest.raises(ValueError):  # noqa: PT011
        promise_of(fields)


def test_people_are_shown_view_members_and_ages():
    table = Table()
    table.propose("server1", 1, "server1", "server2")
    table.beat("server1")
    table.beat("server2", "stopped")
    table.now += 0.5

    assert state_for_people(table.witness, "demo", table.now) == {
        "cluster": "demo", "view": "1.0", "members": ["server1", "server2"],
        "voters": ["server1", "server2", "witness1"], "up_s": 100.5,
        "servers": {
            "server1": {"heard_s_ago": 0.5, "stopped": False}, "server2": {"heard_s_ago": 0.5, "stopped": True},
        },
    }  # fmt: skip
    assert state_for_people(Witness(Promise(), 0.0, ""), "demo", 1.0)["view"] is None
