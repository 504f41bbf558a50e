"""Compares a played case of the first form with what was recorded: placement, fenced servers, times, safety."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.sim.replay.failover import Player, play
from agent.sim.replay.reading import listing, mapping, number
from agent.sim.replay.reasons import fences, first_of, shown, why_nowhere, why_there
from agent.sim.replay.rules import sentence
from agent.sim.replay.stage import Stage
from agent.sim.replay.stimuli import INTERVAL_S, Story
from agent.sim.replay.verdict import Difference, Result

# Rules that make the cluster wait.
_WAITS = {"startup-wait", "lost-is-not-stopped", "failback", "start-order", "retry", "exclusion", "quorum", "majority",
          "arbiter", "quarantine"}  # fmt: skip
_LATER_S = 2 * INTERVAL_S + 1.0  # Their seconds are those of a round of several seconds.


def judge(case: Mapping[str, Any], name: str) -> Result:
    story, player = play(case)
    stage = player.stage
    placement = _placement(story, stage)
    theirs = {service: str(server) for service, server in mapping(case.get("final"), "final").items()}
    found = [
        *_places(story, player, placement, theirs),
        *fences(stage, _fenced(case), _held(story, stage), asked=True, excused=story.excused),
        *_times(case, story, stage, placement),
    ]
    return Result(
        id=name, form="stimuli", placement=placement, differences=tuple(found), overlaps=tuple(stage.overlaps),
        fenced={server: how for server, (_, how) in sorted(stage.fenced.items())},
        broken=(*stage.violations, *_forbidden(story, stage, placement)),
    )  # fmt: skip


def _placement(story: Story, stage: Stage) -> dict[str, str]:
    on = stage.runs_on(story.services)
    return {service: ",".join(servers) for service, servers in on.items()}


def _fenced(case: Mapping[str, Any]) -> list[str]:
    return [str(e[1]) for e in listing(case.get("fenced"), "fenced") if isinstance(e, list) and len(e) > 1]


def _held(story: Story, stage: Stage) -> dict[str, bool]:
    """Servers on which something was started before they were cut off or fell."""
    cut = stage.was_minority
    return {s: any(start.server == s and start.at <= at for start in stage.starts) for s, at in cut.items()}


# Placement ------------------------------------------------------------------------------------------------------


def _places(
    story: Story, player: Player, ours: Mapping[str, str], theirs: Mapping[str, str]
) -> list[Difference]:  # fmt: skip
    found = []
    for service in story.services:
        here, there = ours.get(service, ""), theirs.get(service, "")
        if here == there:
            continue
        if there and there not in story.cluster.server_names:
            rule, why = first_of(["unreadable"])
        else:
            rule, why = _why(story, player, service, here)
        found.append(Difference(service, shown(here), shown(there), rule, why))
    return found


def _why(story: Story, player: Player, service: str, here: str) -> tuple[str, str]:
    stage, group = player.stage, story.group_of[service]
    aside = story.set_aside.get(service, [])
    if not here:
        rule, why = why_nowhere(stage, group)
        held = [] if player.wished[service] else ["held"]
        return (rule, why) if rule else first_of([*aside, *story.set_aside.get("", []), *held])
    if any((n.module, n.event, n.server) == ("rc", 22, here) and n.name == group for n in stage.notes.values()):
        return first_of(["stop-failure"])
    if not player.wished[service]:  # It runs though the operator wants it down.
        others = any(player.wished[s] for s, g in story.group_of.items() if g == group)
        return first_of([*aside, *(["group-is-the-unit"] if others else []), *story.set_aside.get("", [])])
    if aside:
        return first_of(aside)
    return why_there(stage, group)


def _forbidden(story: Story, stage: Stage, placement: Mapping[str, str]) -> list[str]:
    """What must not be, whatever the records say."""
    found = []
    for group in story.cluster.groups:
        for server in {placement[m] for m in group.resources} - {""}:
            if server not in group.policy:
                found.append(f"{group.name} runs on {server}, which its rules forbid")
            if server in stage.isolated and stage.cluster.majority:
                found.append(f"{group.name} runs on {server}, which has no majority")
    absolute = [g for g in story.cluster.groups if g.exclusive == 2]
    for index, group in enumerate(absolute):
        here = {placement[m] for m in group.resources} - {""}
        for other in absolute[index + 1 :]:
            if both := here & {placement[m] for m in other.resources}:
                found.append(f"{group.name} and {other.name} run both on {min(both)}, which their rules forbid")
    return found


# Times ----------------------------------------------------------------------------------------------------------


def _times(case: Mapping[str, Any], story: Story, stage: Stage, placement: Mapping[str, str]) -> list[Difference]:
    """Where both sides started a service as often, was ours later?"""
    theirs: dict[str, list[float]] = {}
    for each in listing(case.get("starts"), "starts"):
        if isinstance(each, list) and len(each) > 1:
            theirs.setdefault(str(each[1]), []).append(number(each[0], 0.0))
    found = []
    for service, times in theirs.items():
        ours = [s for s in stage.starts if s.group == story.group_of.get(service)]
        late = [(o, t) for o, t in zip(ours, times, strict=False) if o.at > t + _LATER_S]
        if len(ours) != len(times) or not late:
            continue
        start, expected = late[0]
        rule, why = _why_later(stage, start.group, start.at)
        found.append(Difference(f"time {service}", f"{start.at:.0f} s", f"{expected:.0f} s", rule, why))
    return found


def _why_later(stage: Stage, group: str, at_s: float) -> tuple[str, str]:
    """What the cluster waited for in the two minutes before."""
    for note in reversed([n for n in stage.notes.values() if at_s - 120.0 <= n.time <= at_s]):
        about = note.kind == "cluster" or note.name == group
        if about and note.rule in _WAITS:
            return note.rule, f"at {note.time:.0f} s: {note.text}"
    return "", sentence("")
