"""What of a mirror disk is told, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.journal import Journal
from agent.daemon.mirror_notes import MirrorNotes
from agent.messages import mirrors as md
from agent.messages.catalog import render
from agent.wire.mirror import MirrorState

Seen = Callable[..., list[int]]


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """Numbers of the notes that a state gives, at a time."""
    journal = Journal(tmp_path, server="server1", incarnation=1, now=time.time)
    notes = MirrorNotes(journal, "md1", "server1", "server2")
    usual = {"constructed": True, "active": True, "mode": "mirrored", "relation": "equal"}

    def look(at: float = 0.0, **state: Any) -> list[int]:
        total = journal.total
        notes.seen(at, MirrorState(**{**usual, **state}))
        return [note.event for note in journal.since(total)]

    look(0.0)
    return look


def test_break_copy_and_end_are_told_once_each(seen: Seen):
    assert seen(1, mode="alone", relation="apart") == [md.ALONE]
    assert seen(2, mode="alone", relation="apart", dirty=5 << 20) == []
    assert seen(3, mode="copying", relation="source", to_copy=5 << 20) == [md.COPIES]
    assert seen(4, mode="copying", relation="source", to_copy=5 << 20, copied=4 << 20) == []
    assert seen(5) == [md.EQUAL]
    assert seen(6) == []


def test_long_copies_tell_their_quarters(seen: Seen):
    seen(0, mode="copying", relation="source", to_copy=100)
    assert seen(100, mode="copying", relation="source", to_copy=100, copied=30) == [md.PROGRESS]
    assert seen(110, mode="copying", relation="source", to_copy=100, copied=40) == []
    assert seen(200, mode="copying", relation="source", to_copy=100, copied=80, remaining_s=50.0) == [md.PROGRESS]


def test_writes_that_wait_are_told_when_it_lasts(seen: Seen):
    assert seen(1, mode="stalled", relation="apart") == []
    assert seen(4, mode="stalled", relation="apart") == []
    assert seen(6.1, mode="stalled", relation="apart") == [md.STALLED]
    assert seen(9, mode="stalled", relation="apart") == []


def test_split_differences_and_faults(seen: Seen):
    assert seen(1, mode="off", relation="foreign", doubt="Both have gone on.") == [md.SPLIT]
    assert seen(2, mode="off", relation="foreign", doubt="Both have gone on.") == []
    assert seen(3, verify={"differs": 4096}) == [md.DIFFERS]
    assert seen(4, verify={"differs": 4096}) == []
    assert seen(5, error="The disk fails.") == [md.FAULT]


@pytest.mark.parametrize("number", sorted(number for _, number in md.MESSAGES))
def test_every_message_speaks_both_languages_and_names_the_mirror(number: int):
    english, japanese = (render("md", number, ("md1", "server1", "server2", "5 MiB"), one) for one in ("en", "ja"))

    assert "md1" in english
    assert "md1" in japanese
    assert english != japanese
    assert "?" not in english
