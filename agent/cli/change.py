"""Leading a cluster that runs from its configuration to another one that all of its servers have stored.

The agents do it: this only asks for it, and tells how it goes on. The agent here ends in the middle and is started
anew at once, so that what it said is forgotten; what the servers remember of the change (clpstat shows it) is not.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from agent.cli import client
from agent.cli.client import NOT_YET, OK, REFUSED, CommandError, Connection

Json = dict[str, Any]
COMMAND = "clpcfctrl"
_LOOK_S = 0.2
_ASK_S = 30.0
_BEGIN_S = 3.0  # for the agent here to hear of what the coordinator has begun
_GIVEN_UP = ("cp", 80)  # note of the engine: why nothing was changed
PHASES = {
    "stopping": "the groups concerned stop",
    "freezing": "every server holds still",
    "switching": "the servers begin anew with it",
    "trying": "all servers run it",
    "confirming": "every server makes it last",
}


class ChangeRefusedError(CommandError):
    """It was never begun."""

    def __init__(self, text: str) -> None:
        super().__init__(REFUSED, text)


class Trial(NamedTuple):
    """How long every server may go back by itself, and what ends that."""

    confirm_s: float = 0.0  # 0: it stays
    health: bool = False  # it stays if the cluster is well then
    why: str = ""


class Change:
    def __init__(self, timeout_s: float, tell: Callable[[str], None]) -> None:
        self._end = time.monotonic() + timeout_s
        self._tell = tell
        self.state = ""  # trying, confirmed

    def apply(self, config: str, trial: Trial) -> None:
        """Until it is kept, or waits for somebody to keep it. CommandError: it is not in force."""
        name = uuid.uuid4().hex
        more = {"id": name, "why": trial.why, "confirm_s": trial.confirm_s, "health": trial.health}
        answer = client.ask("config_apply", COMMAND, target=config, wait_s=_ASK_S, more=more)
        if answer.exit_code != OK:
            raise ChangeRefusedError(answer.text)
        self.state = self._follow(name, config, waits=trial.confirm_s > 0 and not trial.health)

    def keep(self) -> str:
        """What the answer says."""
        answer = client.ask("config_confirm", COMMAND, wait_s=self._left_s(), progress=self._tell)
        if answer.exit_code != OK:
            raise CommandError(answer.exit_code, answer.text)
        return answer.text

    def give_back(self, why: str) -> None:
        """Until every server runs the one before."""
        name = str(_part()["id"])
        answer = client.ask("config_return", COMMAND, wait_s=_ASK_S, more={"why": why})
        if answer.exit_code != OK:
            raise CommandError(answer.exit_code, answer.text)
        self._end_of(name)

    def _follow(self, name: str, config: str, *, waits: bool) -> str:
        """`waits`: for a person, once all servers run it."""
        found = self._end_of(name, until="trying" if waits else "")
        if found["id"] != name:
            raise ChangeRefusedError(f"It was given up: {_given_up(config)}")
        if found["state"] == "returned":
            text = f"It was taken back, the servers run the configuration before: {found['reason'].rstrip('.')}."
            raise CommandError(REFUSED, text)
        return str(found["state"])

    def _end_of(self, name: str, until: str = "") -> Json:
        """What is known when it is over, or in that phase."""
        heard_until, said = time.monotonic() + _BEGIN_S, ""
        while True:
            found = self._look()
            begun = found.get("id") == name
            phase = str(found.get("phase", ""))
            if begun and phase and phase != said:
                said = phase
                self._tell(("back: " if found["back"] else "") + PHASES.get(phase, phase))
            over = not phase and (begun or said or time.monotonic() > heard_until)
            if found and (over or (begun and phase == until and not found["back"])):
                return found
            if time.monotonic() >= self._end:
                raise CommandError(NOT_YET, "It goes on, but was not over in time. See clpstat.")
            time.sleep(_LOOK_S)

    def _look(self) -> Json:
        """Nothing while the agent here begins anew."""
        try:
            return _part()
        except (CommandError, TimeoutError):
            return {}

    def _left_s(self) -> float:
        return max(0.1, self._end - time.monotonic())


def _part() -> Json:
    """What the agent here knows of the newest change (agent/wire/status/configuration.py)."""
    return dict(client.status().status["cluster"]["configuration"])


def _given_up(config: str) -> str:
    """The words of the log."""
    try:
        coordinator = client.status().status["cluster"]["coordinator"]
        via = {"via": coordinator} if coordinator not in ("", client.own_name()) else {}
        with Connection(_ASK_S) as connection:
            connection.send({"op": "events", "limit": 200, **via})
            notes = connection.receive().get("notes", [])
    except (CommandError, TimeoutError):
        notes = []
    for note in reversed(notes):
        if (note["module"], note["event"]) == _GIVEN_UP and config in note["params"]:
            return str(note["text"])
    return "agent.log of the coordinator says why."
