"""One server tells, and another one when it does not."""

from __future__ import annotations

from agent.alerts.telling import GATHER_S, TAKE_OVER_S, Tell, Teller
from agent.wire.alerts import Alert

ORDER = ("server1", "server2", "server3")
ALL = set(ORDER)


def alert(writer: str, number: int = 1, *params: str, event: int = 20) -> Alert:
    return Alert(f"{writer}:1:{number}", 0.0, writer, "pm", event, "error", "server", "x", "text", params)


def tellers() -> dict[str, Teller]:
    return {name: Teller(name, ORDER, lambda _: ("mail",)) for name in ORDER}


def due(all_of_them: dict[str, Teller], now: float, alive: set[str] = ALL) -> list[str]:
    return [name for name in alive for _ in all_of_them[name].due(now, alive - {name})]


def test_the_writer_tells_and_nobody_else():
    them = tellers()
    for teller in them.values():
        teller.came(alert("server2"), "server2", 0.0)

    assert due(them, GATHER_S - 0.1) == []
    assert due(them, GATHER_S) == ["server2"]
    assert due(them, GATHER_S + 1) == []


def test_of_twins_the_first_servers_is_told_whatever_order_they_come_in():
    them = tellers()
    for name, order in (("server1", (1, 3)), ("server2", (3, 1)), ("server3", (3, 1))):
        for number in order:
            them[name].came(alert(f"server{number}"), f"server{number}", 0.1 * number)

    told = [tell for name in ORDER for tell in them[name].due(GATHER_S + 1, ALL - {name})]

    assert [(tell.alert.server, sorted(tell.ids)) for tell in told] == [("server1", ["server1:1:1", "server3:1:1"])]


def test_a_late_twin_is_not_told_again():
    them = tellers()
    for teller in them.values():
        teller.came(alert("server3"), "server3", 0.0)
    assert due(them, GATHER_S) == ["server3"]

    for teller in them.values():
        teller.came(alert("server1"), "server1", 10.0)

    assert due(them, 20.0) == []


def test_it_is_settled_when_all_that_came_is_told_or_given_up():
    teller = tellers()["server2"]
    assert teller.is_settled()

    teller.came(alert("server1"), "server1", 0.0)
    teller.due(GATHER_S, ALL)
    assert not teller.is_settled()
    teller.told(["server1:1:1"], "mail")
    assert teller.is_settled()

    teller.came(alert("server1", 2), "server1", 0.0)
    teller.due(GATHER_S, ALL)
    teller.due(TAKE_OVER_S, ALL)
    assert teller.is_settled()


def test_the_same_written_twice_by_one_server_is_told_twice():
    them = tellers()
    for number in (1, 2):
        them["server1"].came(alert("server1", number), "server1", 0.0)

    assert len(them["server1"].due(GATHER_S, set())) == 2


def test_other_parameters_are_another_event_but_reasons_may_differ():
    teller = tellers()["server1"]
    teller.came(alert("server1", 1, "a"), "server1", 0.0)
    teller.came(alert("server2", 1, "b"), "server2", 0.0)
    down = [Alert(f"{n}:1:9", 0, n, "nm", 2, "warning", "server", "server3", "t", ("server3", n)) for n in ORDER[:2]]
    for one in down:
        teller.came(one, one.server, 0.0)

    assert [tell.ids for tell in teller.due(GATHER_S, ALL)] == [("server1:1:1",), ("server1:1:9", "server2:1:9")]


def test_who_does_not_say_that_it_told_is_replaced_by_the_first_living_server():
    them = tellers()
    for teller in them.values():
        teller.came(alert("server3"), "server3", 0.0)
    due(them, GATHER_S)

    assert due(them, TAKE_OVER_S, {"server1", "server2"}) == ["server1"]
    assert due(them, TAKE_OVER_S + 100, {"server1", "server2"}) == []


def test_nobody_takes_over_what_was_told():
    them = tellers()
    for teller in them.values():
        teller.came(alert("server3"), "server3", 0.0)
    due(them, GATHER_S)
    for teller in them.values():
        teller.told(("server3:1:1",), "mail")

    assert due(them, TAKE_OVER_S) == []


def test_after_a_restart_only_what_was_not_told_is_told():
    teller = Teller("server1", ORDER, lambda _: ("mail", "trap"))
    teller.came(alert("server1"), "server1", 100.0, fresh=False)
    teller.told(("server1:1:1",), "mail")

    assert teller.due(100.0, set()) == [Tell(alert("server1"), "trap", ("server1:1:1",))]
