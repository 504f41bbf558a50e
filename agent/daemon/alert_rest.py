"""Where clpaltd says that nothing is left to do: a small file, so that the daemon needs no SQLite to know.

It holds how far events.jsonl was looked at. clpaltd takes it away when it begins, so that after any other end than rest
(killed, no power, a full disk) it is missing, and clpaltd is started again.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from agent.daemon.paths import Paths

NAME = "alerts.rest"


class Seen(NamedTuple):
    """Of events.jsonl; its last line may be cut in half, so that this is more than what could be read."""

    inode: int
    size_bytes: int


def look(places: Paths) -> Seen:
    try:
        status = Path(places.events).stat()
    except FileNotFoundError:
        return Seen(0, 0)
    return Seen(status.st_ino, status.st_size)


def write(places: Paths, seen: Seen) -> None:
    """OSError goes up."""
    path = Path(places.state) / NAME
    new = path.with_name(f"{NAME}.new")
    new.write_text(f"{seen.inode} {seen.size_bytes}\n", "ascii")
    new.replace(path)


def take_away(places: Paths) -> bool:
    """Whether it was there: the one before ended in rest."""
    try:
        (Path(places.state) / NAME).unlink()
    except FileNotFoundError:
        return False
    return True


def is_work_left(places: Paths) -> bool:
    try:
        words = (Path(places.state) / NAME).read_text("ascii").split()
        return tuple(int(word) for word in words) != look(places)
    except (OSError, ValueError):
        return True
