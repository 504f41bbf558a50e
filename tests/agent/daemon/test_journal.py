"""Notes on disk and in memory, and the steady clock's notice of a stall."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from agent.daemon import journal as module
from agent.daemon.clock import Pulse, SteadyClock
from agent.daemon.journal import Journal, human_line, read_tail
from agent.wire.report import Note


def make(directory: Path, incarnation: int = 1) -> Journal:
    return Journal(directory, server="server1", incarnation=incarnation, now=time.time)


def note(number: int, text: str = "text") -> Note:
    return Note(
        id=f"server1:1:{number}", time=1795388799.123, server="server1", module="rc", event=62, severity="error",
        kind="group", name="g1", text=text,
    )  # fmt: skip


def test_notes_are_in_both_files_and_found_again_by_the_next_daemon(tmp_path: Path):
    first = make(tmp_path)
    first.add(note(1, "The disk is full"))
    first.close()

    assert json.loads((tmp_path / "events.jsonl").read_text())["text"] == "The disk is full"
    assert (tmp_path / "agent.log").read_text().endswith(" server1 ERROR rc:62 The disk is full\n")
    assert [n.text for n in make(tmp_path).notes] == ["The disk is full"]


def test_line_for_people_is_one_line_with_milliseconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert human_line(note(1, "two\nlines")) == "2026-11-22 23:06:39.123 server1 ERROR rc:62 two lines\n"


def test_half_a_line_of_a_crash_is_left_out(tmp_path: Path):
    journal = make(tmp_path)
    journal.add(note(1))
    journal.close()
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"id":"server1:1:2","ti')

    assert [n.id for n in read_tail(tmp_path / "events.jsonl", 10)] == ["server1:1:1"]


def test_files_are_rotated_by_size_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVENTS_BYTES", 2000)
    monkeypatch.setattr(module, "LOG_BYTES", 2000)
    journal = make(tmp_path)
    for number in range(200):
        journal.add(note(number))

    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == [f"{n}{i}" for n in ("agent.log", "events.jsonl") for i in ("", ".1", ".2", ".3")]
    assert all(p.stat().st_size <= 2000 for p in tmp_path.iterdir())
    assert json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])["id"] == "server1:1:199"


def test_full_disk_loses_lines_and_nothing_else(tmp_path: Path):
    journal = make(tmp_path / "log")
    (tmp_path / "log").write_bytes(b"a file where the directory should be")
    journal.add(note(1))

    assert [n.id for n in journal.notes] == ["server1:1:1"]


def test_repeated_trouble_is_told_once_and_counted(tmp_path: Path):
    journal = make(tmp_path)
    for _ in range(5):
        journal.write_limited(60, 30, "server", "server2", "server2", "it has another cluster key.")
    journal.write_limited(0, 30, "server", "server2", "server2", "it has another cluster key.")

    assert [n.text for n in journal.notes] == [
        "The link to server2 was refused: it has another cluster key.",
        "The link to server2 was refused: it has another cluster key (4 more like this since the last note).",
    ]
    assert len({n.id for n in journal.notes}) == 2


def test_numbers_of_the_engine_go_on_after_a_restart(tmp_path: Path):
    journal = make(tmp_path)
    journal.add(note(7))
    journal.write(31, "server", "server1", "server1", "no room")
    journal.close()

    assert make(tmp_path).highest(3) == 7
    assert make(tmp_path).highest(9) == 9
    assert make(tmp_path, incarnation=2).highest(0) == 0


def test_clock_is_the_time_of_day_and_never_steps_back():
    clock = SteadyClock()
    times = [clock.now() for _ in range(1000)]

    assert times == sorted(times)
    assert abs(times[0] - time.time()) < 1


@pytest.mark.parametrize(("gap_s", "stall_s"), [(0.25, 0.0), (1.2, 0.0), (1.3, 1.3), (60.0, 60.0)])
def test_pulse_notices_a_stall_by_whichever_comes_first(gap_s: float, stall_s: float):
    pulse = Pulse(100.0, period_s=0.25, limit_s=1.0)

    assert pulse.beat(100.0 + gap_s, timer=False) == pytest.approx(stall_s)
    assert pulse.beat(100.0 + gap_s, timer=True) == 0.0
