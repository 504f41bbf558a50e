"""The alert log of a server on disk: the alerts of all servers, what still has to be told, and how far was read.

SQLite, since all three change together or not at all: an alert is neither lost nor told twice when this process dies.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.clpconf.alert_settings import Channel
from agent.wire.alerts import Alert, Entry, Stream, Told, decode_entry, encode_entry

_VERSION = 1
_SCHEMA = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    server TEXT NOT NULL, life INTEGER NOT NULL, number INTEGER NOT NULL, came REAL NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (server, life, number)
) WITHOUT ROWID;
CREATE INDEX entries_came ON entries (came);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, channel TEXT NOT NULL, receiver TEXT NOT NULL, alert TEXT NOT NULL, body BLOB NOT NULL,
    ids TEXT NOT NULL, made REAL NOT NULL, UNIQUE (channel, receiver, alert)
);
"""
QUEUE = 1000  # deliveries that wait on one channel


class Cursor(NamedTuple):
    """How far a journal was read."""

    inode: int
    offset: int


class Delivery(NamedTuple):
    number: int
    channel: Channel
    receiver: str
    alert: Alert
    ids: tuple[str, ...]
    made: float


class AlertStore:
    """One process, one connection. sqlite3.Error goes up: the process ends and is started anew."""

    def __init__(self, path: Path, server: str, boot: str, most: int) -> None:
        """`boot`: names this boot of the machine. What is damaged is put aside; the other servers have it, too."""
        self._server = server
        self._most = most
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                path.replace(path.with_name(f"{path.name}.damaged"))
            for tail in ("-wal", "-shm"):
                path.with_name(path.name + tail).unlink(missing_ok=True)
            self._db = _open(path)
        unclean = self.fact("boot") not in ("", boot) and self.fact("clean") != "1"
        with self.change():
            if unclean or not self.fact("life"):
                # After a power cut, entries may be gone that others have: their numbers must not come again.
                self._set("life", str(time.time_ns()))
            self._set("boot", boot)
            self._set("clean", "0")
        self.me = Stream(server, int(self.fact("life")))
        self.began = self.last(self.me)

    def close(self) -> None:
        with self.change():
            self._set("clean", "1")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """All of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- entries

    def append(self, came: float, alert: Alert | None = None, told: Told | None = None) -> Entry:
        """To the own stream; within change()."""
        entry = Entry(self.last(self.me) + 1, alert, told)
        self.keep(self.me, (entry,), came)
        return entry

    def keep(self, stream: Stream, entries: Iterable[Entry], came: float) -> None:
        rows = [(stream.server, stream.life, entry.number, came, encode_entry(entry)) for entry in entries]
        self._db.executemany("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?)", rows)

    def last(self, stream: Stream) -> int:
        row = self._db.execute("SELECT max(number) FROM entries WHERE server = ? AND life = ?", stream).fetchone()
        return int(row[0] or 0)

    def extents(self) -> dict[Stream, tuple[int, int]]:
        rows = self._db.execute("SELECT server, life, min(number), max(number) FROM entries GROUP BY server, life")
        return {Stream(server, life): (first, last) for server, life, first, last in rows}

    def read(self, stream: Stream, after: int, most: int) -> list[Entry]:
        rows = self._db.execute(
            "SELECT body FROM entries WHERE server = ? AND life = ? AND number > ? ORDER BY number LIMIT ?",
            (*stream, after, most),
        )
        return list(_decoded(rows))

    def since(self, came: float) -> list[tuple[str, Entry]]:
        """(writer, entry) of what came here since then."""
        rows = self._db.execute("SELECT server, body FROM entries WHERE came >= ? ORDER BY came", (came,)).fetchall()
        return [(server, entry) for server, body in rows for entry in _decoded([(body,)])]

    def newest(self, count: int) -> list[Alert]:
        """By the clocks of the writers, oldest first."""
        rows = self._db.execute("SELECT body FROM entries ORDER BY came DESC LIMIT ?", (count,)).fetchall()
        alerts = [entry.alert for entry in _decoded(rows) if entry.alert is not None]
        return sorted(alerts, key=lambda alert: alert.time)

    def shorten(self) -> dict[Stream, int]:
        """Drop what is beyond the most that is kept, from the streams' beginnings. stream -> its new first number."""
        count = int(self._db.execute("SELECT count(*) FROM entries").fetchone()[0])
        if count <= self._most + self._most // 10:
            return {}
        row = self._db.execute("SELECT came FROM entries ORDER BY came DESC LIMIT 1 OFFSET ?", (self._most,)).fetchone()
        firsts: dict[Stream, int] = {}
        with self.change():
            for stream, (_, last) in self.extents().items():
                # The newest stays: it carries the number that comes next.
                self._db.execute(
                    "DELETE FROM entries WHERE server = ? AND life = ? AND number < ? AND number <= (SELECT max(number)"
                    " FROM entries WHERE server = ? AND life = ? AND came <= ?)",
                    (*stream, last, *stream, row[0]),
                )
            firsts = {stream: first for stream, (first, _) in self.extents().items()}
        return firsts

    def begin_anew(self) -> None:
        """The own stream was set back: what was written since the start goes on in a new one."""
        entries = self.read(self.me, self.began, self._most)
        with self.change():
            self._set("life", str(max(time.time_ns(), self.me.life + 1)))
            self.me = Stream(self._server, int(self.fact("life")))
            for entry in entries:
                self.append(time.time(), entry.alert, entry.told)
        self.began = 0

    # --- deliveries

    def enqueue(self, channel: Channel, receivers: Sequence[str], alert: Alert, ids: Sequence[str]) -> int:
        """Within change(). The same alert to the same receiver once; how many of the oldest gave way."""
        body, names, made = msgspec.msgpack.encode(alert), "\n".join(ids), time.time()
        self._db.executemany(
            "INSERT OR IGNORE INTO deliveries (channel, receiver, alert, body, ids, made) VALUES (?, ?, ?, ?, ?, ?)",
            [(channel, receiver, alert.id, body, names, made) for receiver in receivers],
        )
        return self._db.execute(
            "DELETE FROM deliveries WHERE channel = ? AND id NOT IN"
            " (SELECT id FROM deliveries WHERE channel = ? ORDER BY id DESC LIMIT ?)",
            (channel, channel, QUEUE),
        ).rowcount

    def waiting(self, channel: Channel, most: int, but: Sequence[str] = ()) -> list[Delivery]:
        """The oldest first; without those to receivers named in `but`."""
        rows = self._db.execute(
            "SELECT id, channel, receiver, body, ids, made FROM deliveries WHERE channel = ? ORDER BY id LIMIT ?",
            (channel, QUEUE),
        )
        found = (Delivery(n, c, r, msgspec.msgpack.decode(b, type=Alert), tuple(i.split("\n")), m)
                 for n, c, r, b, i, m in rows if r not in but)  # fmt: skip
        return [one for one, _ in zip(found, range(most), strict=False)]

    def waits(self) -> dict[str, int]:
        """channel -> deliveries that wait."""
        return dict(self._db.execute("SELECT channel, count(*) FROM deliveries GROUP BY channel").fetchall())

    def done(self, deliveries: Iterable[Delivery]) -> None:
        self._db.executemany("DELETE FROM deliveries WHERE id = ?", [(one.number,) for one in deliveries])

    def told_elsewhere(self, channel: Channel, ids: Iterable[str]) -> None:
        self._db.executemany("DELETE FROM deliveries WHERE channel = ? AND alert = ?", [(channel, i) for i in ids])

    # --- how far was read

    def cursor(self) -> Cursor | None:
        inode, _, offset = self.fact("cursor").partition(" ")
        return Cursor(int(inode), int(offset)) if offset else None

    def move(self, cursor: Cursor) -> None:
        self._set("cursor", f"{cursor.inode} {cursor.offset}")

    def fact(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def _set(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, value))


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10.0, isolation_level=None)
    try:
        path.chmod(0o600)
        db.execute("PRAGMA journal_mode = WAL")
        # A power cut may take the newest; the other servers have them, and a new life begins then.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cache_size = -512")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"an alert log of version {version}")
        db.execute("SELECT count(*) FROM entries").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


def _decoded(rows: Iterable[tuple[bytes]]) -> Iterator[Entry]:
    for (body,) in rows:
        with contextlib.suppress(msgspec.DecodeError):
            yield decode_entry(body)
