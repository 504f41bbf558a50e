"""Watches addresses come and go in a server's kernel: `python -I -S watch.py`, one line each, until it is ended.

A line is `+|- ADDRESS TIME`, with the steady clock that all servers of the bed share.

Standard library only; runs inside a server of the bed and knows nothing of the cluster. The kernel keeps what happens
while this process is starved, so that the count is right on a busy machine as well.
"""

import contextlib
import os
import socket
import struct
import time

PRIORITY = 40

RTMGRP_IPV4_IFADDR = 0x10
NEWADDR, DELADDR = 20, 21
IFA_LOCAL = 2
BUFFER = 4 << 20
SO_RCVBUFFORCE = 33


def addresses(data: bytes):  # type: ignore[no-untyped-def]
    """(message type, IPv4 address) of each message in the datagram."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        at = 16 + 8  # behind the headers of netlink and of the address
        while at + 4 <= length:
            size, name = struct.unpack_from("=HH", data, at)
            if name == IFA_LOCAL:
                yield kind, socket.inet_ntoa(data[at + 4 : at + 8])
            at += max(4, (size + 3) & ~3)
        data = data[(length + 3) & ~3 :] if length >= 16 else b""


def main() -> None:
    # Late lines would be wrong times.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        try:
            kernel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        kernel.bind((0, RTMGRP_IPV4_IFADDR))
        print("ready", flush=True)
        while True:
            data = kernel.recv(65536)
            now = time.monotonic()
            for kind, address in addresses(data):
                if kind in (NEWADDR, DELADDR):
                    print("+" if kind == NEWADDR else "-", address, now, flush=True)


if __name__ == "__main__":
    main()
