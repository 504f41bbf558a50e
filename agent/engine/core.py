"""What all parts of the engine share: the configuration, the time, the effects of this step and the event log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from agent.clpconf.model import Cluster
from agent.engine.effects import Effect, Log, Reply, Send
from agent.messages.catalog import render, severity
from agent.wire.peer import Answer, Message
from agent.wire.report import Note, NoteKind

NEVER = float("inf")
_KEPT_NOTES = 500


class Core:
    """One step of the engine writes here; nothing else is shared between its parts but what they hand each other."""

    def __init__(self, cluster: Cluster, me: str, incarnation: int, note_seq: int, config: str = "") -> None:
        self.cluster = cluster
        self.me = me
        self.config = config  # config_id of `cluster`
        self.incarnation = incarnation
        self.index = {name: i for i, name in enumerate(cluster.server_names)}
        self.resource = {r.name: r for r in cluster.resources}
        self.now = 0.0
        self.effects: list[Effect] = []
        self.notes: deque[Note] = deque(maxlen=_KEPT_NOTES)
        self.note_seq = note_seq
        self.token = 0
        # Set by whoever changes something that the own report, state.json or the coordinator's plan depends on.
        self.report_dirty = True
        self.save_dirty = True
        self.durable = False
        self.said: dict[str, str] = {}
        self.timers: dict[str, float] = {}
        # Set by the engine: without a lease nothing is activated here, whoever ordered it and when.
        self.may_start: Callable[[], bool] = lambda: True

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def send(self, to: str, message: Message) -> None:
        self.effects.append(Send(to=to, message=message))

    def send_all(self, members: Iterable[str], message: Message) -> None:
        """To all of them but ourselves; the shell encodes one object once."""
        for member in members:
            if member != self.me:
                self.send(member, message)

    def reply(self, answer: Answer) -> None:
        self.effects.append(Reply(answer=answer))

    def touch(self) -> None:
        """The own report and the saved state have changed."""
        self.report_dirty = True
        self.save_dirty = True

    def next_token(self) -> int:
        self.token += 1
        return self.token

    def note(
        self,
        module: str,
        event: int,
        kind: NoteKind,
        name: str,
        *params: str,
        rule: str = "",
        causes: tuple[str, ...] = (),
        before: str = "",
        after: str = "",
    ) -> str:
        """Append to the event log; returns the id, to be named as a cause by what follows from it."""
        self.note_seq += 1
        note = Note(
            id=f"{self.me}:{self.incarnation}:{self.note_seq}",
            time=self.now,
            server=self.me,
            module=module,
            event=event,
            severity=severity(module, event),
            kind=kind,
            name=name,
            text=render(module, event, params),
            params=params,
            rule=rule,
            causes=tuple(c for c in causes if c),
            before=before,
            after=after,
        )
        self.notes.append(note)
        self.effects.append(Log(note=note))
        return note.id

    def note_once(self, topic: str, module: str, event: int, kind: NoteKind, name: str, *params: str, **kw: str) -> str:
        """The same sentence about the same topic is written once, until the topic is cleared or says another."""
        said = f"{module}{event}{params}"
        if self.said.get(topic) == said:
            return ""
        self.said[topic] = said
        causes = (kw.pop("cause", ""),)
        return self.note(module, event, kind, name, *params, rule=kw.pop("rule", ""), causes=causes)

    def clear(self, topic: str) -> None:
        self.said.pop(topic, None)
