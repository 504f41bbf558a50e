"""Plays any recorded case, whatever its form; what cannot be played says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.sim.replay import compare, decide
from agent.sim.replay.reading import NotSupportedError, name_of
from agent.sim.replay.verdict import Result, not_supported

_FORMS = {"stimuli": compare.judge, "placement": decide.judge}


def form_of(case: Mapping[str, Any]) -> str:
    if "stimuli" in case and "services" in case:
        return "stimuli"
    if "state" in case and ("initial" in case or "groups" in case):
        return "placement"
    return ""


def replay(case: Mapping[str, Any], name: str) -> Result:
    form = form_of(case)
    if not form:
        text = "it has neither stimuli and services, nor state and groups"
        return not_supported(name, form, "unknown-form", text)
    try:
        return _FORMS[form](case, name)
    except NotSupportedError as reason:
        return not_supported(name, form, reason.rule, str(reason))


def replay_all(cases: Sequence[Mapping[str, Any]], wanted: str = "") -> Iterator[Result]:
    """All cases, or the one of this name."""
    for number, case in enumerate(cases, 1):
        name = name_of(case, number)
        if wanted in ("", name):
            yield replay(case, name)
