"""Operator messages: complete in both languages, and rendered without surprises."""

from __future__ import annotations

import re

import pytest

from agent.messages.catalog import MESSAGES, render, severity

NEEDED = {
    "pm": [1, 2, 10, 13, 14, 15, 20, 21, 24, 25, 26, 30, 31, 32, 33, 34],
    "nm": [*range(1, 8), 10, 30, 31, 32, 33, 36, 39, 80, 81],
    "rc": [
        10, 11, 12, 15, 16, 17, 20, 21, 22, 25, 26, 27, 30, 31, 32, 40, 41, 42, 50, 51, 52, *range(60, 68), 69, 70,
        71, 72, 77, 74, 75, 76, 80, 81, 82, 90, 91, 92, 100, *range(200, 207), *range(220, 226), 230, 231, 240, 280,
        500, 501, 502, 503, 512, 513,
    ],
    "rm": [1, 2, 4, 9, *range(12, 24), 25, 26, 27, *range(29, 33), 57, 71, 169, 170, 171, 180, 181, 190, 192, 193, 200],
    "apisv": [1, 2, 3, 4],
    "fip": [1, 2],
    "cp": list(range(1, 16)),
}  # fmt: skip


@pytest.mark.parametrize("module", NEEDED)
def test_every_needed_message_is_there(module: str) -> None:
    assert [event for event in NEEDED[module] if (module, event) not in MESSAGES] == []


@pytest.mark.parametrize("key", MESSAGES, ids=lambda key: f"{key[0]}{key[1]}")
def test_both_languages_say_the_same(key: tuple[str, int]) -> None:
    template = MESSAGES[key]

    assert set(re.findall(r"%\d", template.en)) == set(re.findall(r"%\d", template.ja))
    assert template.en.endswith(".")
    assert template.ja.endswith("。")
    assert re.search("[ぁ-んァ-ヶ一-龠]", template.ja)
    assert template.en.isascii()
    assert severity(*key) in ("info", "warning", "error")


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_mark_is_left_over(language: str, count: int) -> None:
    params = ["one", "two", "three"][:count]

    for module, event in MESSAGES:
        text = render(module, event, params, language)
        assert not re.search(r"%\d|[\[\]]|\(\)|: \.|  ", text), text


def test_parameters_are_put_in_and_optional_parts_fall_away() -> None:
    assert render("rc", 12, ["failover1", "server2", "exec1: exit code 3"]) == (
        "Group failover1 could not be started on server2: exec1: exit code 3."
    )
    assert render("rc", 12, ["failover1", "server2", ""]) == "Group failover1 could not be started on server2."
    assert render("rc", 12, ["failover1", "server2"]) == "Group failover1 could not be started on server2."
    assert render("rc", 11, ["failover1", "server2"], "ja") == "グループ failover1 が server2 で起動しました。"


def test_parameter_is_never_taken_for_a_mark() -> None:
    assert render("rc", 12, ["%2", "[x]", "100 %1"]) == "Group %2 could not be started on [x]: 100 %1."


def test_sentence_as_last_parameter_does_not_end_twice() -> None:
    params = ["admin", "group start x", "There is no group x."]

    assert render("apisv", 2, params) == "Request from admin refused: group start x: There is no group x."
    assert render("apisv", 2, params, "ja").endswith(": There is no group x。")
    assert render("pm", 2, ["server1", "and so on..."]) == "The cluster service on server1 has stopped: and so on...."


def test_missing_required_parameter_shows() -> None:
    assert render("rc", 12, []) == "Group ? could not be started on ?."


def test_unknown_message_is_shown_by_its_number() -> None:
    assert render("zz", 7, ["a", "b"]) == "zz 7: a, b"
    with pytest.raises(KeyError):
        severity("zz", 7)


def test_severity_of_what_wakes_somebody_up() -> None:
    assert [severity(*key) for key in (("rc", 92), ("rc", 11), ("nm", 2), ("rm", 9))] == [
        "error", "info", "warning", "error",
    ]  # fmt: skip
