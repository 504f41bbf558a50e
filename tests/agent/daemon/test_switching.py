"""A change of the configuration of a running service: there, back, and what every end in between leaves behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.daemon import configuration_files as files
from agent.daemon import switching
from agent.daemon.paths import Paths
from agent.daemon.switching import Record, SwitchError
from agent.drivers import files as driver
from agent.wire.switch import Stored, Switch, config_id

KEY = "ab" * 32
OLD, NEW, EDITED = b"<old/>", b"<new/>", b"<edited/>"
FIRST, SECOND = 7, 8  # incarnations
TRYING = Switch(id="s1", to=config_id(NEW), origin=config_id(OLD), key=KEY, members=("server1", "server2"), why="w")
BACK = replace(TRYING, state="returned", reason="it was not confirmed in time")


@pytest.fixture
def places(tmp_path: Path) -> Paths:
    """A server that runs OLD and has NEW stored."""
    made = Paths(*(str(tmp_path / name) for name in ("etc", "state", "run", "log")))
    made.make()
    Path(made.config).write_bytes(OLD)
    Path(made.scripts, "g").mkdir(parents=True)
    Path(made.scripts, "g", "old.sh").write_bytes(b"old")
    Path(made.scripts, "g", "link").symlink_to("old.sh")
    store(made)
    return made


def store(places: Paths) -> None:
    files.store(places, KEY, NEW, {"g/new.sh": (b"new", 0o750)})
    switching.write_stored(places, Stored(config=config_id(NEW), key=KEY, groups=("g1",), level="group"))


def runs(places: Paths) -> tuple[bytes, list[str]]:
    scripts = Path(places.scripts)
    return Path(places.config).read_bytes(), sorted(str(one.relative_to(scripts)) for one in scripts.rglob("*.sh"))


def record(places: Paths) -> Record:
    found = switching.read_record(places)
    assert found is not None
    return found


def go(places: Paths) -> None:
    switching.go(places, TRYING, FIRST, OLD)


AS_OLD, AS_NEW = (OLD, ["g/old.sh"]), (NEW, ["g/new.sh"])


def test_what_is_tried_is_in_place_and_not_done_until_clpd_has_read_it(places: Paths):
    go(places)

    assert (runs(places), record(places).done) == (AS_NEW, False)
    switching.settle(places, FIRST)
    assert (runs(places), record(places).done, record(places).switch) == (AS_NEW, True, TRYING)
    switching.settle(places, FIRST)
    assert runs(places) == AS_NEW
    assert switching.read_stored(places) is None


def test_back_is_exactly_what_was_before_and_what_was_tried_is_stored_again(places: Paths):
    go(places)
    switching.settle(places, FIRST)

    switching.go_back(places, BACK, FIRST)
    switching.settle(places, FIRST)

    assert runs(places) == AS_OLD
    assert os.readlink(Path(places.scripts, "g", "link")) == "old.sh"
    assert record(places).switch == BACK
    stored = switching.read_stored(places)
    assert stored is not None
    assert (stored.config, stored.groups) == (TRYING.to, ("g1",))
    switching.go(places, replace(TRYING, state="confirmed"), FIRST, OLD)  # The others had it confirmed meanwhile.
    switching.settle(places, SECOND)
    assert runs(places) == AS_NEW


def test_another_start_of_clpd_never_runs_what_is_not_confirmed(places: Paths):
    go(places)
    switching.settle(places, FIRST)

    switching.settle(places, SECOND)

    assert runs(places) == AS_OLD
    found = record(places)
    assert (found.switch.state, found.switch.reason) == ("returned", switching.NOT_CONFIRMED)
    assert (found.by_start, found.incarnation, found.done) == (True, SECOND, True)


def test_what_is_confirmed_is_run_by_every_start(places: Paths):
    go(places)
    switching.settle(places, FIRST)

    switching.keep(places, replace(TRYING, state="confirmed"), FIRST)
    switching.settle(places, SECOND)

    assert runs(places) == AS_NEW
    assert record(places).switch.state == "confirmed"


def test_what_was_returned_from_does_not_come_again_over_a_file_that_was_put_there_since(places: Paths):
    go(places)
    switching.settle(places, SECOND)
    Path(places.config).write_bytes(EDITED)

    switching.settle(places, SECOND + 1)

    assert runs(places)[0] == EDITED


def test_a_file_that_was_edited_before_is_kept_and_what_ran_is_in_force_again(places: Paths):
    Path(places.config).write_bytes(EDITED)
    go(places)

    switching.settle(places, SECOND)

    assert runs(places)[0] == OLD
    assert EDITED in [one.read_bytes() for one in (Path(places.state) / "configurations").rglob(files.CONF)]


def test_a_file_that_was_edited_while_it_was_tried_is_kept(places: Paths):
    go(places)
    switching.settle(places, FIRST)
    Path(places.config).write_bytes(EDITED)

    switching.settle(places, SECOND)

    assert runs(places) == AS_OLD
    assert EDITED in [one.read_bytes() for one in (Path(places.state) / "configurations").rglob(files.CONF)]


def test_scripts_alone_go_there_and_back(places: Paths):
    files.store(places, KEY, OLD, {"g/new.sh": (b"new", 0o750)})
    same = replace(TRYING, to=config_id(OLD))

    switching.go(places, same, FIRST, OLD)
    assert runs(places) == (OLD, ["g/new.sh"])
    switching.settle(places, SECOND)

    assert runs(places) == AS_OLD


@pytest.mark.parametrize(
    "switch", [replace(TRYING, key="cd" * 32), replace(TRYING, to="0" * 16), replace(TRYING, origin="0" * 16)]
)
def test_what_is_not_stored_or_could_not_be_taken_back_is_refused_and_changes_nothing(places: Paths, switch: Switch):
    with pytest.raises(SwitchError):
        switching.go(places, switch, FIRST, OLD)

    assert (runs(places), switching.read_record(places)) == (AS_OLD, None)


def test_a_renaming_that_is_refused_leaves_the_record_before(places: Paths, monkeypatch: pytest.MonkeyPatch):
    before = Record(switch=replace(TRYING, id="s0", state="confirmed"), incarnation=FIRST, done=True)
    switching.write_record(places, before)

    def refuse(_places: Paths, _key: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "switch", refuse)
    with pytest.raises(OSError, match="Read-only"):
        go(places)

    assert (runs(places), record(places)) == (AS_OLD, before)


def test_only_the_newest_change_can_be_taken_back(places: Paths):
    with pytest.raises(SwitchError, match="does not remember"):
        switching.go_back(places, BACK, FIRST)
    go(places)
    with pytest.raises(SwitchError, match="does not remember"):
        switching.go_back(places, replace(BACK, id="s9"), FIRST)


def test_a_version_that_is_gone_stops_the_next_start_with_a_remedy(places: Paths):
    go(places)
    switching.settle(places, FIRST)
    kept = Path(places.state) / "configurations" / record(places).kept
    (kept / files.CONF).unlink()

    with pytest.raises(SwitchError, match="Put the right one into"):
        switching.settle(places, SECOND)


def test_a_damaged_record_is_named_and_a_confirmation_replaces_it(places: Paths):
    (Path(places.state) / switching.RECORD).write_text("{")

    with pytest.raises(SwitchError, match=r"switch\.json is damaged"):
        switching.settle(places, FIRST)
    switching.keep(places, replace(TRYING, state="confirmed"), FIRST)
    assert record(places).switch.state == "confirmed"


def test_delivery_to_a_stopped_service_makes_what_was_tried_history(places: Paths):
    go(places)
    switching.settle(places, FIRST)
    store(places)

    switching.overridden(places)
    files.switch(places, KEY)
    switching.settle(places, SECOND)

    assert runs(places) == AS_NEW
    assert record(places).switch.state == "returned"


def test_one_at_a_time_exchanges_the_files(places: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(switching, "_LOCK_S", 0.0)
    with switching.alone(places), pytest.raises(SwitchError, match="Another process"):
        switching.settle(places, FIRST)
    switching.settle(places, FIRST)


# --- every end in between


class PowerCut(BaseException):
    pass


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """The power goes before the given change of the disk, counted from now on; -1: it stays."""
    left = [-1]

    def counted(work: Any) -> Any:
        def maybe(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise PowerCut
            left[0] -= 1
            return work(*arguments, **options)

        return maybe

    for name in ("rename", "replace", "rmdir", "mkdir", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    for name in ("rmtree", "copytree", "copy2"):
        monkeypatch.setattr(files.shutil, name, counted(getattr(files.shutil, name)))
    monkeypatch.setattr(files, "_write", counted(files._write))
    monkeypatch.setattr(driver, "_write", counted(driver._write))
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # It would take most of the time.

    def after(steps: int) -> None:
        left[0] = steps

    yield after
    left[0] = -1


def interrupted(work: Callable[[], None], cut: Callable[[int], None], steps: int) -> bool:
    """Whether the work was cut off."""
    cut(steps)
    try:
        work()
    except PowerCut:
        return True
    finally:
        cut(-1)
    return False


def every_end(places: Paths, tmp_path: Path, cut: Callable[[int], None], work: Callable[[], None]) -> Iterator[int]:
    """The state of the disk after `work` was cut off at each of its steps, one after the other."""
    before = tmp_path / "before"
    for name in ("etc", "state"):
        shutil.copytree(tmp_path / name, before / name, symlinks=True)
    for steps in range(200):
        for name in ("etc", "state"):
            shutil.rmtree(tmp_path / name)
            shutil.copytree(before / name, tmp_path / name, symlinks=True)
        if not interrupted(work, cut, steps):
            assert steps > 5
            return
        yield steps
    raise AssertionError("The work does not end.")


@pytest.mark.slow
def test_every_end_on_the_way_there_is_old_or_becomes_new(places: Paths, tmp_path: Path, cut: Callable[[int], None]):
    seen = set()
    for _steps in every_end(places, tmp_path, cut, lambda: go(places)):
        remembered = switching.read_record(places) is not None
        switching.settle(places, FIRST)
        assert runs(places) == (AS_NEW if remembered else AS_OLD)
        assert not remembered or record(places).done
        seen.add(remembered)
        clean(places)

    assert seen == {False, True}


@pytest.mark.slow
def test_after_every_end_on_the_way_there_another_start_runs_the_old_one(
    places: Paths, tmp_path: Path, cut: Callable[[int], None]
):
    for _steps in every_end(places, tmp_path, cut, lambda: go(places)):
        switching.settle(places, SECOND)
        assert runs(places) == AS_OLD
        found = switching.read_record(places)
        assert found is None or (found.switch.state, found.done) == ("returned", True)
        clean(places)


@pytest.mark.slow
@pytest.mark.parametrize("start", [FIRST, SECOND])
def test_every_end_on_the_way_back_is_new_or_becomes_old(
    places: Paths, tmp_path: Path, cut: Callable[[int], None], start: int
):
    go(places)
    switching.settle(places, FIRST)
    for _steps in every_end(places, tmp_path, cut, lambda: switching.go_back(places, BACK, FIRST)):
        begun = record(places).switch.state == "returned"
        switching.settle(places, start)
        assert runs(places) == (AS_OLD if begun or start == SECOND else AS_NEW)
        assert record(places).done
        clean(places)


@pytest.mark.slow
@pytest.mark.parametrize("start", [FIRST, SECOND])
def test_settling_may_itself_end_anywhere(places: Paths, tmp_path: Path, cut: Callable[[int], None], start: int):
    go(places)
    for _steps in every_end(places, tmp_path, cut, lambda: switching.settle(places, SECOND)):
        switching.settle(places, SECOND if start == FIRST else SECOND + 1)
        assert runs(places) == AS_OLD
        assert (record(places).switch.state, record(places).done) == ("returned", True)
        clean(places)


def clean(places: Paths) -> None:
    """Nothing half is left beside clp.conf, but perhaps what is stored, or was about to be."""
    left = {one for one in os.listdir(places.etc) if not one.startswith(".clp.stored-")}
    assert left == {"clp.conf", "scripts"}
