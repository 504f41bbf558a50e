"""Alerts reach every server, whatever the network and the servers do on the way."""

from __future__ import annotations

import random

import pytest

from agent.alerts.sync import Effect, Keep, Lost, Rewound, Send, Sync
from agent.wire.alerts import Alert, Codec, Entry, Extent, Have, Stream


def entry(number: int, server: str = "server1", text: str = "") -> Entry:
    return Entry(number, Alert(f"{server}:1:{number}", 0.0, server, "pm", 1, "info", "server", server, text))


class Log:
    """One server's disk."""

    def __init__(self, name: str, life: int = 1) -> None:
        self.me = Stream(name, life)
        self.kept: dict[Stream, list[Entry]] = {self.me: []}
        self.lost: list[Lost] = []
        self.rewound = False

    def read(self, stream: Stream, after: int, most: int) -> list[Entry]:
        return [one for one in self.kept.get(stream, []) if one.number > after][:most]

    def extents(self) -> dict[Stream, tuple[int, int]]:
        return {stream: (some[0].number, some[-1].number) for stream, some in self.kept.items() if some}


class Net:
    """Servers with a network that loses, doubles and delays; time goes in steps."""

    def __init__(self, names: list[str], seed: int, *, loss: float, double: float, delay: float) -> None:
        self.random = random.Random(seed)
        self.names = names
        self.loss, self.double, self.delay = loss, double, delay
        self.now = 0.0
        self.logs = {name: Log(name) for name in names}
        self.minds = {name: self.mind(name) for name in names}
        self.flying: list[tuple[float, str, str, object]] = []
        self.down: set[str] = set()
        self.sent = 0

    def mind(self, name: str, *, quiet: bool = False) -> Sync:
        log = self.logs[name]
        return Sync(log.me, [n for n in self.names if n != name], log.extents(), log.read, self.now, quiet=quiet)

    def write(self, name: str, text: str = "") -> None:
        log = self.logs[name]
        number = len(log.kept[log.me]) + 1
        log.kept[log.me].append(entry(number, name, text))
        if name not in self.down:
            self.carry_out(name, self.minds[name].wrote(self.now, number))

    def carry_out(self, name: str, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.sent += 1
                copies = (self.random.random() >= self.loss) + (self.random.random() < self.double)
                for _ in range(copies):
                    at = self.now + self.random.random() * self.delay
                    self.flying.append((at, name, effect.peer, effect.packet))
            elif isinstance(effect, Keep):
                self.logs[name].kept.setdefault(effect.stream, []).extend(effect.entries)
            elif isinstance(effect, Lost):
                self.logs[name].lost.append(effect)
            elif isinstance(effect, Rewound):
                self.logs[name].rewound = True

    def run(self, for_s: float, step_s: float = 0.05) -> None:
        end = self.now + for_s
        while self.now < end:
            self.now += step_s
            due = [one for one in self.flying if one[0] <= self.now]
            self.flying = [one for one in self.flying if one[0] > self.now]
            self.random.shuffle(due)
            for _, sender, to, packet in due:
                if to not in self.down and sender not in self.down:
                    self.carry_out(to, self.minds[to].received(sender, packet, self.now))
            for name in self.names:
                if name not in self.down and self.minds[name].next_deadline(self.now) <= self.now:
                    self.carry_out(name, self.minds[name].tick(self.now))

    def agree(self) -> bool:
        kept = [
            {stream: [e.number for e in some] for stream, some in log.kept.items() if some}
            for log in self.logs.values()
        ]
        return all(one == kept[0] for one in kept)


def calm(*names: str) -> Net:
    return Net(list(names), 1, loss=0.0, double=0.0, delay=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_all_servers_have_all_alerts_whatever_the_network_does(seed: int):
    net = Net(["server1", "server2", "server3"], seed, loss=0.3, double=0.2, delay=0.4)
    for _ in range(30):
        net.write(net.random.choice(net.names), "x" * net.random.randrange(600))
        net.run(net.random.random())

    net.loss = 0.1
    net.run(60)

    assert net.agree(), f"seed {seed}"
    assert sum(len(some) for some in net.logs["server1"].kept.values()) == 30
    assert not any(log.lost for log in net.logs.values())


def test_an_alert_is_everywhere_as_soon_as_the_network_carries_it():
    net = calm("server1", "server2", "server3")
    net.run(6)

    net.write("server1")
    net.run(0.2)

    assert net.agree()


def test_a_server_that_was_away_gets_what_it_lacks_also_from_others_than_the_writer():
    net = calm("server1", "server2", "server3")
    net.run(6)
    net.down.add("server3")
    for _ in range(300):
        net.write("server1", "y" * 200)
    net.run(10)

    net.down = {"server1"}
    net.minds["server3"] = net.mind("server3")
    net.run(30)

    assert [e.number for e in net.logs["server3"].kept[Stream("server1", 1)]] == list(range(1, 301))


def test_a_writer_that_starts_anew_goes_on_with_its_numbers():
    net = calm("server1", "server2")
    net.write("server1")
    net.run(6)
    net.minds["server1"] = net.mind("server1")

    net.write("server1")
    net.run(6)

    assert net.agree()
    assert len(net.logs["server2"].kept[Stream("server1", 1)]) == 2


def test_what_nobody_keeps_any_more_is_skipped_and_counted():
    net = calm("server1", "server2")
    net.write("server1")
    net.run(6)
    net.down.add("server2")
    for _ in range(9):
        net.write("server1")
    net.run(1)
    log = net.logs["server1"]
    log.kept[log.me] = log.kept[log.me][5:]
    net.minds["server1"].forgot(log.me, 6)

    net.down.clear()
    net.run(20)

    assert net.logs["server2"].lost == [Lost(Stream("server1", 1), 4, 6)]
    assert [e.number for e in net.logs["server2"].kept[Stream("server1", 1)]] == [1, *range(6, 11)]


def test_a_new_server_takes_what_is_there_and_misses_nothing():
    net = calm("server1", "server2")
    log = net.logs["server1"]
    log.kept[log.me] = [entry(number) for number in range(6, 11)]
    net.minds["server1"] = net.mind("server1")

    net.run(10)

    assert not net.logs["server2"].lost
    assert net.agree()


def test_a_log_that_was_set_back_is_noticed_before_its_numbers_mean_two_things():
    net = calm("server1", "server2")
    for _ in range(5):
        net.write("server1")
    net.run(6)
    log = net.logs["server1"]
    log.kept[log.me] = log.kept[log.me][:3]
    net.minds["server1"] = net.mind("server1")

    net.run(6)

    assert log.rewound


def test_a_new_life_brings_the_old_one_back():
    net = calm("server1", "server2")
    for _ in range(5):
        net.write("server1")
    net.run(6)
    net.logs["server1"] = Log("server1", life=2)
    net.minds["server1"] = net.mind("server1")

    net.run(10)

    assert len(net.logs["server1"].kept[Stream("server1", 1)]) == 5


def test_however_often_a_server_began_anew_what_is_told_stays_short():
    extents = {Stream(f"server{server}", life): (1, 5) for server in range(1, 33) for life in range(200)}
    mind = Sync(Stream("server1", 50), [f"server{n}" for n in range(2, 33)], extents, lambda *_: [], 0.0)

    packet = next(effect.packet for effect in mind.tick(0.0) if isinstance(effect, Send))

    assert Stream("server1", 50) in mind.extents
    assert len(Codec("c", "server1", b"k" * 32, ()).seal(packet, 0.0)) < 8000


def test_what_is_no_server_of_the_cluster_is_not_answered():
    net = calm("server1", "server2")

    assert net.minds["server1"].received("stranger", Have((Extent("server1", 1, 1, 9),)), 1.0) == []


def test_a_peer_that_is_away_costs_a_word_now_and_then():
    net = calm("server1", "server2")
    net.down.add("server2")
    for _ in range(100):
        net.write("server1")
    net.sent = 0

    net.run(60)

    assert net.sent <= 4


def test_servers_that_have_the_same_fall_silent_and_know_it():
    net = calm("server1", "server2", "server3")
    net.write("server1")
    net.run(20)
    assert net.agree()
    assert all(mind.is_settled(net.now) for mind in net.minds.values())
    net.sent = 0

    net.run(60)

    assert net.sent == 0


def test_one_who_is_woken_and_has_nothing_new_wakes_nobody():
    net = calm("server1", "server2", "server3")
    net.write("server1")
    net.run(20)
    net.minds = {name: net.mind(name, quiet=True) for name in net.names}
    net.sent = 0

    net.minds["server3"].wrote(net.now, 0)  # It asks, once each, and is answered.
    net.run(60)

    assert net.sent == 4


def test_a_server_is_not_settled_while_one_that_is_heard_lacks_something_or_one_may_still_come():
    net = calm("server1", "server2")
    net.run(6)
    net.write("server1")
    net.flying.clear()

    assert not net.minds["server1"].is_settled(net.now)
    net.run(1)
    assert net.minds["server1"].is_settled(net.now)
    net.down.add("server2")
    net.run(16)
    net.write("server1")
    assert not net.minds["server1"].is_settled(net.now)
    net.run(17)
    assert net.minds["server1"].is_settled(net.now)


def test_while_it_matters_who_is_there_everybody_is_asked():
    net = calm("server1", "server2")
    net.run(30)
    mind = net.minds["server1"]
    assert not mind.heard(net.now)

    mind.watchful = True
    net.run(6)

    assert mind.heard(net.now) == {"server2"}


def test_a_peer_that_hears_but_does_not_answer_is_told_with_growing_pauses():
    net = calm("server1", "server2")
    net.run(6)
    net.write("server1")
    mind = net.minds["server1"]
    net.flying.clear()
    sent = 0

    for _ in range(200):
        net.now += 0.05
        sent += sum(isinstance(one, Send) for one in mind.tick(net.now))

    assert 4 <= sent <= 12
