"""events.jsonl is followed over crashes and rotations, and the alert log keeps what it must."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.daemon import journal as journal_module
from agent.daemon.alert_store import QUEUE, AlertStore, Cursor
from agent.daemon.journal import Journal
from agent.daemon.journal_tail import JournalTail
from agent.wire.alerts import Alert, Stream


def journal(path: Path) -> Journal:
    return Journal(path, server="server1", incarnation=1, now=time.time)


def write(into: Journal, *numbers: int) -> None:
    for number in numbers:
        into.write(20, "server", f"n{number}", "x" * 50, module="pm")


def names(tail: JournalTail) -> tuple[list[str], Cursor | None]:
    found: list[str] = []
    while True:
        notes, cursor = tail.read()
        found += [note.name for note in notes]
        if not notes:
            return found, cursor


def test_whole_lines_are_read_once_and_halves_when_they_are_whole(tmp_path: Path):
    tail = JournalTail(tmp_path / "events.jsonl", None)
    assert names(tail) == ([], None)
    one = journal(tmp_path)
    write(one, 1, 2)
    assert names(tail)[0] == ["n1", "n2"]

    line = (tmp_path / "events.jsonl").read_bytes().splitlines()[0]
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(line[:40])
        file.flush()
        assert names(tail)[0] == []
        file.write(line[40:] + b"\n{half of a crash\n")
    write(one, 3)

    assert names(tail)[0] == ["n1", "n3"]


def test_rotations_lose_nothing_also_while_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_module, "EVENTS_BYTES", 1000)
    one = journal(tmp_path)
    tail = JournalTail(tmp_path / "events.jsonl", None)
    write(one, 1)
    found, cursor = names(tail)
    write(one, 2, 3, 4, 5)
    tail.close()

    tail = JournalTail(tmp_path / "events.jsonl", cursor)
    more, _ = names(tail)
    write(one, 6, 7, 8)
    last, _ = names(tail)
    tail.close()

    assert (tmp_path / "events.jsonl.2").exists()
    assert found + more + last == [f"n{number}" for number in range(1, 9)]


def alert(number: int) -> Alert:
    return Alert(f"server1:1:{number}", float(number), "server1", "pm", 1, "info", "server", "server1", "t")


def store(path: Path, boot: str = "boot1", most: int = 100) -> AlertStore:
    return AlertStore(path / "alerts.db", "server1", boot, most)


def test_numbers_go_on_after_a_clean_end_and_begin_anew_after_a_power_cut(tmp_path: Path):
    one = store(tmp_path)
    with one.change():
        one.append(1.0, alert(1))
    life = one.me.life
    one.close()
    two = store(tmp_path, "boot2")
    with two.change():
        assert two.append(2.0, alert(2)).number == 2
    assert two.me.life == life

    three = store(tmp_path, "boot3")  # boot2 was never closed

    assert three.me.life != life
    assert three.extents() == {Stream("server1", life): (1, 2)}


def test_a_daemon_that_was_killed_goes_on_with_its_numbers(tmp_path: Path):
    life = store(tmp_path).me.life

    assert store(tmp_path).me.life == life


def test_a_damaged_log_is_put_aside(tmp_path: Path):
    (tmp_path / "alerts.db").write_bytes(b"no database at all" * 100)

    one = store(tmp_path)

    assert one.extents() == {}
    assert (tmp_path / "alerts.db.damaged").exists()


def test_a_change_that_fails_leaves_nothing(tmp_path: Path):
    one = store(tmp_path)

    def change() -> None:
        with one.change():
            one.append(1.0, alert(1))
            one.move(Cursor(1, 2))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()

    assert (one.extents(), one.cursor()) == ({}, None)


def test_the_log_is_bounded_and_the_newest_stay(tmp_path: Path):
    one = store(tmp_path, most=10)
    with one.change():
        for number in range(1, 21):
            one.append(float(number), alert(number))

    firsts = one.shorten()

    assert firsts == {one.me: 11}
    assert one.extents() == {one.me: (11, 20)}
    assert [found.id for found in one.newest(2)] == ["server1:1:19", "server1:1:20"]


def test_a_new_life_repeats_what_was_written_since_the_start(tmp_path: Path):
    one = store(tmp_path)
    with one.change():
        one.append(1.0, alert(1))
    one.close()
    two = store(tmp_path)
    with two.change():
        two.append(2.0, alert(2))
    old = two.me

    two.begin_anew()

    assert two.me.life > old.life
    assert [entry.alert for entry in two.read(two.me, 0, 9)] == [alert(2)]


def test_the_queue_is_bounded_and_counts_what_gave_way(tmp_path: Path):
    one = store(tmp_path)
    with one.change():
        dropped = sum(one.enqueue("mail", ("mail",), alert(n), (f"i{n}",)) for n in range(QUEUE + 5))
        again = one.enqueue("mail", ("mail",), alert(QUEUE + 4), ("again",))

    assert (dropped, again) == (5, 0)
    assert one.waits() == {"mail": QUEUE}
    assert one.waiting("mail", 1)[0].alert == alert(5)


def test_what_another_server_told_waits_no_more(tmp_path: Path):
    one = store(tmp_path)
    with one.change():
        one.enqueue("mail", ("mail",), alert(1), ("server1:1:1",))
        one.enqueue("trap", ("r1", "r2"), alert(1), ("server1:1:1",))
        one.told_elsewhere("mail", ("server1:1:1",))

    assert one.waits() == {"trap": 2}
    assert [one_.receiver for one_ in one.waiting("trap", 9, but=("r1",))] == ["r2"]
