"""The shared disk as a witness: its layout, its promises, and what two servers that use it at once cannot break."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent.wire.disk import (
    AREA,
    BLOCK,
    Block,
    DamagedError,
    Header,
    decode_block,
    decode_header,
    encode_block,
    encode_header,
    length_of,
    number_of,
)
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.witness import MAX_OPEN, Answer, Ask, Record
from agent.witness.disk import DiskWitness

T = 1.0
SERVERS = ("server1", "server2", "server3")
HEADER = Header(b"0123456789abcdef", "demo", SERVERS)


class Memory:
    """A disk that does what it is told."""

    def __init__(self, header: Header = HEADER) -> None:
        self.area = bytearray(length_of(header))
        for copy in (0, 1):
            self.write(copy * BLOCK, encode_header(header, copy))
            for server in header.servers:
                data = encode_block(header, Block(server), copy, 0)
                self.write(number_of(header, server, copy) * BLOCK, data)

    def read(self) -> bytes:
        return bytes(self.area)

    def write(self, place: int, data: bytes) -> None:
        assert len(data) == BLOCK
        self.area[place : place + BLOCK] = data


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk() -> Memory:
    return Memory()


def server(name: str, disk: Any, clock: Callable[[], float], incarnation: int = 1) -> DiskWitness:
    return DiskWitness(disk, HEADER, name, incarnation, T, clock)


def ask(name: str, counter: int, *members: str, in_force: Epoch = NO_EPOCH) -> Ask:
    epoch = Epoch(counter, SERVERS.index(name))
    return Ask(name, 1, 0, "", T, epoch, members, (*members, "disknp1"), in_force=in_force)


def test_beat_is_confirmed_for_members_of_the_newest_record(disk: Memory, clock: Clock):
    one, two, three = (server(name, disk, clock) for name in SERVERS)
    assert [w.beat("online") for w in (one, two)] == [0.0, 0.0]
    granted = one.propose(ask("server1", 1, "server1", "server2"))
    clock.now += 0.5

    assert (granted.granted, granted.promised, granted.before) == (True, Epoch(1, 0), Record())
    assert [w.beat("online") for w in (one, two, three)] == [100.5, 100.5, 0.0]
    assert two.beat("stopped") == 0.0


def test_of_two_sides_the_second_is_refused_and_told_why(disk: Memory, clock: Clock):
    one, two = (server(name, disk, clock) for name in SERVERS[:2])
    one.propose(ask("server1", 1, "server1", "server2"))
    one.beat("online")
    assert one.propose(ask("server1", 2, "server1")).granted
    two.beat("online")
    clock.now += 0.3

    refused = two.propose(ask("server2", 3, "server2"))

    assert (refused.granted, refused.promised) == (False, Epoch(2, 0))
    assert refused.detail == "server1 was heard 0.3 s ago and runs view 2.0"
    assert one.beat("online") > 0
    assert two.beat("online") == 0.0


def test_who_has_just_begun_to_watch_takes_nobody_for_dead(disk: Memory, clock: Clock):
    one = server("server1", disk, clock)
    one.propose(ask("server1", 1, "server1"))
    one.beat("online")
    clock.now += 50
    two = server("server2", disk, clock)
    assert not two.propose(ask("server2", 2, "server2")).granted
    clock.now += 1.01

    answer = two.propose(ask("server2", 2, "server2"))

    assert (answer.granted, answer.heard_s, answer.before.members) == (True, {}, ("server1",))


def test_ages_tell_until_when_a_lease_may_hold(disk: Memory, clock: Clock):
    one, two = (server(name, disk, clock) for name in SERVERS[:2])
    one.propose(ask("server1", 1, "server1", "server2"))
    two.beat("online")
    one.beat("online")
    clock.now += 0.4

    assert one.propose(ask("server1", 2, "server1")).heard_s == {
        "server1": pytest.approx(0.4),
        "server2": pytest.approx(0.4),
    }


def test_stopped_server_need_not_be_waited_for(disk: Memory, clock: Clock):
    one, two = (server(name, disk, clock) for name in SERVERS[:2])
    one.propose(ask("server1", 1, "server1"))
    one.beat("online")
    one.beat("stopped")

    assert two.propose(ask("server2", 2, "server2")).granted


def test_promise_and_repeated_question_survive_a_restart(disk: Memory, clock: Clock):
    one = server("server1", disk, clock)
    one.propose(ask("server1", 4, "server1", "server2"))
    one.propose(ask("server1", 5, "server1"))

    later = server("server1", disk, clock, incarnation=2)

    again = later.propose(ask("server1", 5, "server1"))
    assert (again.granted, again.before.epoch) == (True, Epoch(4, 0))
    assert later.propose(ask("server1", 3, "server1")).promised == Epoch(5, 0)
    assert later.propose(ask("server1", 5, "server1", "server2")).granted is False


def test_views_that_may_be_in_force_are_remembered_until_a_later_one_is(disk: Memory, clock: Clock):
    one = server("server1", disk, clock)
    one.propose(ask("server1", 1, "server1", "server2"))
    one.propose(ask("server1", 2, "server1"))

    answer = one.propose(ask("server1", 3, "server1", "server3", in_force=Epoch(2, 0)))
    after = one.propose(ask("server1", 4, "server1"))

    assert [epoch for epoch, _ in answer.before.open] == [Epoch(1, 0), Epoch(2, 0)]
    assert [epoch for epoch, _ in after.before.open] == [Epoch(3, 0)]


def test_torn_write_leaves_the_state_before_it(disk: Memory, clock: Clock):
    one = server("server1", disk, clock)
    one.propose(ask("server1", 1, "server1"))
    _, copy, _ = decode_block(HEADER, "server1", disk.area)
    place = number_of(HEADER, "server1", 1 - copy) * BLOCK
    disk.area[place + 100 : place + 200] = bytes(100)  # The write after it stopped in the middle.

    assert server("server1", disk, clock, 2).propose(ask("server1", 1, "server1")).granted
    disk.area[number_of(HEADER, "server1", copy) * BLOCK] ^= 1
    with pytest.raises(DamagedError, match="both copies of the block of server1"):
        server("server2", disk, clock)


def test_second_agent_of_the_same_name_is_noticed(disk: Memory, clock: Clock):
    one, twin = server("server1", disk, clock), server("server1", disk, clock, 2)
    one.beat("online")
    twin.beat("online")

    with pytest.raises(DamagedError, match="somebody else writes the block of server1"):
        one.beat("online")


def test_server_without_a_block_is_told_so(disk: Memory, clock: Clock):
    with pytest.raises(DamagedError, match="server9 has no block on it; it was made for server1, server2, server3"):
        server("server9", disk, clock)


def test_disk_of_another_cluster_or_without_our_magic_is_none_of_ours(disk: Memory):
    assert decode_header(disk.area) == HEADER
    assert decode_header(bytes(2 * BLOCK)) is None
    assert decode_header(b"\x53\xef" * BLOCK) is None
    disk.area[80] ^= 1
    assert decode_header(disk.area) == HEADER  # The second copy.
    disk.area[BLOCK + 80] ^= 1
    with pytest.raises(DamagedError, match="both copies of the header"):
        decode_header(disk.area)


def test_copy_from_another_place_or_cluster_does_not_count(disk: Memory):
    other = Header(b"fedcba9876543210", "demo", SERVERS)
    data = encode_block(HEADER, Block("server1", 1, 1), 0, 5)
    for place, block in ((number_of(HEADER, "server2", 0), data), (number_of(HEADER, "server2", 1), data)):
        disk.write(place * BLOCK, block)

    with pytest.raises(DamagedError, match="server2"):
        decode_block(HEADER, "server2", disk.area)
    disk.write(number_of(HEADER, "server1", 0) * BLOCK, encode_block(other, Block("server1", 9, 9), 0, 9))
    assert decode_block(HEADER, "server1", disk.area)[0].incarnation == 0


def test_largest_cluster_with_the_longest_names_fits():
    names = tuple(f"{number:02}".ljust(63, "x") for number in range(32))
    header = Header(bytes(16), "c" * 255, names)
    assert length_of(header) <= AREA
    voters = (*names, "disknp1")
    views = tuple((Epoch(2**40 + n, 31), voters) for n in range(MAX_OPEN))
    record = Record(Epoch(2**40, 31), names, voters, views)
    odd = Record(Epoch(1, 0), names[::-1][:3], ("disknp1", names[0]))
    area = Memory(header).area
    for number, block in enumerate((Block(names[3], 2**33, 2**40, "online", 90.0, Epoch(2**40, 1), record, record),
                                    Block(names[3], 1, 1, "online", 90.0, NO_EPOCH, odd, record))):  # fmt: skip
        place = number_of(header, names[3], 1) * BLOCK
        area[place : place + BLOCK] = encode_block(header, block, 1, 7 + number)
        assert decode_block(header, names[3], area) == (block, 1, 7 + number)


# Several servers at once


class Turns:
    """Threads that read and write the disk one operation at a time, in an order drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.disk = Memory()
        self.now = 100.0
        self._lock = threading.Condition()
        self._waiting: set[str] = set()
        self._running = 0
        self._turn = ""

    def medium(self, name: str) -> Any:
        outer = self

        class Medium:
            def read(self) -> bytes:
                return outer._do(name, outer.disk.read)

            def write(self, place: int, data: bytes) -> None:
                outer._do(name, lambda: outer.disk.write(place, data))

        return Medium()

    def run(self, *works: tuple[str, Callable[[], None]]) -> None:
        self._running = len(works)
        threads = [threading.Thread(target=self._work, args=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()

    def _work(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._running -= 1
                self._choose()

    def _do(self, name: str, what: Callable[[], Any]) -> Any:
        with self._lock:
            self._waiting.add(name)
            self._choose()
            assert self._lock.wait_for(lambda: self._turn == name, 20)
            self._turn = ""
            self.now += self.random.choice((0.001, 0.01, 0.05, 0.3))
            return what()

    def _choose(self) -> None:
        """The next one, once everybody waits."""
        if not self._turn and self._waiting and len(self._waiting) == self._running:
            self._turn = self.random.choice(sorted(self._waiting))
            self._waiting.discard(self._turn)
            self._lock.notify_all()


@pytest.mark.slow
@pytest.mark.parametrize("first_seed", range(0, 150, 30))
def test_granted_views_form_a_chain_and_ages_cover_every_lease(first_seed: int):
    for seed in range(first_seed, first_seed + 30):
        _play(seed)


def _play(seed: int) -> None:
    turns = Turns(seed)
    draw = random.Random(seed + 1000)
    granted: list[tuple[Ask, Answer, float]] = []
    confirmed: list[tuple[str, float, Epoch]] = []  # server, sending time, the record that confirmed it

    def work(name: str, steps: list[str]) -> None:
        witness = DiskWitness(turns.medium(name), HEADER, name, 1, T, lambda: turns.now)
        counter = 1
        for step in steps:
            if step == "beat":
                if sent_at := witness.beat("online"):
                    confirmed.append((name, sent_at, witness._record().epoch))
                continue
            others = [s for s in SERVERS if s != name and draw.random() < 0.4]
            question = ask(name, counter, *sorted((name, *others)))
            answer = witness.propose(question)
            if answer.granted:
                granted.append((question, answer, turns.now))
            counter = max(counter, answer.promised.counter) + 1

    plans = {name: [draw.choice(("beat", "beat", "propose")) for _ in range(8)] for name in SERVERS}
    turns.run(*[(name, lambda name=name, plan=plan: work(name, plan)) for name, plan in plans.items()])

    chain = sorted(granted, key=lambda one: one[0].epoch)
    for (earlier, _, _), (later, answer, _) in itertools.pairwise(chain):
        assert answer.before.epoch >= earlier.epoch, (seed, earlier, later)
    for question, answer, at in granted:
        for name, sent_at, record in confirmed:
            if name not in question.members and record < question.epoch:
                assert sent_at <= at - answer.heard_s.get(name, T) + 1e-9, (seed, question, name, sent_at, at, answer)
