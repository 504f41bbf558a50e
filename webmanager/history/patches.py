"""What has changed inside an object, as small as it can be said; and whether only measured figures did.

An operation is [path, value] or, when a field is gone, [path]; a path is a list of keys. The empty path is the object
itself. Objects are never altered: what changes is replaced, what does not stays the same object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# What is measured again and again while nothing happens.
FIGURES = frozenset(
    ("age_s", "daemon", "elapsed_ms", "gaps", "hears", "late", "lease", "proposed_ms", "responses", "rule", "silence",
     "worst_gap_ms",
     # Of a mirror disk: progress and counters. Its facts hold figures, and change with what is none.
     "bitmap", "bytes", "copied", "dirty", "facts", "last_update", "paths", "proven_until", "queued", "rate",
     "received", "remaining_s", "round_trip_s", "sent", "to_copy")
)  # fmt: skip
Operation = list[Any]


def difference(old: Any, new: Any) -> tuple[list[Operation], bool]:
    """(operations, whether something else than figures is among them)."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return ([], False) if old == new else ([[[], new]], True)
    operations: list[Operation] = []
    loud = _collect(old, new, [], operations)
    return operations, loud


def _collect(old: dict[str, Any], new: dict[str, Any], path: list[str], into: list[Operation]) -> bool:
    loud = False
    for key, value in new.items():
        before = old.get(key)
        if key in old and (before is value or before == value):
            continue
        if key in FIGURES:
            into.append([[*path, key], value])
        elif isinstance(before, dict) and isinstance(value, dict):
            loud |= _collect(before, value, [*path, key], into)
        else:
            into.append([[*path, key], value])
            loud = True
    for key in old:
        if key not in new:
            into.append([[*path, key]])
            loud |= key not in FIGURES
    return loud


def patched(old: Any, operations: Sequence[Operation]) -> Any:
    """`old` with the operations done. Raises ValueError when they do not fit it."""
    for operation in operations:
        old = _with(old, operation[0], operation)
    return old


def _with(old: Any, path: Sequence[str], operation: Operation) -> Any:
    if not path:
        return operation[1]
    if not isinstance(old, dict):
        raise ValueError(f"the field {path[0]!r} of what is no object was to be changed")
    key, rest = path[0], path[1:]
    if not rest and len(operation) == 1:
        return {name: value for name, value in old.items() if name != key}
    return {**old, key: _with(old.get(key, {}), rest, operation)}
