"""The demo's web service: `python -I -S service.py GROUP PORT` answers each request with the server that it runs on."""

import contextlib
import signal
import socket
import sys

PAGE = """<!doctype html><title>{group}</title>
<h1>{group} runs on {server}</h1>
<p>Crash {server} in the console and load this page again.</p>
"""


def answer(group: str, server: str) -> bytes:
    page = PAGE.format(group=group, server=server)
    head = f"HTTP/1.0 200 OK\r\nX-Server: {server}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    return (head + page).encode()


def main() -> None:
    group, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    reply = answer(group, socket.gethostname())
    # All addresses, IPv6 too where the kernel has it: the service need not know the floating one.
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    with socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=256) as server:
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(0.5)  # One slow client must not keep the others waiting for long.
                connection.recv(4096)
                connection.sendall(reply)


if __name__ == "__main__":
    main()
