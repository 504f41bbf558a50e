"""What a drill's notes mean, which hours are within a window, when a schedule is due next: pure."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.http import QueryDict
from django.utils import translation

from agent.messages.catalog import render, severity
from agent.sim.standard import standard
from agent.wire.drill import Drill
from agent.wire.report import Note
from webmanager.drills import forms, guard, words
from webmanager.drills.measure import Facts, measure
from webmanager.drills.models import Schedule, Window

CRASH = Drill(kind="crash", bound_s=5)


def facts(**changes: Any) -> Facts:
    made = Facts(
        id="d1", drill=CRASH, server="server1", before={"failover1": "server1"},
        predicted={"failover1": {"outcome": "moves", "outage_s": 1.0}}, objectives={}, owner={"fip1": "failover1"},
        now_on={"failover1": "server2"}, server_online=True, asked=100.0, now=120.0,
    )  # fmt: skip
    return made._replace(**changes)


def notes(*lines: tuple[Any, ...]) -> list[Note]:
    """(time, server, "module:event", kind, name, *params)"""
    made = []
    for number, (at, server, what, kind, name, *params) in enumerate(lines):
        module, event = what.split(":")
        change = {"rc:10": ("Offline", "Online Pending"), "rc:11": ("Online Pending", "Online")}.get(what, ("", ""))
        lost = tuple(note.id for note in made if what == "rc:60" and note.module == "nm")
        made.append(
            Note(
                id=f"{server}:1:{number}", time=at, server=server, module=module, event=int(event),
                severity=severity(module, int(event)), kind=kind, name=name, params=tuple(params),
                text=render(module, int(event), params), before=change[0], after=change[1], causes=lost,
            )
        )  # fmt: skip
    return made


BEGUN = (100.0, "server1", "apisv:61", "server", "server1", "d1", "server1", "crash of server1", "5", "alice")
LOST = (102.0, "server2", "nm:2", "server", "server1", "server1", "not heard for 1.00 s on any path")
TAKEN = (
    (102.0, "server2", "rc:60", "group", "failover1", "failover1", "server1", "server2"),
    (102.0, "server2", "rc:10", "group", "failover1", "failover1", "server2"),
    (102.4, "server2", "rc:11", "group", "failover1", "failover1", "server2"),
    (102.4, "server2", "rc:61", "group", "failover1", "failover1", "server1", "server2"),
)
BACK = (106.0, "server1", "apisv:63", "server", "server1", "d1", "server1", "0.4", "4.6", "0", "0", "0")
ALL = (BEGUN, LOST, *TAKEN, BACK)


def codes(measured: Any) -> list[str]:
    return [code for code, _ in measured.report["sentences"]]


def test_crash_that_was_recovered_has_passed() -> None:
    measured = measure(facts(), notes(*ALL))
    (group,) = measured.report["groups"]
    assert (measured.verdict, measured.over, codes(measured)) == ("passed", True, ["no_objective"])
    assert group["outage_s"] == pytest.approx(1.4)
    assert (measured.report["taken_down_s"], measured.report["away_s"]) == (0.4, 4.6)


def test_order_of_arrival_and_lines_that_come_twice_change_nothing() -> None:
    lines = notes(*ALL)
    assert measure(facts(), [*reversed(lines), *lines]).report == measure(facts(), lines).report


@pytest.mark.parametrize(
    ("changes", "lines", "verdict", "code"),
    [
        ({"objectives": {"failover1": 1.0}}, ALL, "failed", "too_slow"),
        ({"objectives": {"failover1": 2.0}}, ALL, "passed", "in_time"),
        ({"now_on": {"failover1": ""}}, (BEGUN, LOST, BACK), "failed", "stays_down"),
        ({"server_online": False}, ALL, "failed", "not_back"),
        ({"predicted": {"failover1": {"outcome": "stays"}}}, ALL, "failed", "unexpected"),
        ({}, (BEGUN, LOST, BACK), "failed", "nothing_happened"),
        ({"predicted": {}}, (BEGUN, BACK), "failed", "not_noticed"),
        ({"ended_by": "bob@x"}, ALL, "aborted", "ended_early"),
        ({}, (), "aborted", "never_began"),
        ({}, (BEGUN, (101.0, "server1", "apisv:64", "server", "server1", "d1", "server1", "fip1 is up")), "aborted",
         "given_up"),
    ],
)  # fmt: skip
def test_verdict_names_its_reason(changes: dict[str, Any], lines: Any, verdict: str, code: str) -> None:
    measured = measure(facts(**changes), notes(*lines))
    assert (measured.verdict, codes(measured)[0]) == (verdict, code)
    assert "%" not in words.sentence(measured.report["sentences"][0])


def test_goes_on_until_it_is_over_everywhere() -> None:
    assert not measure(facts(), notes(*ALL[:-1])).over
    assert not measure(facts(server_online=False), notes(*ALL)).over
    assert not measure(facts(now_on={"failover1": ""}), notes(*ALL)).over


def test_path_that_was_cut_must_be_noticed_and_moves_nothing() -> None:
    link = facts(drill=Drill(kind="link", bound_s=5, heartbeats=("lanhb1",)), predicted={})
    begun, over = BEGUN, (105.0, "server1", "apisv:62", "server", "server1", "d1", "server1", "its time has passed")
    heard = (101.0, "server2", "nm:4", "heartbeat", "lanhb1", "lanhb1", "server1")
    assert measure(link, notes(begun, heard, over))[1:] == (True, "passed")
    assert codes(measure(link, notes(begun, over))) == ["not_noticed"]


def test_words_of_every_sentence_can_be_said() -> None:
    values = {"group": "g", "server": "s", "servers": "s", "why": "w", "text": "t", "by": "b", "to": "s", "known": "k",
              "outage_s": 1.0, "objective_s": 1.0, "age_s": 1.0}  # fmt: skip
    for code in words._SENTENCES:
        assert "%(" not in words.sentence([code, values])
        assert "%(" not in words.marked([code, values])
    assert words.sentence(["of tomorrow", {}]) == words.marked(["of tomorrow", {}]) == "of tomorrow {}"
    with translation.override("ja"):
        assert words.marked(["said", {"text": "<b>"}]) == '<span lang="en">&lt;b&gt;</span>'
    assert "&lt;b&gt; did not come back" in words.marked(["not_back", {"server": "<b>"}])


# Windows and schedules


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("days", "begins", "ends", "when", "open_"),
    [
        ([0], 2, 4, "2026-11-23T02:00", True),  # a Monday
        ([0], 2, 4, "2026-11-23T04:00", False),
        ([1], 2, 4, "2026-11-23T03:00", False),
        ([0], 22, 4, "2026-11-24T03:59", True),  # the night that began on Monday
        ([1], 22, 4, "2026-11-24T03:59", False),
        ([6], 22, 4, "2026-11-23T03:00", True),
    ],
)
def test_window(days: list[int], begins: int, ends: int, when: str, open_: bool) -> None:
    window = Window(days=days, begins=datetime.time(begins), ends=datetime.time(ends))
    assert guard.is_open(window, at(when)) is open_


def test_weekly_schedule_keeps_its_hour_and_never_comes_twice(settings: Any) -> None:
    from django.utils import timezone

    from webmanager.drills.schedules import _following

    row = Schedule(weekly=True)
    with timezone.override("Europe/Berlin"):
        due = datetime.datetime(2026, 10, 19, 1, 0, tzinfo=datetime.UTC)  # 03:00 in summer
        following = _following(row, due, due + datetime.timedelta(seconds=5))
    assert following == datetime.datetime(2026, 10, 26, 2, 0, tzinfo=datetime.UTC)  # 03:00 in winter
    assert _following(Schedule(weekly=False), due, due) is None


def test_form_says_what_is_wrong_with_what() -> None:
    cluster = standard(3, safe=True)
    good = {"kind": "link", "server": "server1", "bound_s": "5", "heartbeats": "lanhb1", "way": "deaf"}
    for field, value in (("kind", "x"), ("server", "server9"), ("bound_s", "nan"), ("way", "x"), ("heartbeats", "x")):
        query = QueryDict(mutable=True)
        query.update({**good, field: value})
        wish = forms.read(query, cluster)
        assert (list(wish.errors), wish.drill) == ([field], None)
        assert wish.fields["server"] == query["server"]
    query = QueryDict(mutable=True)
    query.update(good)
    drill = forms.read(query, cluster).drill
    assert drill == Drill(kind="link", bound_s=5, heartbeats=("lanhb1",), way="deaf")
    assert words.command("server1", drill) == "clpdrill start link server1 --heartbeat lanhb1 --way deaf --seconds 5"
