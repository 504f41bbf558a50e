"""clpcfctrl leads a cluster that runs to another configuration, and says how that ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from agent.cli import change, clpcfctrl
from agent.cli.change import Change, ChangeRefusedError, Trial
from agent.cli.client import CommandError

Json = dict[str, Any]
CONFIG = "c" * 16
Says = Callable[..., None]


@pytest.fixture
def says(agent: Any, monkeypatch: pytest.MonkeyPatch) -> Says:
    """The agent shows these states of the change, one at each look, and the last one for ever."""
    monkeypatch.setattr(change, "_LOOK_S", 0.0)

    def script(*parts: Json) -> None:
        name = ""
        looks: Iterator[Json] = chain(parts, repeat(parts[-1]))

        def answer(request: Json) -> list[Json]:
            nonlocal name
            name = request["id"]
            return [{"ok": True, "answer": {"id": name, "code": 0, "reason": "", "text": ""}}]

        def view() -> Json:
            part = {"id": name, "phase": "", "back": False, "state": "", "reason": "", **next(looks)}
            return {"cluster": {"configuration": part, "coordinator": ""}}

        agent.answer = answer
        agent.look = view

    return script


def followed(trial: Trial) -> tuple[Change, list[str]]:
    told: list[str] = []
    made = Change(30, told.append)
    made.apply(CONFIG, trial)
    return made, told


def test_each_phase_is_told_and_the_end_is_known(says: Says, agent: Any):
    says({"id": ""}, *({"phase": phase, "state": "trying"} for phase in change.PHASES), {"state": "confirmed"})

    made, told = followed(Trial(30.0, True, "why"))

    assert (made.state, told) == ("confirmed", list(change.PHASES.values()))
    (asked,) = agent.asked
    assert (asked["op"], asked["target"], asked["why"], asked["confirm_s"], asked["health"]) == (
        "config_apply", CONFIG, "why", 30.0, True,
    )  # fmt: skip


def test_what_has_to_be_kept_by_somebody_is_not_waited_for(says: Says):
    says({"phase": "switching", "state": "trying"}, {"phase": "trying", "state": "trying"})

    assert followed(Trial(300.0))[0].state == "trying"


def test_an_agent_that_begins_anew_is_waited_for(says: Says, agent: Any, monkeypatch: pytest.MonkeyPatch):
    says({"phase": "freezing"}, {"state": "confirmed"})
    looks = [CommandError(3, "The agent ended the connection."), TimeoutError()]
    look = change._part

    def sometimes() -> Json:
        if looks:
            raise looks.pop()
        return look()

    monkeypatch.setattr(change, "_part", sometimes)

    assert followed(Trial())[0].state == "confirmed"


def test_what_was_taken_back_is_a_failure_with_the_reason(says: Says):
    says(
        {"phase": "trying", "state": "trying"}, {"phase": "stopping", "back": True, "state": "returned"},
        {"state": "returned", "reason": "it was not confirmed within 30 s, and group g1 is not online"},
    )  # fmt: skip

    with pytest.raises(CommandError, match=r"configuration before: it was .*, and group g1 is not online\.") as raised:
        followed(Trial(30.0, True))
    assert raised.value.exit_code == 1


def test_what_was_given_up_is_told_with_the_words_of_the_log(says: Says, agent: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(change, "_BEGIN_S", 0.0)
    says({"phase": "freezing"}, {"id": ""})
    note = {"module": "cp", "event": 80, "params": ["c", CONFIG, "w"], "text": "server2 did not answer."}
    agent.notes = [note, {**note, "event": 2}]

    with pytest.raises(ChangeRefusedError, match=r"It was given up: server2 did not answer\."):
        followed(Trial())


def test_what_takes_too_long_goes_on(says: Says):
    says({"phase": "stopping"})

    with pytest.raises(CommandError, match="was not over in time") as raised:
        Change(0.0, lambda _: None).apply(CONFIG, Trial())
    assert raised.value.exit_code == 4


def test_a_refusal_is_told_as_it_is(agent: Any):
    agent.answer = lambda request: [
        {"ok": False, "answer": {"id": request["id"], "code": 2, "reason": "busy", "text": "Another change."}}
    ]

    with pytest.raises(ChangeRefusedError, match="Another change"):
        followed(Trial())


def test_keep_and_return_ask_and_wait(says: Says, agent: Any, capsys: pytest.CaptureFixture[str]):
    says({"id": "s1", "state": "returned"})

    assert clpcfctrl.main(["--keep"]) == 0
    assert clpcfctrl.main(["--return", "--why", "too slow"]) == 0

    assert [(one["op"], one.get("why")) for one in agent.asked] == [
        ("config_confirm", None), ("config_return", "too slow"),
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "It stays.", "Command succeeded.", "Every server runs the configuration before.", "Command succeeded.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "level", "trial"),
    [
        ("", "noted", Trial()), ("", "group", Trial(30.0, True)), ("--confirm 0", "stop", Trial()),
        ("--confirm 300", "noted", Trial(300.0)), ("--health", "noted", Trial(30.0, True)),
        ("--confirm 90 --health --why w", "group", Trial(90.0, True, "w")),
    ],
)  # fmt: skip
def test_how_long_it_is_on_trial(options: str, level: str, trial: Trial):
    arguments = clpcfctrl._parse(["--push", *options.split()])

    assert clpcfctrl._trial(arguments, level) == trial
