"""The demo's web service: what it has answered is on stable storage, each request once, however many come together."""

from __future__ import annotations

import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from webmanager.demo import service
from webmanager.demo.configuration import SERVICE
from webmanager.demo.machine import until

CLIENTS = 40


@pytest.fixture
def port(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        number = found.getsockname()[1]
    words = [sys.executable, "-I", "-S", str(SERVICE), "failover1", str(number), str(tmp_path / "count")]
    with subprocess.Popen(words) as running:
        try:
            until(lambda: answers(number), "the service listens", 30, 0.02)
            yield number, running
        finally:
            running.send_signal(signal.SIGCONT)
            running.terminate()


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5):
            return True
    except OSError:
        return False


def waiting(server: socket.socket) -> int:
    """Connections that nobody has accepted yet (tcpi_unacked of a socket that listens)."""
    info = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack_from("=I", info, 24)[0])


@pytest.mark.slow
def test_clients_that_come_together_are_served_together_and_counted_once_each(
    port: tuple[int, subprocess.Popen[bytes]], tmp_path: Path
):
    number, running = port
    running.send_signal(signal.SIGSTOP)  # So that all of them wait for it.
    clients = [socket.create_connection(("127.0.0.1", number), 10) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    running.send_signal(signal.SIGCONT)

    pages = [client.makefile("rb").read().decode() for client in clients]

    for client in clients:
        client.close()
    counts = [int(found[1]) for page in pages if (found := re.search(r"Request (\d+)\.", page))]
    assert len(counts) == len(set(counts)) == CLIENTS
    assert (tmp_path / "count").stat().st_size >= max(counts)


def test_one_sync_serves_all_that_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    syncs: list[int] = []
    monkeypatch.setattr(service.os, "fdatasync", syncs.append)
    counter = service.Counter(str(tmp_path / "count"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = [socket.create_connection(server.getsockname(), 10) for _ in range(5)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        until(lambda: waiting(server) == 5, "all of them wait", 10)
        connections = service.accepted(server)
        service.reply_to(connections, "failover1", "server1", counter)
        for end in (*connections, *clients):
            end.close()

    assert len(connections) == 5
    assert len(syncs) == 1
    assert (tmp_path / "count").read_bytes() == b"....."
