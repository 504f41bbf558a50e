"""A mirror process without a mirror: passes the requests of a device through to a file, for tests and measurements."""

from __future__ import annotations

import os
import select
import sys
import threading

from agent.mirrord.device import Device, Request
from agent.mirrord.fuse import DeviceError


class Mini:
    def __init__(self, device: Device, file: int) -> None:
        self.device = device
        self.file = file
        self.served = 0
        self.paused = False
        self._poll = select.epoll()
        self._poll.register(device.fd, select.EPOLLIN)
        device.pause = self._pause

    def _pause(self, stop: bool) -> None:
        self.paused = stop
        if stop:
            self._poll.unregister(self.device.fd)
        else:
            self._poll.register(self.device.fd, select.EPOLLIN)

    def serve(self, stop: threading.Event | None = None) -> None:
        """Until the device is gone or `stop`."""
        try:
            self._take()
            while stop is None or not stop.is_set():
                if self._poll.poll(1 if stop is None else 0.05):
                    self._take()
        except DeviceError:
            return

    def _take(self) -> None:
        for request in self.device.requests():
            self.served += 1
            self.do(request)

    def do(self, request: Request) -> None:
        op = request.op
        if op == "write":
            assert request.data is not None
            os.pwrite(self.file, request.data, request.offset)
            self.device.answer(request)
        elif op == "read":
            room = self.device.room(request)
            os.preadv(self.file, (room,), request.offset)
            self.device.answer(request, data=room)
        elif op == "flush":
            os.fdatasync(self.file)
            self.device.answer(request)
        else:
            done = 0
            while done < request.length:
                done += os.pwrite(self.file, bytes(min(request.length - done, 1 << 20)), request.offset + done)
            self.device.answer(request)


def main() -> None:
    """mini.py HOLDER FILE"""
    mini = Mini(Device.connect(sys.argv[1], 10), os.open(sys.argv[2], os.O_RDWR))
    os.write(1, b"serves\n")
    mini.serve()


if __name__ == "__main__":
    main()
