"""Process 1 of the guest of test_softdog.py: uses the real softdog through our driver and keeper, then hangs."""

import ctypes
import os
import sys
import time

sys.path.insert(0, sys.argv[1])

from agent.daemon.watchdog import WatchdogKeeper
from agent.drivers.watchdog import Watchdog, find_device

libc = ctypes.CDLL(None, use_errno=True)
_FINIT_MODULE = 313  # x86-64


def must(result):
    if result:
        print("FAILED", os.strerror(ctypes.get_errno()))


for kind, place in ((b"proc", b"/proc"), (b"sysfs", b"/sys"), (b"devtmpfs", b"/dev")):
    must(libc.mount(kind, place, kind, 0, None))
print("BEFORE", find_device("softdog"))
for module in ("/watchdog.ko", "/softdog.ko"):
    with open(module, "rb") as file:
        must(libc.syscall(_FINIT_MODULE, file.fileno(), b"", 0))
path, _ = find_device("softdog")
print("DEVICE", path)

# Petted for longer than it waits, then released for longer than that: the machine lives.
dog = Watchdog(path, 2)
dog.open()
print("OPENED", dog.identity, dog.timeout_s, dog.stoppable)
for _ in range(15):
    time.sleep(0.2)
    dog.pet()
print("RELEASED", dog.release())
time.sleep(3)
print("ALIVE")

# As in the heartbeat child: healthy for a while, then somebody else may take over soon.
keeper = WatchdogKeeper(path, "", 4.0, lambda state, detail: print("KEEPER", state, detail))
begun = time.monotonic()
while time.monotonic() < begun + 4:
    keeper.turn(time.monotonic(), "online", armed=True, healthy=True)
    time.sleep(0.1)
print("HANG")
begun = time.monotonic()
while time.monotonic() < begun + 60:
    keeper.turn(time.monotonic(), "online", armed=True, healthy=False)
    time.sleep(0.1)
print("NOT RESET")
