"""What to send so that another copy of a status becomes the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agent.wire.status.seen import Status

Change = list[Any]  # [kind, name, object or None]; kind is a key of Status, name is "" for "cluster".


KINDS = ("servers", "groups", "resources", "monitors", "fences", "mirrors")


def diff(old: Status, new: Status, *, ages: bool = True) -> list[Change]:
    """What to send so that `apply(old, diff(old, new)) == new`; `ages=False` leaves out servers that only aged."""
    changes: list[Change] = []
    if old.get("cluster") != new["cluster"]:
        changes.append(["cluster", "", new["cluster"]])
    for kind in KINDS:
        before, after = old.get(kind, {}), new.get(kind, {})
        changes += [[kind, name, None] for name in before if name not in after]
        changes += [[kind, name, thing] for name, thing in after.items() if not _same(before.get(name), thing, ages)]
    return changes


def apply(status: Status, changes: Iterable[Sequence[Any]]) -> Status:
    """A new status; whole objects are replaced, so that repeating a change does no harm."""
    result: Status = {kind: dict(status.get(kind, {})) for kind in KINDS}
    result["cluster"] = status.get("cluster", {})
    for kind, name, thing in changes:
        if kind == "cluster":
            result["cluster"] = thing
        elif kind not in KINDS:
            raise ValueError(f"A status has no objects of kind {kind!r}; it has {', '.join(('cluster', *KINDS))}.")
        elif thing is None:
            result[kind].pop(name, None)
        else:
            result[kind][name] = thing
    return result


def _same(old: Any, new: Any, ages: bool) -> bool:
    if old == new:
        return True
    if ages or old is None or "age_s" not in new:
        return False
    return {**old, "age_s": 0} == {**new, "age_s": 0}
