"""Why something was done: from a decision back through the causes of its notes to the evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from agent.wire.report import Note

#: Notes that decide something: a server chosen, a move, a failover, a final action, a server that stops its groups.
DECISIONS = frozenset(
    (module, event)
    for module, events in {
        "rc": (17, 27, 50, 60, 63, 64, 65, 66, 69, 74, 90, 91, 100, 202, 203, 204, 205, 206, 221, 223, 224, 225, 240,
               280, 500, 501, 502, 512, 513),
        "rm": (12, 13, 14, 15, 16, 17, 35, 190, 192, 193, 200),
        "cp": (5, 12, 61),
    }.items()
    for event in events
)  # fmt: skip


def causes(notes: Mapping[str, Note], note: Note, told: Collection[str] = ()) -> Iterator[tuple[int, Note]]:
    """Everything behind `note`, each once, nearest first along each branch, with its depth; nothing behind `told`."""
    seen = {note.id}
    waiting = [(1, cause) for cause in reversed(note.causes)]
    while waiting:
        depth, name = waiting.pop()
        if name in seen or name not in notes:
            continue
        seen.add(name)
        yield depth, notes[name]
        if name not in told:
            waiting += [(depth + 1, cause) for cause in reversed(notes[name].causes)]


def roots(notes: Mapping[str, Note], note: Note) -> list[Note]:
    """The evidence: what nothing else has caused."""
    return [each for _, each in ((0, note), *causes(notes, note)) if not each.causes]


def explain(notes: Mapping[str, Note]) -> Iterator[str]:
    """Lines: each decision, and under it what it follows from, as far as that was not told before."""
    told: set[str] = set()
    for note in notes.values():
        if (note.module, note.event) in DECISIONS and note.id not in told:
            yield _line(note)
            for depth, cause in causes(notes, note, told):
                again = " (see above)" if cause.id in told and cause.causes else ""
                yield f"{'':9}{'  ' * depth}because {_line(cause).strip()}{again}"
            told |= {note.id, *(cause.id for _, cause in causes(notes, note))}


def _line(note: Note) -> str:
    rule = f" [{note.rule}]" if note.rule else ""
    return f"{note.time:10.3f} {note.server:<10} {note.module}:{note.event} {note.text}{rule}"
