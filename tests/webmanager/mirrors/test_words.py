"""What is said of mirror disks: the same sentences everywhere, whatever the sides say of themselves."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from agent.wire import mirror as wire
from tests.agent.cli import mirrors
from webmanager.mirrors import losses, picture, selectors, words
from webmanager.overview.problems import SENTENCES as PROBLEMS
from webmanager.overview.problems import _of_mirror

STATES = {
    "equal": mirrors.equal(), "copying": mirrors.copying(), "alone": mirrors.alone(), "diverged": mirrors.diverged(),
    "doubtful": mirrors.doubtful(), "empty": mirrors.empty(), "silent": mirrors.mirror(None, None),
    "differs": mirrors.differing(), "separated": mirrors.separated(), "restoring": mirrors.restoring(),
}  # fmt: skip


def test_pages_have_the_sentences_of_the_commands():
    assert wire.SENTENCES == words.SENTENCES


@pytest.mark.parametrize("name", STATES)
def test_every_state_can_be_shown_in_both_languages(name):
    from django.utils.translation import override

    for language, code in itertools.product(("en", "ja"), ("server1", "server2")):
        with override(language):
            shown = selectors.shown(STATES[name])
            line = selectors.listed(STATES[name])
            report = losses.report(STATES[name], code)
            said = [one["text"] for one in shown["facts"]] + report["sentences"]
            assert all(said)
            assert not any("%(" in text or "{" in text for text in said), said
            assert line["fact"] == shown["facts"][0]


@pytest.mark.parametrize("name", STATES)
def test_overview_has_words_for_every_fact(name):
    assert all(problem.code in PROBLEMS for problem in _of_mirror(STATES[name]))
    assert bool(list(_of_mirror(STATES[name]))) == (name != "equal")


def test_what_a_newer_agent_says_is_shown_as_it_is():
    assert words.sentence("of_tomorrow", {"a": 1}) == "of_tomorrow {'a': 1}"
    assert words.following("of_tomorrow", {}) == ""


def test_words_of_servers_are_marked_and_escaped():
    said = words.marked("error", {"server": "<b>", "text": "a < b"})

    assert said == '&lt;b&gt;: <span lang="en">a &lt; b</span>'


def test_loss_is_what_the_other_side_has():
    kept = {server: losses.report(STATES["diverged"], server) for server in ("server1", "server2")}

    assert kept["server1"]["lost_bytes"] == 3 << 20
    assert kept["server2"]["lost_bytes"] == 12 << 20


def test_picture_draws_each_level_once_and_tells_where():
    cells = [0] * 512
    cells[0] = cells[1] = cells[64] = 9
    cells[511] = 3
    drawn = picture.bitmap(cells, 40 << 20, 1 << 30)

    assert (drawn["width"], drawn["height"]) == (640, 80)
    assert [level for level, _ in drawn["paths"]] == [0, 3, 9]
    assert dict(drawn["paths"])[9] == "M0 0h20v10h-20zM0 10h10v10h-10z"
    assert drawn["label"] == "40.0 MiB of 1.0 GiB differ, at 0.0–0.4 %, 12.5–12.7 %, 99.8–100.0 % of the disk."


def test_rows_of_the_picture_are_equally_long():
    drawn = picture.bitmap([0] * 48 + [9] * 48, 24 << 20, 48 << 20)

    assert (drawn["width"], drawn["height"]) == (480, 20)
    assert dict(drawn["paths"])[9] == "M0 10h480v10h-480z"


def test_empty_picture_says_that_nothing_differs():
    assert picture.bitmap((), 0, 1 << 30)["label"] == "Nothing differs."


def facts(**changes: Any) -> list[str]:
    one = mirrors.side("server1", "server2", **changes)
    two = mirrors.side("server2", "server1")
    return [code for _, code, _ in wire.facts("md1", {"server1": one, "server2": two})]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"error": "The disk cannot be written."}, "error"),
        ({"isolated": True, "relation": "apart", "dirty": 4096}, "isolated"),
        ({"isolated": True, "relation": "apart"}, "isolated_equal"),
        ({"mode": "alone", "active": True, "relation": "apart"}, "alone_equal"),
        ({"mode": "stalled", "active": True, "relation": "apart"}, "stalled"),
        ({"verify": {"differing": 4096}}, "differs"),
        ({"relation": "apart"}, "apart"),
        ({}, "equal"),
    ],
)
def test_worst_fact_comes_first(changes, first):
    assert facts(**changes)[0] == first


@pytest.mark.parametrize(
    ("mine", "theirs", "code"),
    [
        (("a",), ("a",), "same_generation"),
        (("b", "a"), ("a",), "ahead"),
        (("a",), ("b", "a"), "ahead"),
        (("b", "a"), ("c", "a"), "parted"),
        (("a",), ("b",), "no_common"),
    ],
)
def test_generations_are_told(mine, theirs, code):
    def side(server: str, peer: str, names: tuple[str, ...]) -> dict[str, Any]:
        past = tuple({"name": name, "at": 1, "server": server} for name in names)
        return mirrors.side(server, peer, generation=names[0], history=past)

    sides = {"server1": side("server1", "server2", mine), "server2": side("server2", "server1", theirs)}
    found = wire.lineage(sides)
    assert found is not None
    assert found[0] == code
    assert code != "ahead" or found[1]["server"] == ("server1" if len(mine) > 1 else "server2")


def test_progress_alone_makes_no_tape_longer():
    from webmanager.history.patches import difference

    assert difference(mirrors.copying(10 << 20), mirrors.copying(20 << 20))[1] is False
    for other in ("equal", "alone", "diverged"):
        assert difference(STATES["copying"], STATES[other])[1] is True
