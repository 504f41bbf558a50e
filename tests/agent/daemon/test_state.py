"""state.json and promise.json: what is true of them after a restart of the daemon, and after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.daemon.state import StateError, StateFile, Stored, read_state
from agent.drivers.machine import boot_id


def written(path: Path, boot: str) -> None:
    """The newest state was not durable; before that, a promise was."""
    state = StateFile(path, Stored(boot_id=boot, incarnation=4))
    state.save({"durable": {"ceiling": 5}, "note_seq": 1}, durable=True)
    state.save({"durable": {"ceiling": 6}, "note_seq": 2}, durable=False)


def test_newest_state_counts_while_the_machine_has_its_power(tmp_path: Path):
    path = tmp_path / "state.json"
    written(path, boot_id())

    stored = read_state(path)

    assert stored is not None
    assert stored.engine == {"durable": {"ceiling": 6}, "note_seq": 2}


def test_older_state_that_survives_a_power_cut_takes_back_no_promise(tmp_path: Path):
    path = tmp_path / "state.json"
    written(path, "an earlier boot")
    old = path.read_bytes()
    StateFile(path, Stored(boot_id="an earlier boot")).save({"durable": {"ceiling": 9}}, durable=True)
    path.write_bytes(old)  # Its replacement was never synced.

    stored = read_state(path)

    assert stored is not None
    assert stored.engine == {"durable": {"ceiling": 9}, "note_seq": 2}


@pytest.mark.parametrize("left", [b"", bytes(500), None])
def test_state_lost_in_a_power_cut_leaves_the_promise(tmp_path: Path, left: bytes | None):
    path = tmp_path / "state.json"
    written(path, "an earlier boot")
    path.unlink()
    if left is not None:
        path.write_bytes(left)

    assert read_state(path) == Stored(engine={"durable": {"ceiling": 5}})


def test_damaged_state_is_named(tmp_path: Path):
    path = tmp_path / "state.json"
    path.write_bytes(b'{"boot_id": "')

    with pytest.raises(StateError, match=r"state\.json is damaged"):
        read_state(path)
