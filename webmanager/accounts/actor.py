"""Who does something, for the audit."""

from __future__ import annotations

import getpass
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Actor:
    who: str
    address: str = ""


def at_the_shell() -> Actor:
    """Whoever may run manage.py with this database: an account of the machine, not of the manager."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "?"
    return Actor(who=f"{name} (manage.py)")
