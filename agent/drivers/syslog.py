"""Messages to syslog: this machine's /dev/log, or another machine by UDP."""

from __future__ import annotations

import socket
from pathlib import Path

from agent.ports import DriverError

LOCAL = Path("/dev/log")
_SEND_S = 2.0


def send_local(line: bytes, path: Path = LOCAL) -> None:
    """Some syslogs listen on a datagram socket, others on a stream."""
    for kind, data in ((socket.SOCK_DGRAM, line), (socket.SOCK_STREAM, line + b"\0")):
        try:
            with socket.socket(socket.AF_UNIX, kind) as sock:
                sock.settimeout(_SEND_S)
                sock.connect(str(path))
                sock.sendall(data)
                return
        except OSError as error:
            why = error
            if kind == socket.SOCK_DGRAM and isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
                break
    raise DriverError(f"Nobody takes syslog messages at {path}: {why.strerror or why}. Start the syslog service.")


def send_remote(line: bytes, host: str, port: int) -> None:
    """Nobody says whether it arrived; an unknown host is a DriverError."""
    send_datagram(line, host, port, "syslog")


def send_datagram(data: bytes, host: str, port: int, what: str) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as sock:
            sock.settimeout(_SEND_S)
            sock.connect(address)
            sock.send(data)
    except OSError as error:
        raise DriverError(f"No {what} goes to {host} port {port}: {error.strerror or error}.") from error
