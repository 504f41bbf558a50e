"""The declaration language: what a type of clp.conf is, said once, for forms, checks, commands and documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.clpconf.findings import Finding

# Values of one object with types applied: {"parameters/ip": "10.0.0.1", "parameters/timeout/start": 1800, ...};
# a list parameter ("parameters/list@*/ip") gives a tuple under its path with "*".
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Kind:
    """How text becomes a value. `parse` raises ValueError with a sentence that says what would be right."""

    name: str
    parse: Callable[[str], object]
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[tuple[str, str], ...] = ()  # (value in the file, label)


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: `path` below the object, "*" for the numbers of a list ("parameters/list@*/ip")."""

    path: str
    label: str
    kind: Kind
    required: bool = False
    default: object = None
    unit: str = ""
    help: str = ""
    source: str = ""  # where the rule or the default comes from


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """One type of resource, monitor or heartbeat."""

    name: str
    label: str
    params: tuple[Param, ...] = ()
    depends_on: tuple[str, ...] = ()  # types that this type follows by default (the `depend`-less case)
    activation_timeout_s: float = 180
    activation_retry: int = 0
    deactivation_timeout_s: float = 180
    help: str = ""
    # ready: its driver exists; False: kept and shown, refused at start with a sentence.
    ready: bool = True

    def values(self, raw: Mapping[str, str]) -> Values:
        """Typed values with defaults. Raises ValueError naming the path at the first bad one."""
        raise NotImplementedError

    def check(self, path: str, raw: Mapping[str, str]) -> list[Finding]:
        """All findings: missing required, not parsable, out of range. `path` is the object's path in the file."""
        raise NotImplementedError
