"""Notices that somebody else could make us repeat without end: said once, then once a minute."""

from __future__ import annotations

from collections.abc import Callable

_COMPLAIN_S = 60.0
_SUBJECTS = 64  # remembered


class Complaints:
    """Says once what is wrong, and again each minute while it goes on."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say
        self._seen: dict[str, tuple[float, int]] = {}

    def add(self, now: float, subject: str, severity: str, text: str) -> None:
        said_at, count = self._seen.get(subject, (0.0, 0))
        if count and now - said_at < _COMPLAIN_S:
            self._seen[subject] = (said_at, count + 1)
            return
        if not count and len(self._seen) >= _SUBJECTS:
            # Whoever invents subjects (sender addresses) must not fill our memory.
            self._seen = {key: seen for key, seen in self._seen.items() if now - seen[0] < _COMPLAIN_S}
            if len(self._seen) >= _SUBJECTS:
                return
        self._seen[subject] = (now, 1)
        self._say(severity, f"{text} ({count} more since the last notice)" if count > 1 else text)
