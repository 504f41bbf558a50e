"""Reports and tables as they come from agents, each text read once.

All agents of a cluster tell the same: what one server says of itself arrives once from each of them. Equal text gives
the same object, so that reading it costs one comparison and whoever looks for changes can compare objects first.
"""

from __future__ import annotations

import msgspec

from agent.wire.epoch import Epoch
from agent.wire.peer import Table
from agent.wire.report import Report
from webmanager.frames import FrameError

_reports = msgspec.json.Decoder(Report)
_tables = msgspec.json.Decoder(Table | None)


def newness(report: Report) -> tuple[int, int, int]:
    """Of two reports about a server the higher one is the newer one."""
    return report.incarnation, report.seq, report.heard


class Readings:
    """The newest text of each server, and of the table, with what it says."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[bytes, Report]] = {}
        self._table: tuple[bytes, Table] | None = None

    def report(self, server: str, raw: msgspec.Raw) -> Report:
        text = bytes(raw)
        known = self._reports.get(server)
        if known is not None and known[0] == text:
            return known[1]
        try:
            report = _reports.decode(text)
        except msgspec.DecodeError as error:
            raise FrameError(f"bad frame: the report under {server}: {error}") from None
        if report.server != server:
            raise FrameError(f"the report under {server} is about {report.server}")
        # An older one that comes late is read, but takes nobody's place.
        if known is None or newness(report) >= newness(known[1]):
            self._reports[server] = text, report
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
