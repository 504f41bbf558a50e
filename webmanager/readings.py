"""Reports and tables as they come from agents, each read once.

Rules of this file
- All agents of a cluster tell the same: what one server says of itself arrives once from each of them. Equal text gives
  the same object, so that whoever looks for changes can compare objects first.
- Mostly an agent tells what has changed since its own last word (agent/wire/report_part.py). Reports of one version say
  the same: what others relay of it is not put together again. A server's own word is, so that nobody takes its place.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import UNSET

from agent.wire.epoch import Epoch
from agent.wire.peer import Table
from agent.wire.report import Report
from agent.wire.report_part import Part, Version, version_after, version_of, with_part
from webmanager.frames import FrameError, Relayed

_reports = msgspec.json.Decoder(Report)
_tables = msgspec.json.Decoder(Table | None)


class Readings:
    """The newest report of each server, with a mark of its text (b"": it came in parts); likewise the table."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[bytes, Report]] = {}
        self._table: tuple[bytes, Table] | None = None

    def report(self, server: str, told: Relayed, before: Report | None, *, own: bool) -> Report:
        """`before`: what the same agent told of this server last; `own`: it is its own. Raises FrameError."""
        if told.part is not UNSET:
            return self._patched(server, told.part, told.base, before, own=own)
        if told.report is UNSET:
            raise FrameError(f"bad frame: neither a report nor a part of one under {server}")
        mark = blake2b(told.report, digest_size=16).digest()
        known = self._reports.get(server)
        if known is not None and known[0] == mark:
            return known[1]
        try:
            report = _reports.decode(told.report)
        except msgspec.DecodeError as error:
            raise FrameError(f"bad frame: the report under {server}: {error}") from None
        return self._kept(server, mark, report)

    def _patched(self, server: str, part: Part, base: Version, before: Report | None, *, own: bool) -> Report:
        if before is None or version_of(before) != base:
            raise FrameError(f"gap: a part of the report {base} of {server} came, which this agent has not told")
        known = self._reports.get(server)
        if known is not None and not own and version_of(known[1]) == version_after(base, part):
            return known[1]
        return self._kept(server, b"", with_part(before, part))

    def _kept(self, server: str, mark: bytes, report: Report) -> Report:
        if report.server != server:
            raise FrameError(f"the report under {server} is about {report.server}")
        known = self._reports.get(server)
        # An older one that comes late is read, but takes nobody's place.
        if known is None or version_of(report) >= version_of(known[1]):
            self._reports[server] = mark, report
        return report

    def table(self, raw: msgspec.Raw) -> Table | None:
        text = bytes(raw)
        if self._table is not None and self._table[0] == text:
            return self._table[1]
        try:
            table = _tables.decode(text)
        except msgspec.DecodeError as error:
            raise FrameError(f"bad frame: the table: {error}") from None
        if table is not None and (self._table is None or table_newness(table) >= table_newness(self._table[1])):
            self._table = text, table
        return table


def table_newness(table: Table) -> tuple[Epoch, int]:
    """The higher one is the newer one."""
    return Epoch(*table.epoch), table.version
