"""Process 1 of the guest of test_device_old_kernel.py: a mirror disk without a mirror, on an older kernel."""

import ctypes
import fcntl
import mmap
import os
import struct
import sys
import threading
import time
import traceback

sys.path.extend(sys.argv[1:])

from concurrent.futures.thread import ThreadPoolExecutor

from agent.mirrord import loopdev
from agent.mirrord.device import Device
from agent.mirrord.holder import Holder
from agent.mirrord.settings import Settings
from tests.agent.mirrord.mini import Mini

libc = ctypes.CDLL(None, use_errno=True)
_FINIT_MODULE = 313  # x86-64
_RESTART = 0x01234567
SIZE = 32 << 20
LIMIT_S = 60


class Recorder(Mini):
    def __init__(self, device, file):
        super().__init__(device, file)
        self.asked = []
        self.hold = False

    def do(self, request):
        self.asked.append((request.op, request.offset, request.length))
        if not self.hold:
            super().do(request)


def pages(data):
    room = mmap.mmap(-1, len(data))
    room[:] = data
    return room


def serve(mini):
    stop = threading.Event()
    thread = threading.Thread(target=mini.serve, args=(stop,), daemon=True)
    thread.start()
    return stop, thread


def play():
    os.makedirs("/run")
    with open("/run/data", "wb") as made:
        made.truncate(SIZE)
    settings = Settings(
        mirror="md1", cluster="c", server="s", peer="t", key="", data="/run/data", partition="", run="/run",
        device="/dev/NMP1", boot="",
    )  # fmt: skip
    holder = Holder(settings, LIMIT_S)
    holder.start(SIZE)
    file = os.open("/run/data", os.O_RDWR)
    first = Recorder(Device.connect(settings.holder, LIMIT_S), file)
    stop, thread = serve(first)
    device = holder.attach()
    print("DIRECT", loopdev.direct(device))

    fd = os.open(device, os.O_RDWR | os.O_DIRECT)
    expected = bytearray(SIZE)
    for length in (512, 4096, 1 << 20, 3 << 20):
        data = os.urandom(length)
        expected[1 << 22 : (1 << 22) + length] = data
        os.pwritev(fd, [pages(data)], 1 << 22)
    found = pages(bytes(SIZE))
    os.preadv(fd, [found], 0)
    print("SAME", found[:] == expected)
    print("LARGEST", max(length for _, _, length in first.asked))
    first.asked.clear()
    os.fsync(fd)
    for request in (0x1277, 0x127F):  # discard, zero
        fcntl.ioctl(fd, request, struct.pack("=QQ", 1 << 20, 1 << 20))
    print("ASKED", *[op for op, _, _ in first.asked if op != "read"])

    first.asked.clear()
    first.hold = True
    with ThreadPoolExecutor(128) as pool:
        writes = [pool.submit(os.pwritev, fd, [pages(b"\7" * 4096)], 8192 * number) for number in range(128)]
        deadline = time.monotonic() + LIMIT_S
        while len(first.asked) < 128 and time.monotonic() < deadline:
            time.sleep(0.05)
        print("WAITING", len(first.asked))
        stop.set()
        thread.join()
        first.device.close()
        stop, thread = serve(Mini(Device.connect(settings.holder, LIMIT_S), file))
        print("WRITTEN", *{write.result() for write in writes})
    os.close(fd)
    holder.end()
    print("LEFT", holder.held(), os.path.lexists("/dev/NMP1"))


for kind, place in ((b"proc", b"/proc"), (b"sysfs", b"/sys"), (b"devtmpfs", b"/dev")):
    libc.mount(kind, place, kind, 0, None)
for module in ("/fuse.ko", "/loop.ko"):
    with open(module, "rb") as code:
        libc.syscall(_FINIT_MODULE, code.fileno(), b"", 0)
try:
    play()
except BaseException:
    print("FAILED", traceback.format_exc())
libc.reboot(_RESTART)
