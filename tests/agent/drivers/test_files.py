"""Whole files or none."""

import os

import pytest

from agent.drivers import files
from agent.drivers.files import is_lost, read_limited, write_atomic, write_quick


@pytest.mark.parametrize("durable", [False, True])
def test_file_is_replaced_and_nothing_else_is_left(tmp_path, durable):
    path = tmp_path / "state.json"

    for content in (b"one", b"", b"two" * 1000):
        write_atomic(path, content, durable=durable)
        assert path.read_bytes() == content

    assert os.listdir(tmp_path) == ["state.json"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("exchanges", [True, False])
def test_quick_write_replaces_the_file_also_where_names_cannot_be_exchanged(tmp_path, monkeypatch, exchanges):
    path = tmp_path / "state.json"
    if exchanges:
        path.write_bytes(b"zero")
        (tmp_path / "other").write_bytes(b"")
        assert files._exchange(tmp_path / "other", path)
        assert files._exchange(tmp_path / "other", path)
        (tmp_path / "other").unlink()
    else:
        monkeypatch.setattr(files, "_libc", None)

    for content in (b"one", b"two" * 1000, b"three"):
        write_quick(path, content)
        assert path.read_bytes() == content

    assert os.listdir(tmp_path) == ["state.json"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("data", "lost"), [(b"", True), (bytes(300), True), (b"{}", False), (b"\0{", False)])
def test_file_that_a_power_cut_left_is_known(data, lost):
    assert is_lost(data) == lost


def test_failed_write_keeps_the_old_file_and_no_temporary_one(tmp_path):
    (tmp_path / "state.json").mkdir()

    with pytest.raises(OSError, match=r"state\.json"):
        write_atomic(tmp_path / "state.json", b"new", durable=True)

    assert os.listdir(tmp_path) == ["state.json"]


def test_reading_has_a_limit(tmp_path):
    path = tmp_path / "record"
    assert read_limited(path, 4) is None
    path.write_bytes(b"1234")
    assert read_limited(path, 4) == b"1234"
    path.write_bytes(b"12345")
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read_limited(path, 4)
