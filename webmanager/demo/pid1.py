"""Process 1 of a machine of the bed: starts and reaps what it is told; its end is that machine's loss of power.

Started as `python -I -S pid1.py NAME FD`; standard library only, no import of this project. FD is a SOCK_SEQPACKET
whose other end is held by the process that built the bed. When that end is closed, by whatever death, process 1 ends,
and the kernel ends everything in its process namespace with it: this is what makes the clean-up certain.
"""

import json
import os
import selectors
import signal
import socket
import sys
from typing import Any

LIMIT = 160_000  # bytes of one message; below the kernel's default socket buffer
FDS = 16
Json = dict[str, Any]


def spawn(order: Json, fds: list[int]) -> Json:
    """`fds` become 0, 1, 2, 3 ... of the new process, which leads a session of its own."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)]
    # Python ignores SIGPIPE; what we start must not inherit that.
    pid = os.posix_spawnp(
        order["argv"][0], order["argv"], order["env"], file_actions=actions, setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ], setsigmask=[],
    )  # fmt: skip
    return {"pid": pid}


def kill(order: Json) -> Json:
    """`pid` -1 means every process of this machine but this one; a negative pid a process group."""
    try:
        os.kill(order["pid"], order["signal"])
    except ProcessLookupError:
        return {"sent": False}
    return {"sent": True}


def listen(order: Json, answer_fds: list[int]) -> Json:
    """A listening TCP socket of this machine's network, for use by a process outside it."""
    family = socket.AF_INET6 if ":" in order["host"] else socket.AF_INET
    server = socket.create_server((order["host"], order["port"]), family=family, backlog=128)
    answer_fds.append(server.detach())
    return {}


class Switch:
    """Orders come in, replies and exits go out; one thread, nothing waits."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.mine: set[int] = set()

    def order(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self.control, LIMIT, FDS, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return False
        answer_fds: list[int] = []
        order = json.loads(data)
        try:
            reply = self.carry_out(order, fds, answer_fds)
        except OSError as error:
            reply = {"error": f"{error.strerror}: {error.filename or order['op']}"}
        reply["id"] = order["id"]
        socket.send_fds(self.control, [json.dumps(reply).encode()], answer_fds)
        for fd in (*fds, *answer_fds):
            os.close(fd)
        return True

    def carry_out(self, order: Json, fds: list[int], answer_fds: list[int]) -> Json:
        if order["op"] == "spawn":
            reply = spawn(order, fds)
            self.mine.add(reply["pid"])
            return reply
        if order["op"] == "kill":
            return kill(order)
        return listen(order, answer_fds)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.mine:
                self.mine.discard(pid)
                gone = {"exited": pid, "status": os.waitstatus_to_exitcode(status)}
                self.control.send(json.dumps(gone).encode())


def main() -> None:
    socket.sethostname(sys.argv[1])
    control = socket.socket(fileno=int(sys.argv[2]))
    control.set_inheritable(False)
    control.send(b'{"hello": true}')
    ring, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    switch = Switch(control)
    waiter = selectors.DefaultSelector()
    waiter.register(control, selectors.EVENT_READ)
    waiter.register(ring, selectors.EVENT_READ)
    while True:
        for key, _ in waiter.select():
            if key.fd == ring:
                os.read(ring, 4096)
                switch.reap()
            elif not switch.order():
                return


if __name__ == "__main__":
    try:
        main()
    except OSError:  # The bed's builder is gone: nobody is left to tell.
        sys.exit(1)
