"""Process 1 of a computer of `guests.py`: does what the bench asks through the second serial line.

A line each way is one JSON object. `run` and `start` begin a command (of the first we tell the end), `join` connects to
the control socket of a mirror process: from then on every word of it is told, and `tell` sends one. `call` runs a
statement of Python here and tells its value.
"""

import contextlib
import ctypes
import json
import os
import selectors
import socket
import subprocess
import sys
import termios
import threading
import traceback
import tty

_FINIT_MODULE = 313  # x86-64
_POWER_OFF = 0x4321FEDC
_MOST = 1 << 16
libc = ctypes.CDLL(None, use_errno=True)
ready = selectors.DefaultSelector()
line = -1
writing = threading.Lock()
channels = {}
values = {}


def say(**fields):
    data = json.dumps(fields).encode() + b"\n"
    with writing:
        while data:
            data = data[os.write(line, data) :]


def prepare():
    for kind, place in (
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
        ("tmpfs", "/var"),
    ):
        os.makedirs(place, exist_ok=True)
        if libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None):
            raise OSError(ctypes.get_errno(), f"mount {place}")
    for directory in ("/var/lib/drbd", "/var/lock", "/run/drbd", "/dev/shm"):
        os.makedirs(directory, exist_ok=True)
    with open("/guest.json", encoding="utf-8") as file:
        plan = json.load(file)
    for path, words in plan["modules"]:
        with open(path, "rb") as code:
            if libc.syscall(_FINIT_MODULE, code.fileno(), words.encode(), 0):
                print(path, os.strerror(ctypes.get_errno()), flush=True)
    libc.mount(b"fusectl", b"/sys/fs/fuse/connections", b"fusectl", 0, None)
    os.environ.update(plan["environment"])
    sys.path.extend(plan["environment"]["PYTHONPATH"].split(":"))
    name, address, interface = sys.argv[1:4]
    socket.sethostname(name)
    for words in ("link set lo up", f"address add {address}/24 dev {interface}", f"link set {interface} up"):
        subprocess.run(["ip", *words.split()], check=True)


def run(order):
    def wait():
        try:
            done = subprocess.run(
                order["command"], capture_output=True, text=True, timeout=order["limit_s"], stdin=subprocess.DEVNULL
            )
            say(done=order["id"], code=done.returncode, out=done.stdout[-_MOST:], error=done.stderr[-2000:])
        except (OSError, subprocess.SubprocessError) as error:
            say(done=order["id"], code=-1, out="", error=str(error))

    threading.Thread(target=wait, daemon=True).start()


def start(order):
    with open(order["log"], "ab") as log:
        process = subprocess.Popen(order["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    say(done=order["id"], code=0, out=str(process.pid), error="")


def call(order):
    def work():
        try:
            exec(order["code"], values)
            say(done=order["id"], code=0, out=values.get("value"), error="")
        except Exception:
            say(done=order["id"], code=-1, out="", error=traceback.format_exc()[-2000:])

    threading.Thread(target=work, daemon=True).start()


def join(order):
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        end.connect(order["path"])
    except OSError as error:
        end.close()
        say(done=order["id"], code=error.errno, out="", error=str(error))
        return
    channels["mirror"] = end
    ready.register(end, selectors.EVENT_READ, hear)
    say(done=order["id"], code=0, out="", error="")


def hear(end):
    with contextlib.suppress(BlockingIOError):
        data = end.recv(_MOST)
        if data:
            say(event=json.loads(data))
        else:
            ready.unregister(end)
            end.close()
            say(event={"type": "closed"})


def tell(order):
    channels["mirror"].send(json.dumps(order["order"]).encode())


rest = bytearray()


def listen(_):
    data = os.read(line, _MOST)
    if not data:  # The bench has ended.
        libc.reboot(_POWER_OFF)
    rest.extend(data)
    while b"\n" in rest:
        data, _, left = bytes(rest).partition(b"\n")
        rest[:] = left
        order = json.loads(data)
        {"run": run, "start": start, "join": join, "tell": tell, "call": call}[order["op"]](order)


def main():
    global line
    prepare()
    line = os.open("/dev/ttyS1", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line, termios.TCSANOW)
    ready.register(line, selectors.EVENT_READ, listen)
    say(event={"type": "up"})
    while True:
        for key, _ in ready.select():
            key.data(key.fileobj)


try:
    main()
except BaseException:
    print("FAILED", traceback.format_exc(), flush=True)
    os.sync()
    libc.reboot(_POWER_OFF)
