"""The number of this start of the service: rises with every start, even when the clock was set back."""

from __future__ import annotations

import contextlib
import os


def next_incarnation(path: str, wall_s: float) -> int:
    """max(stored + 1, seconds since 1970), stored durably before it is used. A damaged file counts as missing."""
    stored = 0
    with contextlib.suppress(FileNotFoundError, ValueError), open(path, encoding="ascii", errors="replace") as file:
        stored = int(file.read(32))
    number = max(stored + 1, int(wall_s), 1)
    fresh = f"{path}.new"
    with open(fresh, "w", encoding="ascii") as file:
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return number
