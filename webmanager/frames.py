"""The frames between agent and manager (ARCHITECTURE.md section 5), typed, so that a bad one is refused at the door."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from agent.wire.peer import Answer
from agent.wire.report import Note
from agent.wire.report_part import Part, Version

PROTOCOLS = (1, 2)  # An agent that speaks 1 tells whole reports only.
SIZE_LIMIT = 4 * 1024 * 1024


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    pass


class Relayed(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent knows of one server, and how old that is."""

    report: msgspec.Raw | UnsetType = UNSET  # a whole one; webmanager/readings.py reads it
    part: Part | UnsetType = UNSET  # what changed since the report of version `base`, which this agent told last
    base: Version = (0, 0, 0)
    age_s: float = 0.0


class Hello(_Frame, frozen=True, kw_only=True, tag="hello"):
    version: int
    node: str
    cluster: str
    config: str
    config_hash: str


class Snapshot(_Frame, frozen=True, kw_only=True, tag="snapshot"):
    rev: int
    at: float
    reports: dict[str, Relayed]
    table: msgspec.Raw = msgspec.Raw(b"null")  # a Table or null
    notes: list[Note] = []


class Change(_Frame, frozen=True, kw_only=True, tag="change"):
    rev: int
    at: float
    reports: dict[str, Relayed] = {}
    table: msgspec.Raw | UnsetType = UNSET
    notes: list[Note] = []


class Alive(_Frame, frozen=True, kw_only=True, tag="alive"):
    rev: int
    at: float
    ages: dict[str, float] = {}


class Progress(_Frame, frozen=True, kw_only=True, tag="progress"):
    id: str
    text: str


class Result(_Frame, frozen=True, kw_only=True, tag="result"):
    id: str
    answer: Answer


class ConfigurationResult(_Frame, frozen=True, kw_only=True, tag="configuration_result"):
    """What one step of a delivery found, or why it could not be done."""

    id: str
    ok: bool
    configuration: dict[str, Any] = {}
    error: str = ""
    reason: str = ""


class Consulted(_Frame, frozen=True, kw_only=True, tag="consulted"):
    """What a question found that changes nothing, or why there is no answer."""

    id: str
    ok: bool
    logs: dict[str, Any] = {}
    outcome: dict[str, Any] = {}
    error: str = ""
    reason: str = ""


Frame = Hello | Snapshot | Change | Alive | Progress | Result | ConfigurationResult | Consulted
Told = Progress | Result | ConfigurationResult | Consulted  # to whoever asked
_decoder = msgspec.json.Decoder(Frame)
_NOTE_DEFAULTS = {
    f.name: (list(f.default) if isinstance(f.default, tuple) else f.default)
    for f in msgspec.structs.fields(Note)
    if f.default is not msgspec.NODEFAULT
}


class FrameError(Exception):
    """The agent spoke wrongly; its text goes into the close reason."""


def decode(text: str) -> Frame:
    try:
        return _decoder.decode(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise FrameError(f"bad frame: {error}") from None


def note_dict(note: Note) -> dict[str, Any]:
    """With every field, so that nobody who reads it needs the defaults."""
    return {**_NOTE_DEFAULTS, **msgspec.to_builtins(note)}
