"""Timeouts that follow from other values: the original's console writes them anew when those change.

They follow only as long as nobody has written another one by hand.
"""

from __future__ import annotations

from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.objects import Thing

# Type -> (value that decides, value that follows, how many seconds for each of its seconds, and beside).
_RULES = {
    "exec": (("parameters/timeout/start", "act/timeout", 1, 180), ("parameters/timeout/stop", "deact/timeout", 1, 180)),
    "awsvip": (("parameters/awsclitimeout", "act/timeout", 3, 180),),
}
# A mirror disk without a file system has nothing to mount or check: both steps are short then.
_WITHOUT_FILE_SYSTEM = "190"


def follow(document: Document, thing: Thing | None, path: str, before: str, after: str) -> None:
    """The value at `path` below `thing` was `before` and is `after` now, defaults included."""
    if thing is None or before == after:
        return
    for decides, follows, factor, beside in _RULES.get(thing.type, ()):
        if path == decides and after.isdigit() and before.isdigit():
            _write(document, thing.element, follows, _sum(before, factor, beside), _sum(after, factor, beside))
    if thing.type == "md" and path == "parameters/fs" and after == "none":
        for follows in ("act/timeout", "deact/timeout"):
            _write(document, thing.element, follows, "", _WITHOUT_FILE_SYSTEM)


def _sum(text: str, factor: int, beside: int) -> str:
    return str(beside + factor * int(text))


def _write(document: Document, element: Element, path: str, before: str, after: str) -> None:
    present = element.find(path)
    stated = present.value if present is not None else ""
    if stated in ("", before):
        document.make_below(element, path, after)
