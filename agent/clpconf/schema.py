"""The declaration language: what a type of clp.conf is, said once, for forms, checks, commands and documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.clpconf.findings import Finding, Said
from agent.clpconf.kinds import (
    BOOLEAN,
    DEVICE,
    HOST,
    IP,
    LINK,
    NETWORK,
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
    numbered,
    seconds,
    word,
)

__all__ = [
    "BOOLEAN", "DEVICE", "HOST", "IP", "LINK", "NETWORK", "PATH", "SCRIPT", "SECONDS", "SECRET", "TEXT",
    "Applies", "Kind", "OutOfRangeError", "Param", "Platform", "TypeSpec", "Values",
    "bad_value", "choice", "integer", "numbered", "pattern_of", "seconds", "word",
]  # fmt: skip

# The words of findings before their values are filled in.
PLACEHOLDER = '"{text}" is a placeholder that was never filled in.'
OUT_OF_RANGE = '"{text}" is out of range.'
MISSING = "A value is missing here."
GIVE_VALUE = "Give it a value."
NO_PARAMETER = "Type {type} has no such parameter here; it is kept and has no effect."
CHECK_SPELLING = "Check the spelling, or remove it."

# What has to be done when a value changes. "noted": nothing, it is read at once. "restart": whatever holds it restarts
# (a monitor, the group of a resource). "suspend", "stop": the cluster is suspended or stopped meanwhile.
Applies = Literal["noted", "restart", "monitor", "group", "suspend", "stop"]
Platform = Literal["linux", "windows"]
_RESTARTS: Mapping[str, Applies] = {"resource": "group", "monitor": "monitor", "openclp/fence": "noted"}

# Values of one object with types applied: {"parameters/ip": IPv4Address("10.0.0.1"), "parameters/timeout/start": 1800};
# a list parameter ("parameters/list@*/ip") gives a tuple under its path with "*".
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: `path` below the object, "*" for the numbers of a list ("parameters/list@*/ip").

    Where a path ends in "@*" the identity of the element is the value (kind LINK): <depend name="fip1"/>.
    """

    path: str
    label: str
    kind: Kind
    required: bool = False
    default: object = None  # of a list: for an entry that lacks this field
    unit: str = ""
    help: str = ""
    source: str = ""  # where the rule or the default comes from
    advanced: bool = False  # shown only when asked for
    section: str = ""  # heading of its field set in a form
    # It counts only where each of these fields has one of these values, as the file writes them (defaults included).
    only_when: tuple[tuple[str, tuple[str, ...]], ...] = ()
    applies: Applies = "restart"
    refers: str = ""  # it names a "server", "group", "resource", "monitor", "heartbeat" or a number of "device:lan" ...
    unused: bool = False  # kept for other tools and versions; this version does not act on it

    @property
    def is_list(self) -> bool:
        return "*" in self.path

    @property
    def default_text(self) -> str:
        """The default as the file would write it, "" without one."""
        if isinstance(self.default, bool):
            return "1" if self.default else "0"
        if isinstance(self.default, float):
            return f"{self.default:g}" if abs(self.default) < 1e6 else str(int(self.default))
        return "" if self.default is None else str(self.default)

    def matches(self, path: str) -> bool:
        """Is this the parameter at `path` ("parameters/list@0/ip")?"""
        return self.path == path or (self.is_list and _match(self.path, path))


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """One type of resource, monitor or heartbeat, or one section of the file."""

    name: str
    label: str
    params: tuple[Param, ...] = ()
    depends_on: tuple[str, ...] = ()  # types that this type follows by default (the `depend`-less case)
    activation_timeout_s: float = 180
    activation_retry: int = 0
    deactivation_timeout_s: float = 180
    help: str = ""
    # ready: its driver exists; False: kept and shown, refused at start with a sentence. A section: is it acted upon?
    ready: bool = True
    platform: Platform = "linux"
    section: str = ""  # where its objects stand below /root: "resource", "cluster/mail"; the catalog fills it in
    family: str = ""  # heading under which it is offered: "Databases"
    _exact: Mapping[str, Param] = field(init=False, repr=False, compare=False)
    _lists: tuple[Param, ...] = field(init=False, repr=False, compare=False)
    _branches: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Thousands of objects are checked against one declaration.
        object.__setattr__(self, "_exact", {param.path: param for param in self.params if not param.is_list})
        object.__setattr__(self, "_lists", tuple(param for param in self.params if param.is_list))
        object.__setattr__(self, "_branches", frozenset(b for param in self.params for b in _branches(param.path)))

    def param(self, path: str) -> Param | None:
        """What is declared for "parameters/ip" or "parameters/list@0/ip"."""
        known = self._exact.get(path)
        return known or next((param for param in self._lists if _match(param.path, path)), None)

    def applies(self, param: Param) -> Applies:
        """What a change of this parameter needs, "restart" resolved."""
        return _RESTARTS.get(self.section, "suspend") if param.applies == "restart" else param.applies

    def counts(self, param: Param, raw: Mapping[str, str]) -> bool:
        """Do the other fields let this one count?"""
        return all(self._text(path, raw) in values for path, values in param.only_when)

    def _text(self, path: str, raw: Mapping[str, str]) -> str:
        stated = raw.get(path, "").strip()
        param = self._exact.get(path)
        return stated or (param.default_text if param is not None else "")

    def values(self, raw: Mapping[str, str]) -> Values:
        """Typed values with defaults. Raises ValueError naming the path at the first bad one."""
        typed: dict[str, object] = {}
        for param in self.params:
            required = param.required and self.counts(param, raw)
            found = tuple(_typed(param, path, raw, required=required) for path in _paths(param, raw))
            typed[param.path] = found if "*" in param.path else found[0]
        return typed

    def check(self, path: str, raw: Mapping[str, str]) -> list[Finding]:
        """All findings: missing, not parsable, out of range, unknown. `path` is that of the object in the file."""
        findings = [
            finding
            for param in self.params
            if param.required or param.is_list or param.path in raw
            for value_path in _paths(param, raw) or _first_of_required_list(param)
            if (finding := self._finding(param, path, value_path, raw))
        ]
        return findings + [_unknown(f"{path}/{key}", self) for key in raw if not self.knows(key)]

    def knows(self, path: str) -> bool:
        """A parameter, or an empty element that could hold one."""
        return path in self._exact or self.param(path) is not None or pattern_of(path) in self._branches

    def _finding(self, param: Param, path: str, value_path: str, raw: Mapping[str, str]) -> Finding | None:
        text = raw.get(value_path, "").strip()
        if not text and not (param.required and self.counts(param, raw)):
            return None
        return _finding(param, f"{path}/{value_path}", text)


def bad_value(path: str, text: str, kind: Kind, error: ValueError) -> Finding:
    """The finding for text that `kind` refuses. A secret is not repeated in it."""
    if is_placeholder(text):
        code, reason = "value.placeholder", PLACEHOLDER
    elif isinstance(error, OutOfRangeError):
        code, reason = "value.range", OUT_OF_RANGE
    else:
        code, reason = "value.syntax", not_a(kind)
    values = (("text", "..." if kind.secret else _shortened(text)), *kind.values)
    said = Said(reason, kind.template or str(error), values)
    return Finding(code, "error", path, reason.format(**dict(values)), str(error), said=said)


def not_a(kind: Kind) -> str:
    """One whole sentence for each kind: words put together make no sentence in another language."""
    article = "an" if kind.name[0] in "aeioAEIO" else "a"
    return f'"{{text}}" is not {article} {kind.name}.'


def _typed(param: Param, path: str, raw: Mapping[str, str], *, required: bool) -> object:
    text = raw.get(path, "").strip()
    if not text and required:
        raise ValueError(f"{path}: {param.label} is missing.")
    if not text:
        return param.default
    try:
        return param.kind.parse(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _finding(param: Param, path: str, text: str) -> Finding | None:
    if not text:
        remedy = param.kind.help or GIVE_VALUE
        said = Said(MISSING, param.kind.template or remedy, param.kind.values)
        return Finding("value.missing", "error", path, f"{param.label} is missing.", remedy, said=said)
    try:
        param.kind.parse(text)
    except ValueError as error:
        return bad_value(path, text, param.kind, error)
    return None


def _unknown(path: str, spec: TypeSpec) -> Finding:
    reason = NO_PARAMETER.format(type=spec.name)
    said = Said(NO_PARAMETER, CHECK_SPELLING, (("type", spec.name),))
    return Finding("value.unknown", "note", path, reason, CHECK_SPELLING, said=said)


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


def _branches(path: str) -> Iterator[str]:
    """Of "a/b@*/c": "a" and "a/b@*"."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def pattern_of(path: str) -> str:
    """Of an entry of a list, the path under which it is declared: parameters/list@0/ip -> parameters/list@*/ip."""
    return _IDENTITY.sub("@*", path) if "@" in path else path


def _match(pattern: str, key: str) -> bool:
    return _pattern(pattern).fullmatch(key) is not None


def _match_head(pattern: str, key: str) -> str:
    found = _pattern(pattern).match(key)
    return found[0] if found else ""


_NUMBER = re.compile(r"[0-9]{1,18}")
# The identity may be a network: ip@192.0.2.0/24. No element's name begins with a digit.
_IDENTITY = re.compile(r"@[^/]*(?:/[0-9]+(?=/|$))?")
_PATTERNS: dict[str, re.Pattern[str]] = {}


def _pattern(path: str) -> re.Pattern[str]:
    known = _PATTERNS.get(path)
    if known is None:
        known = _PATTERNS[path] = re.compile(
            re.escape(path).replace(r"@\*", "@[^/]*(?:/[0-9]+(?=/|$))?").replace(r"\*", "[^/@]+")
        )
    return known


def _by_number(entry: str) -> list[tuple[int, int, str]]:
    """`list@10` after `list@9`; entries that are not numbered come last."""
    ids = [segment.partition("@")[2] for segment in entry.split("/")]
    return [(0, int(one), "") if _NUMBER.fullmatch(one) else (1, 0, one) for one in ids]


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
