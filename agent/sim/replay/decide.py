"""Plays a case of the second form: the servers adopt what runs, the trouble comes, and the engine decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.engine.local_state import LocalGroup, LocalResource
from agent.engine.states import OFFLINE, ONLINE
from agent.sim.machine import Machine
from agent.sim.replay.placement import TIMEOUT_S, Question, question_of
from agent.sim.replay.reading import listing, mapping
from agent.sim.replay.reasons import fences, first_of, shown, why_nowhere, why_there
from agent.sim.replay.stage import Stage
from agent.sim.replay.verdict import Difference, Result
from agent.wire.peer import Request

_FORM_S = 6 * TIMEOUT_S
_QUIET_S = 15.0  # longer than anything that the engine waits for before it acts: a failback takes ten seconds
_LIMIT_S = 900.0


class Bench:
    """One question on one stage.

    The servers earn their leases while every group is stopped. Then all daemons come back with the configuration of the
    case and find running what the records say: they adopt it, as after an update of the agent, and nothing is started
    for the sake of the beginning.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        asleep = tuple(msgspec.structs.replace(g, autostart=False) for g in question.cluster.groups)
        self.stage = Stage(msgspec.structs.replace(question.cluster, groups=asleep))
        double = {
            question.group_of[i.name] for i in question.items.values() if len(i.on) > 1 and i.name in question.group_of
        }
        self.stage.promises.may_overlap = double.__contains__  # The records begin with it.
        self.began_s = 0.0
        on = {server for item in question.items.values() for server in item.on}
        self.held = {name: name in on for name in question.conditions}

    def play(self) -> Stage:
        self.prepare()
        return self.decide()

    def prepare(self) -> None:
        """Everything runs as the records say, and the trouble has not come yet."""
        stage = self.stage
        for name, condition in self.question.conditions.items():
            if condition != "absent" and (self.held[name] or condition not in ("dead", "hung")):
                stage.power_on(name)  # What is lost and held nothing was never heard of.
        if stage.cluster.majority:  # Else a lease is nothing that one would have to earn first.
            self._until_formed()
        stage.cluster = self.question.cluster
        for name, machine in stage.machines.items():
            if machine.on:
                self._adopt(name, machine)
        self._until_formed()

    def decide(self) -> Stage:
        stage = self.stage
        self._trouble()
        stage.run_until(stage.now + _QUIET_S)
        while stage.now < min(stage.moved_at + _QUIET_S, _LIMIT_S):
            stage.run_until(stage.moved_at + _QUIET_S)
        return stage

    def _until_formed(self) -> None:
        """All who are on belong to one view, or cannot; and what they start is started."""
        stage = self.stage

        def outside() -> bool:
            return any(m.on and not m.engine.membership.in_view for m in stage.machines.values())

        stage.run_while(outside, stage.now + _FORM_S)
        stage.run_until(stage.now + TIMEOUT_S)

    def _adopt(self, name: str, machine: Machine) -> None:
        """Its daemon comes back and finds running what the records say."""
        groups = {}
        for group in self.question.cluster.groups:
            up = [r for r in group.resources if name in self.question.items[r].on]
            if up and self._home(group.resources, name):
                # Without a lease a server starts nothing, so that it does not want what is missing either.
                complete = machine.engine.membership.lease_held
                groups[group.name] = self._running(group.resources, up, complete=complete)
                machine.hands.active.update(up)
        machine.kill_daemon()
        table = {**machine.disk["table"], "groups": {}}
        machine.disk = {**machine.disk, "table": table, "local": {"service": "online", "groups": groups}}
        machine.start_daemon()

    def _home(self, members: tuple[str, ...], name: str) -> bool:
        """A group whose members are scattered is taken for active where most of them are."""
        on = [server for r in members for server in self.question.items[r].on]
        return len(members) == 1 or name == max(on, key=on.count)

    def _running(self, members: tuple[str, ...], up: list[str], *, complete: bool) -> dict[str, Any]:
        resources = {}
        for r in members:
            state = ONLINE if r in up else OFFLINE
            resources[r] = LocalResource(state=state, wanted=r in up or (complete and self.question.items[r].wanted))
        local = LocalGroup(state=ONLINE, resources=resources)
        return dict(msgspec.to_builtins(local))

    # What happens -----------------------------------------------------------------------------------------------

    def _trouble(self) -> None:
        stage, question = self.stage, self.question
        self.began_s = stage.now
        if question.suspended:
            self._ask("cluster_suspend", "")
            stage.run_until(stage.now + TIMEOUT_S)
        for name, condition in question.conditions.items():
            if condition == "dead":
                stage.crash(name)
            elif condition == "hung":
                stage.pause(name)
        for name, condition in question.conditions.items():
            if condition in ("standby", "off"):
                self._ask("server_stop" if condition == "standby" else "server_shutdown", name)
        for item in question.items.values():
            for server in item.on if item.failed and item.cared_for else ():
                stage.machines[server].hands.sick.add(item.name)
        for group in question.cluster.groups:
            items = [question.items[r] for r in group.resources]
            if any(set(item.on) - set(group.policy) for item in items):
                self._ask("group_move", group.name)  # The policy forbids where it is: who changed it moves it.
            if not group.autostart and any(i.on for i in items) and all(i.cared_for or not i.on for i in items):
                self._ask("group_stop", group.name)

    def _ask(self, op: str, target: str) -> None:
        """Of a server that stays, where there is one."""
        able = [n for n, m in self.stage.machines.items() if m.daemon and not m.paused]
        at = next(iter(sorted(able, key=lambda n: self.question.conditions.get(n) != "on")), "")
        if at:
            request = Request(id=f"{op} {target}", op=op, target=target, by="replay")  # type: ignore[arg-type]
            self.stage.ask(at, request)


# Servers that we force off by rule, where the records do not.
_FENCED = {"absent": "startup-fencing", "dead": "fencing", "hung": "fencing"}


# Comparison -----------------------------------------------------------------------------------------------------


def judge(case: Mapping[str, Any], name: str) -> Result:
    question = question_of(case)
    bench = Bench(question)
    stage = bench.play()
    on = stage.runs_on(question.group_of)
    placement = {r: ",".join(on.get(r, [])) for r in question.items}
    fenced = [str(e[1]) for e in listing(case.get("fence"), "fence") if isinstance(e, list) and len(e) > 1]
    excused = {s: _FENCED[c] for s, c in question.conditions.items() if c in _FENCED and s in stage.fenced}
    excused.update(
        {s: "reactivation" for i in question.items.values() if i.failed for s in i.on if s not in stage.fenced}
    )
    found = [
        *_places(question, stage, placement, case),
        *fences(stage, fenced, bench.held, asked=question.fences, excused=excused),
    ]
    return Result(
        id=name, form="placement", placement=placement, differences=tuple(found), overlaps=tuple(stage.overlaps),
        fenced={server: how for server, (_, how) in sorted(stage.fenced.items())},
        broken=(*stage.violations, *_forbidden(question, placement), *_too_early(question, stage)),
    )  # fmt: skip


def _places(
    question: Question, stage: Stage, ours: Mapping[str, str], case: Mapping[str, Any]
) -> list[Difference]:  # fmt: skip
    theirs = {r: str(server) for r, server in mapping(case.get("final"), "final").items()}
    found = []
    for name in question.items:
        here, there = ours[name], theirs.get(name, "")
        if here == there or (there and there not in question.conditions):
            continue  # Equal, or a word like "(blocked)" that is no server.
        rule, why = _why(question, stage, name, here, there)
        found.append(Difference(name, shown(here), shown(there), rule, why))
    return found


# Set aside by the translation: what can explain another server, and what can explain whether it runs at all.
_OF_PLACE = ("same-server", "exclusion", "preference", "unknown-name", "node-health", "shutdown-lock")
_OF_RUNNING = (*_OF_PLACE, "start-order", "group-is-the-unit", "suspended", "unknown-reason")


def _why(question: Question, stage: Stage, name: str, here: str, there: str) -> tuple[str, str]:
    group = question.group_of.get(name, "")
    if not group:
        return first_of(["failover-policy"])  # No server is allowed.
    known = _OF_PLACE if here and there else _OF_RUNNING
    told = [*question.set_aside.get(name, []), *question.set_aside.get("", [])]
    aside = [rule for rule in told if rule in known]
    if here:
        return _why_here(question, stage, group, (here, there), aside)
    if there and question.conditions[there] in ("dead", "off", "hung"):
        return first_of(["drain" if question.conditions[there] == "off" else "lost-is-not-stopped"])
    rule, why = why_nowhere(stage, group)
    if not rule and not question.items[name].wanted:
        return first_of([*aside, "held"])
    return (rule, why) if rule else first_of(aside)


def _why_here(
    question: Question, stage: Stage, group: str, places: tuple[str, str], aside: list[str]
) -> tuple[str, str]:
    """It runs where theirs does not."""
    here, there = places
    members = [question.items[r] for r in question.cluster.group(group).resources]
    if any(len(item.on) > 1 for item in members):
        return first_of(["newest-start-survives"])
    moved = any(s.server != here for s in stage.starts if s.group == group)
    began_here = any(here in item.on for item in members) and not moved
    failed = any(item.failed and item.cared_for for item in members)
    if began_here and (there or not aside):
        return first_of(["reactivation" if failed else "stay"])
    if aside or failed:
        return first_of([*aside, "reactivation"])
    return why_there(stage, group)


def _forbidden(question: Question, placement: Mapping[str, str]) -> list[str]:
    found = []
    for group in question.cluster.groups:
        for name in group.resources:
            here = placement[name]
            began = question.items[name].on
            if here and here not in group.policy and here not in began:
                found.append(f"{name} runs on {here}, which its constraints forbid")
            if here and question.conditions.get(here) == "standby" and here not in began:
                found.append(f"{name} runs on {here}, which takes nothing")
    absolute = [g for g in question.cluster.groups if g.exclusive == 2]
    for index, group in enumerate(absolute):
        here_all = {placement[m] for m in group.resources} - {""}
        for other in absolute[index + 1 :]:
            both = here_all & {placement[m] for m in other.resources}
            if both and other.name in question.units[group.name].apart:
                found.append(f"{group.name} and {other.name} run both on {min(both)}, which their constraints forbid")
    return found


def _too_early(question: Question, stage: Stage) -> list[str]:
    """A group of a server that fell must not start elsewhere before that server was fenced, or taken for stopped."""
    found = []
    for start in stage.starts:
        members = question.cluster.group(start.group).resources
        before = {s for r in members for s in question.items[r].on if question.conditions.get(s) in ("dead", "hung")}
        for server in before - {start.server}:
            at_s = min(stage.fenced.get(server, (float("inf"), ""))[0], stage.gone.get(server, float("inf")))
            if start.at < at_s:
                found.append(f"{start.group} was started on {start.server} before {server} was fenced")
    return found
