"""Reads recorded cases: JSON of unknown origin, of which nothing is believed before it was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.sim.replay.rules import RULES

LARGEST_BYTES = 64 << 20
_MOST_CASES = 100_000


class CasesError(ValueError):
    """The file as a whole cannot be used; the text says why and what to do."""


class NotSupportedError(Exception):
    """One case cannot be played; `rule` names why."""

    def __init__(self, rule: str, text: str) -> None:
        assert rule in RULES
        super().__init__(text)
        self.rule = rule


def read(data: bytes) -> list[dict[str, Any]]:
    """All cases of a file; an entry that is no object becomes a case that nobody supports."""
    if len(data) > LARGEST_BYTES:
        raise CasesError(f"It is larger than {LARGEST_BYTES >> 20} MiB: split it.")
    try:
        cases = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CasesError(f"It is not JSON: {error}. Write one list of cases.") from None
    if isinstance(cases, dict):
        cases = cases.get("cases", [cases])
    if not isinstance(cases, list):
        raise CasesError("It is no list of cases: write [{...}, {...}].")
    if len(cases) > _MOST_CASES:
        raise CasesError(f"It holds more than {_MOST_CASES} cases: split it.")
    return [case if isinstance(case, dict) else {} for case in cases]


def name_of(case: Mapping[str, Any], number: int) -> str:
    return str(case.get("id") or f"case {number}")


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A JSON object; nothing at all counts as an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotSupportedError("unknown-form", f"{what} is no object")
    return value


def listing(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise NotSupportedError("unknown-form", f"{what} is no list")
    return value


def words(value: Any) -> list[str]:
    """Names written as "a,b c" or as a list."""
    if isinstance(value, list):
        return [str(each) for each in value]
    return str(value or "").replace(",", " ").split()


def number(value: Any, default: float) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return default
    return found if abs(found) < 1e12 else default


def truth(value: Any) -> bool:
    """1, "1", true, "true", "yes" and "on" are true."""
    return str(value).lower() in ("1", "true", "yes", "on")


def natural(name: str) -> tuple[Any, ...]:
    """Sorts node2 before node10."""
    parts: list[Any] = []
    digits = ""
    for char in name:
        if char.isdecimal() and char.isascii():
            digits += char
        else:
            parts += [(1, int(digits), ""), (0, 0, char)] if digits else [(0, 0, char)]
            digits = ""
    return tuple([*parts, (1, int(digits), "")] if digits else parts)
