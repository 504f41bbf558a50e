"""Plays a case of the first form: commands at their seconds become faults and operators' requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.sim.replay.stage import Stage
from agent.sim.replay.stimuli import Step, Story, story_of
from agent.wire.peer import Request
from agent.wire.report import Note

_AGAIN_S = 10.0
# Refusals that time may mend: who asked for a state would ask again.
_TRY_AGAIN = ("no_view", "service_stopped", "not_certain", "no_server", "not_available", "closing", "quarantined")


class Failing(dict[str, int]):
    """How many activations of each resource are still to fail: on one server, or wherever they are tried."""

    def __init__(self, everywhere: dict[str, int]) -> None:
        super().__init__()
        self.everywhere = everywhere

    def get(self, name: str, default: Any = 0) -> Any:
        return super().get(name, self.everywhere.get(name, default))

    def __getitem__(self, name: str) -> int:
        return int(self.get(name, 0))

    def __setitem__(self, name: str, count: int) -> None:
        if name in self.everywhere:
            self.everywhere[name] = count
        else:
            super().__setitem__(name, count)


class Player:
    """One story on one stage. `wished`: what the operator wants of each service in the end."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.stage = Stage(story.cluster)
        self.wished = {name: service.wanted for name, service in story.services.items()}
        self.asked: dict[str, str] = {}  # group -> newest request
        self.count = 0
        self._prepare_failures()
        self.stage.listeners.append(self._noted)

    def _prepare_failures(self) -> None:
        self.everywhere: dict[str, int] = {}
        for name, machine in self.stage.machines.items():
            machine.hands.fail_start = Failing(self.everywhere)
            for service in self.story.services.values():
                if service.stop_fails:
                    machine.hands.fail_stop[service.name] = 1_000_000
                if service.only_on == name:
                    machine.hands.fail_start[service.name] = service.starts_failing
        for service in self.story.services.values():
            if service.starts_failing and not service.only_on:
                self.everywhere[service.name] = service.starts_failing

    def _noted(self, note: Note) -> None:
        """A success begins a new count: the next activation fails as often again."""
        service = self.story.services.get(note.name)
        if (note.module, note.event) == ("rc", 31) and service is not None and service.only_on in ("", note.server):
            self.stage.machines[note.server].hands.fail_start[service.name] = service.starts_failing

    def play(self) -> Stage:
        stage = self.stage
        for name in self.story.on:
            stage.switch_on(name)
        for name in self.story.isolated:
            stage.isolate(name)
        for step in self.story.steps:
            stage.run_until(step.at_s)
            self._carry_out(step)
        stage.run_until(self.story.end_s)
        return stage

    # Commands ---------------------------------------------------------------------------------------------------

    def _carry_out(self, step: Step) -> None:
        verb, *rest = step.words
        if verb == "service":
            self._service(rest[0], rest[1], rest[2:])
        elif verb in ("power", "network"):
            self._fault(verb, rest[0], rest[1])
        elif verb in ("reboot", "shutdown"):
            self._server(f"server_{verb}", rest[0])
        elif verb == "crm" and rest[1] in ("enable-node-maintenance", "disable-node-maintenance"):
            self._server("server_stop" if rest[1].startswith("enable") else "server_start", rest[0])
        elif verb == "crm" and rest[1] in ("disarm-ha", "arm-ha"):
            self._suspend("cluster_suspend" if rest[1] == "disarm-ha" else "cluster_resume")
        elif verb != "delay":
            self.story.aside("", "no-counterpart")
            self.story.excused[rest[0] if rest else ""] = "no-counterpart"

    def _fault(self, verb: str, server: str, how: str) -> None:
        stage = self.stage
        if verb == "network":
            (stage.connect if how == "on" else stage.isolate)(server)
        elif how == "on":
            stage.switch_on(server)
        else:
            stage.crash(server)
            stage.connect(server)

    def _server(self, op: str, server: str) -> None:
        for group in self.story.cluster.groups:
            if self.stage.active_on(group.name) == [server]:
                for member in group.resources:
                    self.story.aside(member, "drain")
        at = server if op == "server_start" else self._somebody()
        if at:
            self._ask(at, op, server)

    def _suspend(self, op: str) -> None:
        """Their watchdogs are let go as well, so that nobody is fenced meanwhile."""
        self.story.aside("", "suspended")
        self.story.excused.update(dict.fromkeys(self.story.cluster.server_names, "suspended"))
        if at := self._somebody():
            self._ask(at, op, "")

    def _service(self, name: str, verb: str, rest: list[str]) -> None:
        if verb in ("started", "enabled") or (
            verb == "add" and (rest[1:2] or ["started"])[0] in ("started", "enabled")
        ):
            self.wished[name] = True
            self._want(name, "group_start")
        elif verb in ("stopped", "disabled", "stop", "add"):
            self.wished[name] = False
            self._want(name, "group_stop")
        elif verb in ("migrate", "relocate"):
            if verb == "migrate" and self.story.services[name].moves_failing:
                self.story.aside(name, "move-is-stop-and-start")
            self._want(name, "group_move", rest[0])
        else:
            self.story.aside(name, "resource-lock" if verb in ("lock", "unlock") else "configuration-change")

    # Requests ---------------------------------------------------------------------------------------------------

    def _want(self, service: str, op: str, server: str = "") -> None:
        group = self.story.group_of[service]
        members = self.story.cluster.group(group).resources if self._has(group) else ()
        if not members:
            return
        if op == "group_stop" and any(self.wished[m] for m in members):
            self.story.aside(service, "group-is-the-unit")
            return
        self.asked[group] = ""
        self._try(op, group, server)

    def _has(self, group: str) -> bool:
        return any(g.name == group for g in self.story.cluster.groups)

    def _try(self, op: str, group: str, server: str) -> None:
        at = self._somebody()
        name = self._ask(at, op, group, server) if at else ""
        self.asked[group] = name
        if op != "group_move":  # A move is asked for once; a state is wanted until it is so.
            self.stage.after(_AGAIN_S, lambda: self._look(op, group, server, name))

    def _look(self, op: str, group: str, server: str, name: str) -> None:
        if self.asked.get(group) == name and (not name or self._refused(name)):
            self._try(op, group, server)

    def _refused(self, name: str) -> bool:
        answers = [a for m in self.stage.machines.values() for a in m.answers if a.id == name]
        lost = not answers and all(name not in m.engine.operations.mine for m in self.stage.machines.values() if m.on)
        return lost or any(a.code == 2 and a.reason in _TRY_AGAIN for a in answers)

    def _ask(self, at: str, op: str, target: str, server: str = "") -> str:
        self.count += 1
        request = Request(id=f"r{self.count}", op=op, target=target, server=server, by="replay")  # type: ignore[arg-type]
        self.stage.ask(at, request)
        return request.id

    def _somebody(self) -> str:
        """A server that an operator can reach and that belongs to the cluster; else any that is on."""
        stage = self.stage
        on = [n for n, m in stage.machines.items() if m.daemon and not m.paused and n not in stage.isolated]
        inside = [n for n in on if stage.machines[n].engine.membership.in_view]
        return next(iter(inside or on), "")


def play(case: Mapping[str, Any]) -> tuple[Story, Player]:
    story = story_of(case)
    player = Player(story)
    player.play()
    return story, player
