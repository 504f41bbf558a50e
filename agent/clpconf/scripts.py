"""The scripts that belong to objects of a clp.conf: which folder is whose, and what a renaming does to them.

Paths are below "scripts/": GROUP/RESOURCE/start.sh, monitor.s/MONITOR/genw.sh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from agent.clpconf.element import Element
from agent.clpconf.objects import thing_at, things

MONITORS = "monitor.s"
_T = TypeVar("_T")


class Move(NamedTuple):
    """A folder that follows its object; `new` None when the object is gone."""

    old: str
    new: str | None


def folders(root: Element, element: Element) -> list[str]:
    """Of the object that `element` is; a resource has one in each group that has it."""
    thing = thing_at(element)
    if thing is None:
        return []
    if thing.kind == "group":
        return [thing.name]
    if thing.kind == "monitor":
        return [f"{MONITORS}/{thing.name}"]
    if thing.kind == "resource":
        link = f"{thing.type}@{thing.name}"
        groups = [
            one for one in things(root) if one.kind == "group" and one.element.child("resource", link) is not None
        ]
        return [f"{group.name}/{thing.name}" for group in groups]
    return []


def moved(scripts: Mapping[str, _T], moves: Iterable[Move]) -> dict[str, _T]:
    """The scripts as they stand after the moves, in their order."""
    result = dict(scripts)
    for old, new in moves:
        inside = {path: script for path, script in result.items() if path.startswith(old + "/")}
        result = {path: script for path, script in result.items() if path not in inside}
        if new is not None:
            result |= {new + path[len(old) :]: script for path, script in inside.items()}
    return result
