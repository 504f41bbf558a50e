"""The filtered event log as a file: streamed in parts, bounded, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.translation import get_language

from agent.messages.catalog import MESSAGES, render
from webmanager.ledger import in_db
from webmanager.models import Cluster
from webmanager.overview import log
from webmanager.overview.filters import Filter

ROWS_MOST = 100_000
_PART = 1000
COLUMNS = ("time", "own_time", "server", "severity", "module", "number", "kind", "name", "text", "rule", "id", "causes",
           "acknowledged_by", "acknowledged_at", "comment")  # fmt: skip
Note = dict[str, Any]


def respond(cluster: Cluster, wanted: Filter, form: str) -> StreamingHttpResponse:
    """`form`: csv or json."""
    language = get_language() or "en"
    writer: Callable[[Note], str] = _json_line if form == "json" else lambda note: _csv_line(note, language)
    kind = "application/x-ndjson" if form == "json" else "text/csv"
    head = "" if form == "json" else _csv(COLUMNS)
    name = f"{cluster.name}-events.{'jsonl' if form == 'json' else 'csv'}"
    headers = {"Content-Disposition": f'attachment; filename="{_plain(name)}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_body(cluster, wanted, head, writer), content_type=f"{kind}; charset=utf-8",
                                 headers=headers)  # fmt: skip


async def _body(cluster: Cluster, wanted: Filter, head: str, line: Callable[[Note], str]) -> AsyncIterator[str]:
    """Page after page by cursor: no connection is held while a slow client reads."""
    yield head
    cursor, left = "", ROWS_MOST
    while left > 0:
        notes, cursor = await in_db(log.page, cluster, wanted, cursor, min(_PART, left))
        yield "".join(map(line, notes))
        left -= len(notes)
        if not cursor:
            return


def _json_line(note: Note) -> str:
    return json.dumps(note, ensure_ascii=False) + "\n"


def _csv_line(note: Note, language: str) -> str:
    ack = note["acknowledged"] or {"by": "", "at": None, "comment": ""}
    return _csv((
        stamp(note["time"]), stamp(note.get("own_time", note["time"])), note["server"], note["severity"],
        note["module"], note["event"], note["kind"], note["name"], sentence(note, language), note["rule"], note["id"],
        " ".join(note["causes"]), ack["by"], stamp(ack["at"]), ack["comment"],
    ))  # fmt: skip


def sentence(note: Note, language: str) -> str:
    if (note["module"], note["event"]) in MESSAGES:
        return render(note["module"], note["event"], note["params"], language)
    return str(note["text"])


def stamp(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _csv(cells: tuple[Any, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return line.getvalue()


def _cell(value: Any) -> str:
    """A spreadsheet takes what begins so for a formula; names and comments come from people and from outside."""
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _plain(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-._") else "_" for letter in name)
