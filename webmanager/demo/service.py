"""The demo's web service: `python -I -S service.py GROUP PORT` answers each request with the server that it runs on.

With a third word, a file: it counts the requests there, each on stable storage before it is answered.
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


def answer(group: str, server: str, more: str = "") -> bytes:
    page = PAGE.format(group=group, server=server, more=more)
    head = f"HTTP/1.0 200 OK\r\nX-Server: {server}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    return (head + page).encode()


class Counter:
    """One byte a request: nothing that was answered is forgotten, whichever server dies."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def next(self) -> str:
        os.write(self._file, b".")
        os.fdatasync(self._file)
        return COUNTED.format(count=os.fstat(self._file).st_size, path=self._path)


def main() -> None:
    group, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host = socket.gethostname()
    counter = Counter(sys.argv[3]) if len(sys.argv) > 3 else None
    reply = answer(group, host)
    # All addresses, IPv6 too where the kernel has it: the service need not know the floating one.
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    with socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=256) as server:
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(0.5)  # One slow client must not keep the others waiting for long.
                connection.recv(4096)
                connection.sendall(answer(group, host, counter.next()) if counter else reply)


if __name__ == "__main__":
    main()
