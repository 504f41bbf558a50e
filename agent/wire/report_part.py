"""What of a report has changed since another one, as it is told to those who have that one.

Rules of this file
- A part holds the fields that differ; of a field with many objects by their names (`groups`, `monitors`, `paths` ...)
  only those that differ, and null for one that is gone. A report has tens of kilobytes, a change mostly one object.
- `with_part(old, part_of(old, new)) == new`, and what did not change stays the same object: whoever looks for changes
  compares objects first.
- A part is good for the very report that it was made of: whoever hands it on says which one that is (`version_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec
from msgspec import UNSET, UnsetType

from agent.wire.report import Report

Version = tuple[int, int, int]

_TYPES = {field.name: field.type for field in msgspec.structs.fields(Report)}
_BY_NAME = frozenset(name for name, hint in _TYPES.items() if get_origin(hint) is dict)


def _field(name: str) -> tuple[str, Any, Any]:
    hint = _TYPES[name]
    if name in _BY_NAME:
        hint = dict[str, get_args(hint)[1] | None]  # type: ignore[misc]
    return name, hint | UnsetType, UNSET


#: Every field of a report, each of which may be missing.
Part = msgspec.defstruct("Part", [_field(name) for name in _TYPES], frozen=True, kw_only=True, module=__name__)


def version_of(report: Report) -> Version:
    """Of two reports about a server the higher one is the newer one; equal ones say the same."""
    return report.incarnation, report.seq, report.heard


def part_of(old: Report, new: Report) -> dict[str, Any]:
    """What makes `new` of `old`: field -> value, or name -> object (None: gone)."""
    part = {}
    for name in _TYPES:
        was, now = getattr(old, name), getattr(new, name)
        if was is not now and was != now:
            part[name] = _different(was, now) if name in _BY_NAME else now
    return part


def _different(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: thing for name, thing in now.items() if (old := was.get(name)) is not thing and old != thing}
    found.update((name, None) for name in was if name not in now)
    return found


def version_after(base: Version, part: msgspec.Struct) -> Version:
    """Of the report of version `base` with this part of the next one."""
    told = (getattr(part, name) for name in ("incarnation", "seq", "heard"))
    incarnation, seq, heard = (old if new is UNSET else new for old, new in zip(base, told, strict=True))
    return incarnation, seq, heard


def with_part(old: Report, part: msgspec.Struct) -> Report:
    """`part`: a Part."""
    changes = {}
    for name in _TYPES:
        value = getattr(part, name)
        if value is not UNSET:
            changes[name] = _merged(getattr(old, name), value) if name in _BY_NAME else value
    return msgspec.structs.replace(old, **changes)


def _merged(was: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    found = {**was, **changes}
    for name, thing in changes.items():
        if thing is None:
            del found[name]
    return found
