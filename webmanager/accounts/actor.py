"""Who does something, for the audit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Actor:
    who: str
    address: str = ""
