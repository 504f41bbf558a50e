"""The declaration language: what a type of clp.conf is, said once, for forms, checks, commands and documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.clpconf.findings import Finding
from agent.clpconf.kinds import (
    BOOLEAN,
    IP,
    PATH,
    SCRIPT,
    SECONDS,
    SECRET,
    TEXT,
    Kind,
    OutOfRangeError,
    choice,
    integer,
    is_placeholder,
    seconds,
)

__all__ = [
    "BOOLEAN", "IP", "PATH", "SCRIPT", "SECONDS", "SECRET", "TEXT",
    "Kind", "OutOfRangeError", "Param", "TypeSpec", "Values", "bad_value", "choice", "integer", "seconds",
]  # fmt: skip

# Values of one object with types applied: {"parameters/ip": IPv4Address("10.0.0.1"), "parameters/timeout/start": 1800};
# a list parameter ("parameters/list@*/ip") gives a tuple under its path with "*".
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: `path` below the object, "*" for the numbers of a list ("parameters/list@*/ip")."""

    path: str
    label: str
    kind: Kind
    required: bool = False
    default: object = None  # of a list: for an entry that lacks this field
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
        typed: dict[str, object] = {}
        for param in self.params:
            found = tuple(_typed(param, path, raw) for path in _paths(param, raw))
            typed[param.path] = found if "*" in param.path else found[0]
        return typed

    def check(self, path: str, raw: Mapping[str, str]) -> list[Finding]:
        """All findings: missing, not parsable, out of range, unknown. `path` is that of the object in the file."""
        findings = [
            finding
            for param in self.params
            for value_path in _paths(param, raw) or _first_of_required_list(param)
            if (finding := _finding(param, f"{path}/{value_path}", raw.get(value_path, "").strip()))
        ]
        return findings + [_unknown(f"{path}/{key}", self) for key in raw if not self._knows(key)]

    def _knows(self, key: str) -> bool:
        return any(param.path == key or ("*" in param.path and _match(param.path, key)) for param in self.params)


def bad_value(path: str, text: str, kind: Kind, error: ValueError) -> Finding:
    """The finding for text that `kind` refuses. A secret is not repeated in it."""
    shown = "The value" if kind.secret else f'"{_shortened(text)}"'
    if is_placeholder(text):
        reason = f"{shown} is a placeholder that was never filled in."
        return Finding("value.placeholder", "error", path, reason, str(error))
    if isinstance(error, OutOfRangeError):
        return Finding("value.range", "error", path, f"{shown} is out of range.", str(error))
    return Finding("value.syntax", "error", path, f"{shown} is not a {kind.name}.", str(error))


def _typed(param: Param, path: str, raw: Mapping[str, str]) -> object:
    text = raw.get(path, "").strip()
    if not text and param.required:
        raise ValueError(f"{path}: {param.label} is missing.")
    if not text:
        return param.default
    try:
        return param.kind.parse(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _finding(param: Param, path: str, text: str) -> Finding | None:
    if not text:
        if not param.required:
            return None
        remedy = param.kind.help or "Give it a value."
        return Finding("value.missing", "error", path, f"{param.label} is missing.", remedy)
    try:
        param.kind.parse(text)
    except ValueError as error:
        return bad_value(path, text, param.kind, error)
    return None


def _unknown(path: str, spec: TypeSpec) -> Finding:
    reason = f"Type {spec.name} has no such parameter here; it is kept and has no effect."
    return Finding("value.unknown", "note", path, reason, "Check the spelling, or remove it.")


def _paths(param: Param, raw: Mapping[str, str]) -> list[str]:
    """Where `param` stands in `raw`: its own path, or one for each entry of its list, in the order of their numbers.

    An entry counts as soon as any of its fields is there, so that the tuples of one list's fields stay aligned.
    """
    if "*" not in param.path:
        return [param.path]
    head, _, field = param.path.rpartition("*")
    entries = {entry for key in raw if (entry := _match_head(head + "*", key))}
    return [entry + field for entry in sorted(entries, key=_by_number)]


def _first_of_required_list(param: Param) -> Iterator[str]:
    if param.required:
        yield param.path.replace("*", "0")


def _match(pattern: str, key: str) -> bool:
    return _pattern(pattern).fullmatch(key) is not None


def _match_head(pattern: str, key: str) -> str:
    found = _pattern(pattern).match(key)
    return found[0] if found else ""


_NUMBER = re.compile(r"[0-9]{1,18}")
_PATTERNS: dict[str, re.Pattern[str]] = {}


def _pattern(path: str) -> re.Pattern[str]:
    known = _PATTERNS.get(path)
    if known is None:
        known = _PATTERNS[path] = re.compile(re.escape(path).replace(r"\*", "[^/]+"))
    return known


def _by_number(entry: str) -> list[tuple[int, int, str]]:
    """`list@10` after `list@9`; entries that are not numbered come last."""
    ids = [segment.partition("@")[2] for segment in entry.split("/")]
    return [(0, int(one), "") if _NUMBER.fullmatch(one) else (1, 0, one) for one in ids]


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
