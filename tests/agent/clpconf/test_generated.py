"""Files that nobody thought of: written back byte by byte, edited without harm, broken without an exception.

The same by the thousand: bin/bench configuration.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.catalog import specs
from agent.clpconf.bookkeeping import OBJECT_NUMBER, object_number
from agent.clpconf.diff import diff
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit, EditError
from agent.clpconf.element import Element
from agent.clpconf.objects import find, things
from agent.clpconf.references import references
from tests.bench.generated import conf, mutated
from tests.bench.survival import survive

SPECS = specs()
SEEDS = st.integers(0, 2**32)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, database=None)
@given(SEEDS)
def test_generated_file_is_written_back_byte_by_byte(seed: int) -> None:
    data = conf(seed)

    assert Document.read(data).write() == data


@pytest.mark.slow
@settings(max_examples=40, deadline=None, database=None)
@given(SEEDS)
def test_broken_file_is_opened_or_refused_with_a_place(seed: int) -> None:
    survive(mutated(conf(seed % 50), seed), Document.read(conf(seed % 7)))


@pytest.mark.slow
def test_broken_real_file_is_opened_or_refused_with_a_place(real_conf: Path) -> None:
    data = real_conf.read_bytes()
    for seed in range(3):
        survive(mutated(data, seed), Document.read(data))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, database=None)
@given(SEEDS)
def test_any_edits_keep_the_file_whole(seed: int) -> None:
    """References lead where they led, the count is true, a refusal changes nothing, and the difference is told."""
    chance = random.Random(seed)
    data = conf(seed)
    edit = Edit(Document.read(data), SPECS)
    dangling, counted = _dangling(edit), _counted(edit.root)
    for _ in range(8):
        before = edit.document.write()
        refused = False
        try:
            _step(edit, chance)
        except EditError:
            refused = True
        assert not refused or edit.document.write() == before
    again = Document.read(edit.document.write())
    assert _dangling(edit) <= dangling
    said, true = _counted(again.root)
    assert said in ("none", true) or (said, true) == counted  # Edits that count nothing leave a wrong number alone.
    assert diff(edit.document, again, SPECS) == []


def _counted(root: Element) -> tuple[str, str]:
    """The number of objects as the file says it, and as it is."""
    number = find(root, OBJECT_NUMBER)
    return number.value if number is not None else "none", str(object_number(root))


def _dangling(edit: Edit) -> set[tuple[str, str]]:
    """Names that nothing has."""
    there = {(thing.kind, thing.name) for thing in things(edit.root)}
    kinds = ("server", "group", "resource", "monitor")
    named = {(one.kind, one.name) for one in references(edit.root, SPECS) if one.kind in kinds}
    return named - there


def _step(edit: Edit, chance: random.Random) -> None:
    every = list(things(edit.root))
    one = chance.choice(every) if every else None
    steps: list[Callable[[], object]] = [
        lambda: edit.add_server(f"s{chance.randrange(9)}"),
        lambda: edit.add_group(f"g{chance.randrange(9)}"),
        lambda: edit.add_resource(f"g{chance.randrange(3)}", "exec", f"e{chance.randrange(9)}"),
        lambda: edit.add_monitor("pidw", f"p{chance.randrange(9)}"),
        lambda: edit.add_heartbeat("lankhb", chance.randrange(3)),
        lambda: edit.set("cluster/heartbeat/timeout", chance.choice(("1", "90000", "é"))),
        lambda: edit.order("server", []),
    ]
    if one is not None:
        path = one.element.path
        steps += [
            lambda: edit.remove(path), lambda: edit.rename(path, f"{one.name}x"),
            lambda: edit.set(f"{path}/comment", "x"), lambda: edit.unset(f"{path}/comment"),
        ] * 2  # fmt: skip
    chance.choice(steps)()
