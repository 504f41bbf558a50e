"""The agent's own means of a drill: the word that ends it, the filter of the heartbeat child, the supervisor's part."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from agent.daemon import drill_crash, drill_end
from agent.daemon.drill import tell
from agent.daemon.drill_crash import CrashDrill
from agent.daemon.drill_filter import DrillFilter
from agent.daemon.drill_memory import DrillMemory
from agent.daemon.heartbeat_lan import steady
from agent.daemon.journal import Journal
from agent.daemon.lease import Lease, make_lease

KEY = bytes(range(32))
WISH = {"op": "drill", "id": "d1", "bound_s": 5.0, "paths": ["lanhb2"], "way": "both"}


@pytest.fixture
def memory() -> int:
    return make_lease()


def child(memory: int) -> DrillFilter:
    return DrillFilter(DrillMemory(memory), KEY, "demo", ["lanhb1", "lanhb2"])


def test_words_of_a_drill_leave_the_lease_alone(memory: int) -> None:
    lease, drill, other = Lease(memory), DrillMemory(memory), DrillMemory(memory)
    lease.write(12.5)
    drill.hangs_until, drill.away_until, drill.name = 7.0, 8.0, "3f" * 16
    assert (lease.read(), other.hangs_until, other.away_until, other.name) == (12.5, 7.0, 8.0, "3f" * 16)


@pytest.mark.parametrize("name", ["d2", "", "d11"])
def test_word_ends_its_own_drill_only(name: str) -> None:
    word = drill_end.word(KEY, "demo", "d1")
    assert drill_end.is_word(word, KEY, "demo", "d1")
    assert not drill_end.is_word(word, KEY, "demo", name)
    assert not drill_end.is_word(word, bytes(32), "demo", "d1")
    assert not drill_end.is_word(word, KEY, "other", "d1")
    assert not drill_end.is_word(word[:-1], KEY, "demo", "d1")


@pytest.mark.parametrize(("way", "deaf", "mute"), [("both", {1}, {1}), ("deaf", {1}, set()), ("mute", set(), {1})])
def test_chosen_paths_are_cut_until_the_time_is_over(memory: int, way: str, deaf: set[int], mute: set[int]) -> None:
    filter_ = child(memory)
    assert filter_.begin({**WISH, "way": way}, 100.0)
    filter_.turn(104.9)
    assert (filter_.deaf, filter_.mute) == (deaf, mute)
    filter_.turn(105.0)
    assert not filter_.deaf | filter_.mute


def test_no_path_named_means_all_and_a_whole_server_cuts_none(memory: int) -> None:
    filter_ = child(memory)
    filter_.begin({**WISH, "paths": []}, 100.0)
    assert filter_.deaf == {0, 1}
    filter_.begin({**WISH, "paths": [], "way": ""}, 100.0)
    assert not filter_.deaf | filter_.mute


@pytest.mark.parametrize(
    "wrong", [{"paths": ["lanhb9"]}, {"bound_s": 1e9}, {"bound_s": float("nan")}, {"bound_s": 0}, {"paths": None}]
)
def test_what_cannot_be_obeyed_cuts_nothing(memory: int, wrong: dict[str, object]) -> None:
    filter_ = child(memory)
    assert not filter_.begin({**WISH, **wrong}, 100.0)
    assert not filter_.deaf | filter_.mute


def test_word_ends_the_cut_and_the_daemon_is_told(memory: int) -> None:
    filter_ = child(memory)
    filter_.begin(WISH, 100.0)
    assert not filter_.is_end(b"a heartbeat")
    assert not filter_.is_end(drill_end.word(KEY, "demo", "d2"))
    assert filter_.is_end(drill_end.word(KEY, "demo", "d1"))
    assert (filter_.ended, filter_.deaf, filter_.mute) == ("d1", frozenset(), frozenset())


def test_child_that_stands_still_hears_the_word(memory: int) -> None:
    class Lan:
        socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    Lan.socket.bind(("127.0.0.1", 0))
    filter_, words = child(memory), DrillMemory(memory)
    filter_.begin({**WISH, "way": ""}, steady())
    words.hangs_until = steady() + 60
    still = threading.Thread(target=filter_.hang, args=([Lan(), None],))
    still.start()
    drill_end.send(drill_end.word(KEY, "demo", "d1"), ["127.0.0.1"], Lan.socket.getsockname()[1])
    still.join(30)
    Lan.socket.close()
    assert not still.is_alive()
    assert (filter_.hangs, words.hangs_until) == (False, 0.0)


# The supervisor -----------------------------------------------------------------------------------------------------


def test_crash_ends_by_itself_and_tells_its_times(memory: int) -> None:
    said: list[str] = []
    crash = CrashDrill(memory, lambda: "", lambda _level, text: said.append(text))
    crash.memory.name, crash.memory.away_until = "d1", steady() + 0.05
    assert crash.due
    assert crash.begin() == ""
    crash.silence({"child": 0})
    crash.stay_away(lambda: False)

    told = json.loads(crash.told())
    assert (told["id"], crash.due) == ("d1", False)
    assert told["began"] <= told["silent"] <= told["back"]


def test_groups_that_do_not_come_down_end_it_before_anything_fails(memory: int) -> None:
    crash = CrashDrill(memory, lambda: "fip1 is up", lambda _level, _text: None)
    crash.memory.name, crash.memory.away_until = "d1", steady() + 60
    assert crash.begin() == "fip1 is up"
    assert (crash.due, crash.over) == (False, {})
    assert json.loads(crash.told_given_up("fip1 is up")) == {"id": "d1", "given_up": "fip1 is up"}


def test_stop_of_the_service_ends_it(memory: int) -> None:
    crash = CrashDrill(memory, lambda: "", lambda _level, _text: None)
    crash.memory.away_until = steady() + 600
    crash.begin()
    crash.silence({})
    crash.stay_away(lambda: True)
    assert not crash.due


def test_silence_kills_without_a_word(memory: int) -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {}, setpgroup=0)
    crash = CrashDrill(memory, lambda: "", lambda _level, _text: None)
    crash.silence({"child": pid})
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_to_stand_still_for(memory: int) -> None:
    crash = CrashDrill(memory, lambda: "", lambda _level, _text: None)
    assert crash.stand_still() is False
    crash.memory.hangs_until = drill_crash.steady() + 0.05
    assert crash.stand_still() is True


@pytest.mark.parametrize(
    ("told", "event"),
    [
        ({"id": "d1", "began": 1.0, "silent": 1.4, "back": 6.0}, 63),
        ({"id": "d1", "given_up": "fip1 is up"}, 64),
    ],
)
def test_end_is_written_once_whatever_starts_after_it(tmp_path: Path, told: dict[str, object], event: int) -> None:
    journal = Journal(tmp_path, server="server1", incarnation=1, now=lambda: 100.0)
    for _ in range(2):
        tell(journal, json.dumps(told), "server1", 100.0)
    tell(journal, "", "server1", 100.0)
    tell(journal, "rubbish", "server1", 100.0)

    (note,) = journal.notes
    assert (note.module, note.event, note.params[:2]) == ("apisv", event, ("d1", "server1"))
    if event == 63:
        assert note.text.startswith(
            "The drill on server1 is over: its groups were taken down within 0.4 s, then it was"
        )
