"""The daemon's end of the arbiter child: hands questions on, turns what comes back into events of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.daemon.child_client import ChildClient
from agent.engine.effects import AskArbiter
from agent.engine.events import ArbiterAnswer, Event, ResolverState
from agent.wire.epoch import Epoch
from agent.wire.peer import Ballot


class ArbiterClient(ChildClient):
    """A new child is told again what the old one was; a question that it takes with it is the engine's to repeat."""

    def __init__(self, path: str, *, event: Callable[[Event], None]) -> None:
        super().__init__(path)
        self._event = event
        self._told: dict[str, ResolverState] = {}

    def beat(self, service: str) -> None:
        """What the beats to the arbiters say from now on."""
        beat = {"op": "beat", "service": service}
        if beat != self._beat:
            self._say(beat)

    def ask(self, effect: AskArbiter) -> None:
        message = {
            "op": "ask", "name": effect.name, "epoch": list(effect.epoch), "members": list(effect.members),
            "voters": list(effect.voters), "in_force": list(effect.in_force),
        }  # fmt: skip
        self._send(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "state":
            state = ResolverState(name=message["name"], ok=message["ok"], detail=message["detail"])
            old = self._told.get(state.name)
            self._told[state.name] = state
            if old is None or old.ok != state.ok:
                self._event(state)
        elif message["type"] == "answer":
            self._event(to_event(message))


def to_event(message: dict[str, Any]) -> ArbiterAnswer:
    ballots = tuple(Ballot(Epoch(*epoch), tuple(voters)) for epoch, voters in message["before"]["open"])
    return ArbiterAnswer(
        name=message["name"], epoch=Epoch(*message["epoch"]), granted=message["granted"],
        promised=Epoch(*message["promised"]), ballots=ballots, heard_s=message["heard_s"], detail=message["detail"],
    )  # fmt: skip
