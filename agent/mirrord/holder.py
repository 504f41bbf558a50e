"""The device of a mirror disk from outside of the mirror process: made, put under its name, taken away.

`Holder` starts the holder process (`holding.py`) and does what would make that process wait. Everything here may wait
for the kernel, up to its limit: call it in a thread. The name for the applications (`settings.device`) is a symbolic
link to the loop device, made by `attach` and removed by `detach`; what else stands in its place is left alone.

When the holder is killed, the mirror process serves on and starts another one (`renew`); as long as it serves, nobody
else makes a device (`Served`). When both are dead, the kernel fails all I/O; `cleanup` then takes away what is left,
and `start` makes a new device.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from agent.mirrord import fuse, holding, loopdev, slots
from agent.mirrord.fuse import DeviceError
from agent.mirrord.settings import Settings

_START = "import sys; sys.path.insert(0, sys.argv[1]); from agent.mirrord.holding import run; run()"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SERVED = ".served"
_NOBODY = (errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE)  # No holder, or it ends just now.
_QUEUE_S = 0.02  # between two looks for room in the queue of its socket
_ABOVE = 64  # descriptors for the new process are kept out of each other's way


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder remembers for us."""

    size: int
    node: int
    connection: int
    path: str  # what the kernel shows as the file of the loop device
    block: int  # bytes of a sector
    since: float  # seconds since 1970
    loop: str = ""
    link: str = ""


class Held(NamedTuple):
    pid: int
    owner: int  # pid of the mirror process; 0: none serves
    dead: bool  # all I/O fails, for good: aborted
    state: State


class Line:
    """A connection to the holder."""

    def __init__(self, path: str, limit_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(limit_s)
        self._limit_s = limit_s
        try:
            self._connect(path)
        except OSError as error:
            self._socket.close()
            code = error.errno or errno.ECONNREFUSED
            raise DeviceError(code, f"No holder of the mirror disk answers at {path}: {error.strerror}.") from error

    def _connect(self, path: str) -> None:
        deadline = time.monotonic() + self._limit_s
        while True:
            try:
                self._socket.connect(path)
                return
            except BlockingIOError:
                # Others wait for it already, as many as may: for that no limit of a socket waits.
                if time.monotonic() > deadline:
                    raise
                time.sleep(_QUEUE_S)

    @property
    def fd(self) -> int:
        return self._socket.fileno()

    def ask(self, request: bytes) -> tuple[bytes, list[int]]:
        """The answer without its first word, and descriptors that are ours from now on."""
        room = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        try:
            self._socket.send(request, socket.MSG_NOSIGNAL)
            answer, extra, _, _ = self._socket.recvmsg(holding.MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        except TimeoutError:
            what = request.partition(b" ")[0].decode()
            raise DeviceError(
                errno.ETIMEDOUT,
                f"The holder of the mirror disk did not answer ({what}) within {self._limit_s:g} s"
                + ("; the mirror process before waits for its disk and cannot end." if what == "own" else "."),
            ) from None
        except OSError as error:
            raise DeviceError(
                error.errno or errno.EIO, f"The holder of the mirror disk is gone: {error.strerror}."
            ) from error
        descriptors = array.array("i")
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) // descriptors.itemsize * descriptors.itemsize])
        word, _, rest = answer.partition(b" ")
        if word != b"ok":
            for fd in descriptors:
                os.close(fd)
            if not answer:
                raise DeviceError(errno.ECONNRESET, "The holder of the mirror disk has ended.")
            raise DeviceError(errno.EIO, rest.decode(errors="replace"))
        return rest, list(descriptors)

    def close(self) -> None:
        self._socket.close()


def own(line: Line) -> tuple[State, list[int]]:
    """The descriptors to serve with, when whoever served before has ended."""
    words, descriptors = line.ask(b"own")
    return msgspec.json.decode(words, type=State), descriptors


def release(line: Line) -> None:
    with contextlib.suppress(DeviceError):  # Then nobody holds it any more.
        line.ask(b"release")


class Served:
    """A lock that the mirror process keeps as long as it has the device, and the kernel takes from it when it ends."""

    def __init__(self, holder: str) -> None:
        self._file = os.open(holder + _SERVED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):  # Another device object of this very process has it.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        os.close(self._file)


def is_served(settings: Settings) -> bool:
    try:
        file = os.open(settings.holder + _SERVED, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _still_served(settings: Settings) -> DeviceError:
    return DeviceError(
        errno.EBUSY,
        f"The holder of {settings.mirror} has ended, but a mirror process still serves its device: it starts another "
        "holder by itself; else end that process first.",
    )


class Holder:
    def __init__(self, settings: Settings, limit_s: float = 10.0) -> None:
        self._settings = settings
        self._limit_s = limit_s

    # ---- what is there ----
    def held(self) -> Held | None:
        """None: no holder runs."""
        try:
            found, file = self._get()
        except DeviceError as error:
            if error.errno in _NOBODY:
                return None
            raise
        os.close(file)
        return found

    def _get(self) -> tuple[Held, int]:
        line = Line(self._settings.holder, self._limit_s)
        try:
            words, (file,) = line.ask(b"get")
        finally:
            line.close()
        pid, owner, dead, state = words.split(b" ", 3)
        return Held(int(pid), int(owner), dead == b"1", msgspec.json.decode(state, type=State)), file

    def _ask(self, request: bytes) -> None:
        line = Line(self._settings.holder, self._limit_s)
        try:
            line.ask(request)
        finally:
            line.close()

    # ---- start ----
    def start(self, size: int, block: int = 0) -> Held:
        """Nothing new when it runs and its device is not dead. `size`: bytes of the mirror disk; `block`: of a sector,
        0: as the data disk."""
        deadline = time.monotonic() + self._limit_s
        while True:
            with self._alone():
                found = self.held()
                if found is not None and not found.dead:
                    return found
                if found is not None:
                    self._ask(b"end")
                if found is not None or not is_served(self._settings):
                    _remove_rests(self._settings)
                    self._create(size, block or loopdev.block_size(self._settings.data))
                    return self._started()
            if time.monotonic() > deadline:
                raise _still_served(self._settings)
            time.sleep(0.05)

    def renew(self, state: State, descriptors: tuple[int, int, int]) -> None:
        """By the mirror process: another holder of its device in the place of one that was killed."""
        with self._alone():
            if self.held() is not None:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._settings.holder)
            loops = loopdev.on(state.path)
            state = msgspec.structs.replace(
                state, loop=loops[0] if loops else "", link=self._settings.device if loops else ""
            )
            self._spawn(state, *descriptors)
            self._started()

    def _started(self) -> Held:
        found = self.held()
        if found is None:
            raise DeviceError(errno.ECHILD, "The holder of the mirror disk has ended as soon as it was started.")
        return found

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time, of all processes: two would make two devices of one disk."""
        os.makedirs(self._settings.mount, mode=0o700, exist_ok=True)
        place = os.open(self._settings.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        deadline = time.monotonic() + self._limit_s
        try:
            while True:
                try:
                    fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise DeviceError(
                            errno.EBUSY, f"Another process works on the device of {self._settings.mirror}; try again."
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(place)

    def _create(self, size: int, block: int) -> None:
        now = time.time()
        path = f"{_name(self._settings)}/{int(now * 1000):x}"  # A device before it may be in use still, though dead.
        mounted = fuse.mount(path, size, self._limit_s)
        descriptors = [mounted.fuse, mounted.file]
        try:
            descriptors.append(memory := slots.create(f"openclp-mirror {self._settings.mirror}"))
            state = State(
                size=size, node=mounted.node, connection=mounted.connection, path=path, block=block, since=now
            )
            self._spawn(state, mounted.fuse, memory, mounted.file)
        finally:
            for fd in descriptors:
                os.close(fd)

    def _spawn(self, state: State, fuse_fd: int, memory: int, file: int) -> None:
        listener = _listen(self._settings.holder)
        try:
            places = {
                holding.LISTENER: listener, holding.FUSE: fuse_fd, holding.MEMORY: memory, holding.FILE: file,
            }  # fmt: skip
            _start(self._settings.mirror, places, msgspec.json.encode(state), self._limit_s)
        finally:
            os.close(listener)

    # ---- the device ----
    def attach(self) -> str:
        """The loop device, under its name as well. A mirror process must serve: the kernel asks for the size of the
        file system, and waits for the answer."""
        with self._alone():
            held, file = self._get()
            try:
                state = held.state
                found = loopdev.on(state.path)
                if not found:
                    self._wait_for_owner()
                loop = found[0] if found else loopdev.attach(file, f"openclp {self._settings.mirror}", state.block)
            finally:
                os.close(file)
            try:
                _link(self._settings.device, loop, state.path)
            except BaseException:
                if not found:
                    loopdev.detach(loop, state.path, lazy=True, limit_s=self._limit_s)
                raise
            self._put(msgspec.structs.replace(state, loop=loop, link=self._settings.device))
            return loop

    def _wait_for_owner(self) -> None:
        deadline = time.monotonic() + self._limit_s
        while (held := self.held()) is not None and not held.owner:
            if time.monotonic() > deadline:
                raise DeviceError(
                    errno.EAGAIN, f"No mirror process of {self._settings.mirror} has taken its device: see its log."
                )
            time.sleep(0.02)

    def detach(self, *, lazy: bool = False) -> None:
        """DeviceError when somebody uses it, and nothing has changed. `lazy`: the name goes now, the device with its
        last user."""
        with self._alone():
            held = self.held()
            if held is None:
                return
            state = held.state
            for loop in loopdev.on(state.path):
                loopdev.detach(loop, state.path, lazy=lazy, limit_s=self._limit_s)
            _unlink(state.link or self._settings.device, state.path, state.loop)
            self._put(msgspec.structs.replace(state, loop="", link=""))

    def _put(self, state: State) -> None:
        self._ask(b"put " + msgspec.json.encode(state))

    def abort(self) -> None:
        """All I/O on the device fails from now on, at once; then `detach`, `end` and `start` make a new one."""
        held = self.held()
        if held is not None:
            fuse.abort(held.state.connection)

    def end(self) -> None:
        """DeviceError when somebody uses the device, unless it was aborted. Else nothing is left."""
        held = self.held()
        self.detach(lazy=held is not None and held.dead)
        with self._alone():
            if held is not None:
                fuse.abort(held.state.connection)  # Tells the mirror process, which has the file open as well.
                with contextlib.suppress(DeviceError):
                    self._ask(b"end")
            _remove_rests(self._settings)


def cleanup(settings: Settings, limit_s: float = 10.0) -> None:
    """What a dead holder has left. DeviceError when one runs: `end` it."""
    holder = Holder(settings, limit_s)
    if holder.held() is not None:
        raise DeviceError(errno.EBUSY, f"The holder of {settings.mirror} runs; end it instead.")
    with holder._alone():
        if is_served(settings):
            raise _still_served(settings)
        _remove_rests(settings)


def _remove_rests(settings: Settings) -> None:
    for loop, path in loopdev.below(_name(settings)).items():
        _unlink(settings.device, path)
        loopdev.detach(loop, path, lazy=True, limit_s=0)
    _unlink(settings.device, "")
    for left in (settings.holder, settings.holder + _SERVED):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(left)


def _name(settings: Settings) -> str:
    """Where the kernel shows the file. One kernel may have several servers, so that the directory takes part in it."""
    place = os.stat(settings.run)
    return f"/openclp/{settings.cluster}/{settings.server}/{settings.mirror}/{place.st_dev:x}.{place.st_ino:x}"


# ---- the name of the device ----
def _link(name: str, loop: str, path: str) -> None:
    if not name:
        return
    if os.path.lexists(name):
        target = os.readlink(name) if os.path.islink(name) else ""
        if target == loop:
            return
        if not target.startswith("/dev/loop") or loopdev.backing(target) not in ("", path):
            raise DeviceError(errno.EEXIST, f"{name} is there already and not ours{_about(name)}: remove or rename it.")
        os.unlink(name)
    os.symlink(loop, name)


def _about(name: str) -> str:
    if os.path.islink(name):
        return f" (a link to {os.readlink(name)})"
    return " (a device)" if stat.S_ISBLK(os.lstat(name).st_mode) else ""


def _unlink(name: str, path: str, made: str = "") -> None:
    """Only when it leads to our device, to one that is no more, or to that for which we made it."""
    if not name or not os.path.islink(name):
        return
    target = os.readlink(name)
    if target.startswith("/dev/loop") and (target == made or loopdev.backing(target) in ("", path)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


# ---- the process ----
def _listen(path: str) -> int:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(end.fileno(), 0o600)  # What bind makes has it from the first moment.
        end.bind(path)
        end.listen(16)
    except BaseException:
        end.close()
        raise
    return end.detach()


def _start(name: str, places: dict[int, int], words: bytes, limit_s: float) -> None:
    """Detached: its own session, no parent that waits for it, nothing of ours but `places`."""
    first = os.memfd_create("words", os.MFD_CLOEXEC)
    copies: dict[int, int] = {}
    try:
        os.write(first, words)
        os.lseek(first, 0, os.SEEK_SET)
        for place, fd in ((0, first), *places.items()):
            copies[place] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
        actions: list[tuple[object, ...]] = [
            (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (1, 2)
        ]
        actions += [(os.POSIX_SPAWN_DUP2, copy, place) for place, copy in copies.items()]
        command = [sys.executable, "-I", "-S", "-c", _START, _ROOT, "openclp-mirror-holder", name]
        pid = os.posix_spawn(sys.executable, command, {}, file_actions=actions, setsid=True, setsigmask=())
    finally:
        for fd in (first, *copies.values()):
            os.close(fd)
    _wait_for_fork(pid, limit_s)


def _wait_for_fork(pid: int, limit_s: float) -> None:
    """What we have started ends as soon as the holder itself is its child."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # Somebody in this process has waited for it; whether a holder answers is seen next.
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(limit_s * 1000):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    finally:
        os.close(process)
