"""When notes of several servers happened by one clock: each clock's lead taken off, causes before effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.wire.report import Note

TIE_S = 1e-6
_NONE: Mapping[str, float] = {}


def placed(
    notes: Iterable[Note], ahead_s: Mapping[str, float], known: Mapping[str, float] = _NONE,
    effects: Mapping[str, float] = _NONE,
) -> dict[str, float]:  # fmt: skip
    """note id -> when it happened. `ahead_s`: server -> how far its clock is ahead; who is missing counts as right.

    For notes that come one after the other: `known` were placed before and stay where they are; `effects` tells of
    a note that has not come yet when the first thing that it caused has been placed.
    """
    by_id = {note.id: note for note in notes if note.id not in known}
    at = {name: note.time - ahead_s.get(note.server, 0.0) for name, note in by_id.items()}
    at |= {name: min(at[name], effects[name] - TIE_S) for name in by_id if name in effects}
    order = sorted(by_id.values(), key=lambda note: at[note.id])
    _after_causes(order, by_id, at, known)
    return at


def _after_causes(
    order: Sequence[Note], by_id: Mapping[str, Note], at: dict[str, float], known: Mapping[str, float]
) -> None:
    """Depth first, without recursion: chains of causes may be long. A circle, which should not be, ends nothing."""
    settled: set[str] = set()
    for root in order:
        stack = [(root.id, False)]
        while stack:
            name, causes_settled = stack.pop()
            causes = [cause for cause in by_id[name].causes if cause in by_id]
            if causes_settled:
                before = [at[cause] for cause in causes] + [known[c] for c in by_id[name].causes if c in known]
                at[name] = max([at[name], *(time + TIE_S for time in before)])
            elif name not in settled:
                settled.add(name)
                stack.append((name, True))
                stack += [(cause, False) for cause in causes if cause not in settled]
