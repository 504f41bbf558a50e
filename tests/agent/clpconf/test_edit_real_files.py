"""Edits of real files: the count is the original's, and nothing else moves."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from agent.catalog import specs
from agent.clpconf.bookkeeping import OBJECT_NUMBER, object_number
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit
from agent.clpconf.objects import find, of_kind

SPECS = specs()


def test_count_of_objects_is_that_of_the_original(real_conf: Path) -> None:
    root = Document.read(real_conf.read_bytes()).root
    stated = find(root, OBJECT_NUMBER)
    if not of_kind(root, "server") or stated is None:
        pytest.skip("a skeleton")

    assert stated.value == str(object_number(root)) or real_conf.name == "linux-02.conf"


def test_edit_of_a_real_file_changes_only_the_lines_concerned(real_conf: Path) -> None:
    data = real_conf.read_bytes()
    document = Document.read(data)
    edit = Edit(document, SPECS)
    edit.set("cluster/heartbeat/timeout", "77000")
    before, after = data.split(b"\n"), document.write().split(b"\n")
    changed = [
        line for line in difflib.ndiff(_text(before), _text(after)) if line[0] in "+-" and "configid" not in line
    ]

    # <heartbeat>, <timeout> and </heartbeat>, or one line for another one.
    assert 1 <= len(changed) <= 3


def test_group_with_everything_comes_and_goes_in_a_real_file(real_conf: Path) -> None:
    data = real_conf.read_bytes()
    document = Document.read(data)
    edit = Edit(document, SPECS)
    if not of_kind(edit.root, "group"):
        pytest.skip("a skeleton")
    edit.add_group("zz")
    edit.add_resource("zz", "fip", "zzfip")
    edit.add_monitor("fipw", "zzfipw")
    edit.set("monitor/fipw@zzfipw/target", "zzfip")
    edit.remove("group@zz")

    lines = difflib.ndiff(_text(data.split(b"\n")), _text(document.write().split(b"\n")))
    unlike = [
        line for line in lines if line[0] in "+-" and not any(w in line for w in ("configid", "objectnumber", "gid"))
    ]
    # A type that was registered without any object of it went with the last one.
    assert all("types" in line for line in unlike), unlike


def _text(lines: list[bytes]) -> list[str]:
    return [line.decode("latin-1").rstrip("\r") for line in lines]
