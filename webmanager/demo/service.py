"""The demo's web service: `python -I -S service.py GROUP PORT` answers each request with the server that it runs on.

With a third word, a file or the address of a PostgreSQL: it counts the requests there, each on stable storage before it
is answered.
"""

import contextlib
import os
import signal
import socket
import sys

PAGE = """<!doctype html><title>{group}</title>
<h1>{group} runs on {server}</h1>
{more}<p>Crash {server} in the console and load this page again.</p>
"""
COUNTED = "<p>Request {count}. The count is kept in {path}, on the disks of both servers.</p>\n"
TABLE = "CREATE TABLE IF NOT EXISTS requests (number bigserial PRIMARY KEY, at timestamptz DEFAULT now())"
INSERT = "INSERT INTO requests (at) SELECT now() FROM generate_series(1, %s) RETURNING number"
TOGETHER = 64  # clients that are served with one sync
COMMITTED = "<p>Request {count}, committed by PostgreSQL, whose data are on the disks of both servers.</p>\n"


def answer(group: str, server: str, more: str = "") -> bytes:
    page = PAGE.format(group=group, server=server, more=more)
    head = f"HTTP/1.0 200 OK\r\nX-Server: {server}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    return (head + page).encode()


class Counter:
    """One byte a request: nothing that was answered is forgotten, whichever server dies."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def next(self, requests: int) -> list[str]:
        """What to tell each of them."""
        os.write(self._file, b"." * requests)
        os.fdatasync(self._file)
        last = os.fstat(self._file).st_size
        return [COUNTED.format(count=count, path=self._path) for count in range(last - requests + 1, last + 1)]


class Rows:
    """One row a request, committed before it is answered; while the database does not answer, neither do we."""

    def __init__(self, address: str) -> None:
        import psycopg  # Only here: the service without a database needs the standard library alone.

        self._failed, self._connect = psycopg.Error, psycopg.connect
        self._address = address
        self._database: psycopg.Connection[tuple[int]] | None = None

    def next(self, requests: int) -> list[str]:
        """OSError while the database does not answer."""
        try:
            if self._database is None:
                self._database = self._connect(self._address, autocommit=True)
                self._database.execute(TABLE)
            rows = self._database.execute(INSERT, (requests,)).fetchall()
            return [COMMITTED.format(count=number) for (number,) in rows]
        except self._failed as error:
            self._database = None
            raise OSError(str(error)) from error


def counter_of(place: str) -> Counter | Rows:
    return Rows(place) if place.startswith("postgresql:") else Counter(place)


def accepted(server: socket.socket) -> list[socket.socket]:
    """Waits for a client, and takes with it all that wait already, so that one sync of the disk serves them all.

    One sync for each client would be the end of a busy service: as soon as clients come faster than the disk syncs,
    each waits in a line that only grows, and has gone when it is served.
    """
    found = [server.accept()[0]]
    server.setblocking(False)
    try:
        with contextlib.suppress(OSError):
            while len(found) < TOGETHER:
                found.append(server.accept()[0])
    finally:
        server.setblocking(True)
    return found


def reply_to(connections: list[socket.socket], group: str, host: str, counter: Counter | Rows | None) -> None:
    for connection in connections:
        connection.settimeout(0.5)  # One slow client must not keep the others waiting for long.
        with contextlib.suppress(OSError):
            connection.recv(4096)
    more = counter.next(len(connections)) if counter else [""] * len(connections)
    for connection, said in zip(connections, more, strict=True):
        with contextlib.suppress(OSError):
            connection.sendall(answer(group, host, said))


def main() -> None:
    group, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host = socket.gethostname()
    counter = counter_of(sys.argv[3]) if len(sys.argv) > 3 else None
    # All addresses, IPv6 too where the kernel has it: the service need not know the floating one.
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    with socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=256) as server:
        while True:
            connections = accepted(server)
            with contextlib.suppress(OSError):
                reply_to(connections, group, host, counter)
            for connection in connections:
                connection.close()


if __name__ == "__main__":
    main()
