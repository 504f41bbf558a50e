"""A client without impatience: `python -I -S served.py ADDRESS PORT STEP_MS`, one JSON line for each answer.

Standard library only; runs in the bed's client. It opens a connection each step and waits for its answer for as long as
a sleeping server may keep it: a connection that a kernel accepted while its server slept is answered when that server
wakes, and counts. A line is [start, end, server], in seconds of the steady clock that all of the bed shares.
"""

import contextlib
import json
import selectors
import socket
import sys
import time

PATIENCE_S = 6.0  # longer than any pause in the bed
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Client:
    def __init__(self, address: str, port: int, step_s: float) -> None:
        self.place = (address, port)
        self.step_s = step_s
        self.waiter = selectors.DefaultSelector()
        self.started: dict[socket.socket, float] = {}

    def run(self) -> None:
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due:
                self.attempt(now)
                self.give_up(now)
                due = max(due + self.step_s, now)
            for key, mask in self.waiter.select(max(0.0, due - time.monotonic())):
                self.proceed(key.fileobj, mask)  # type: ignore[arg-type]

    def attempt(self, now: float) -> None:
        end = socket.socket()
        end.setblocking(False)
        self.started[end] = now
        self.waiter.register(end, selectors.EVENT_WRITE)
        try:
            end.connect(self.place)
        except BlockingIOError:
            pass
        except OSError:
            self.close(end)

    def proceed(self, end: socket.socket, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                end.send(REQUEST)
                self.waiter.modify(end, selectors.EVENT_READ)
                return
            data = end.recv(2048)
        except OSError:
            data = b""
        now, start = time.monotonic(), self.started[end]
        self.close(end)
        if server := server_of(data):
            print(json.dumps([start, now, server]), flush=True)

    def give_up(self, now: float) -> None:
        for end, start in list(self.started.items()):
            if now - start < PATIENCE_S:
                return
            self.close(end)

    def close(self, end: socket.socket) -> None:
        del self.started[end]
        self.waiter.unregister(end)
        with contextlib.suppress(OSError):
            end.close()


def server_of(data: bytes) -> str:
    for line in data.decode("latin-1").split("\r\n"):
        if line.startswith("X-Server: "):
            return line[10:]
    return ""


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        Client(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000).run()
