"""The mirror connects of a link: each keeps one proven connection ready, whichever of them is in use.

Rules of this file
- One side calls, the other one accepts (link.py says which). The caller tries at once, then after pauses up to a
  second; no attempt lasts longer than the silence after which a connection is dead.
- The acceptor listens at each own address, also one that this server does not have at the moment, and takes calls only
  from the address that the connect names. Whoever has not proven himself within 5 seconds, or `silent_s` if that is
  less, is sent away; of more than 8 such strangers the first goes. A new proven connection takes the place of the old
  one of its path.
- What goes wrong with a path is its `error` and, once until it works again, a note; that nobody answers is none for
  the first 5 seconds.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import TYPE_CHECKING, Protocol

from agent.mirrord import handshake
from agent.mirrord.connection import Connection
from agent.mirrord.poller import Poller, Timer
from agent.mirrord.settings import Connect, Settings

if TYPE_CHECKING:
    from ssl import SSLContext

MOST_STRANGERS = 8
PATIENCE_S = 5.0  # somebody who is not there is no news before

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_SHORT_S = 1.0
_CALLS_A_TURN = 8
_MOST_NOTED = 8
_IP_FREEBIND = 15

_Address = tuple[str, int] | tuple[str, int, int, int]


class Owner(Protocol):
    """The link."""

    poller: Poller
    settings: Settings

    def greeting(self, *, calls: bool) -> handshake.Greeting: ...
    def context(self) -> SSLContext: ...
    def is_ready(self, path: Path) -> None: ...
    def is_over(self, connection: Connection) -> None: ...
    def is_lost(self, path: Path, connection: Connection, why: str) -> None: ...
    def control(self, path: Path, connection: Connection, kind: int, payload: memoryview) -> None: ...
    def note(self, severity: str, text: str) -> None: ...
    def stranger(self, text: str) -> None: ...


class Path:
    """One mirror connect."""

    def __init__(self, owner: Owner, connect: Connect) -> None:
        self.owner, self.poller = owner, owner.poller
        self.name, self.own, self.peer, self.priority = connect.name, connect.own, connect.peer, connect.priority
        self.connection: Connection | None = None  # proven, and ready
        self.since = time.time()  # ready, or not
        self.well_since = 0.0  # steady clock
        self.error = ""  # the newest that went wrong; empty while it works
        self.hopeful = True  # nothing has gone wrong with it since it worked, or since the start
        self._away = self.poller.now()
        self._noted: set[str] = set()  # sentences since it worked

    def __str__(self) -> str:
        return f"Mirror connect {self.name} ({self.own} to {self.peer})"

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def leave(self, why: str) -> None:
        """Ends the connection on purpose; another one is made."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.since = time.time()
            connection.leave(why)
            self.owner.is_over(connection)

    # ---- of its connections ----
    def ready(self, connection: Connection) -> None:
        self.connection = connection
        self.since, self.well_since = time.time(), self.poller.now()
        self.hopeful = True
        if self._noted:
            self.owner.note("info", f"{self} works again.")
        self.error = ""
        self._noted.clear()
        self.owner.is_ready(self)

    def ended(self, connection: Connection, why: str) -> None:
        if connection is not self.connection:
            self._failed(why, patiently=not connection.reached)
            return
        self.connection, self.since = None, time.time()
        self._away = self.poller.now()
        if not connection.bye:
            self._failed(why)
        self.owner.is_over(connection)
        self.owner.is_lost(self, connection, why)

    def control(self, connection: Connection, kind: int, payload: memoryview) -> None:
        self.owner.control(self, connection, kind, payload)

    def _failed(self, why: str, *, patiently: bool = False) -> None:
        """`patiently`: at a start or a move of the other side this is so for a moment."""
        self.hopeful, self.error = False, why
        if patiently and self.poller.now() - self._away < PATIENCE_S:
            return
        if why not in self._noted and len(self._noted) < _MOST_NOTED:
            self._noted.add(why)
            self.owner.note("warning", f"{self}: {why}")

    def _make(self, end: socket.socket, *, calls: bool) -> Connection:
        owner = self.owner
        return Connection(self.poller, end, owner.greeting(calls=calls), self, owner.settings, owner.context)

    def figures(self, used: Connection | None) -> dict[str, object]:
        connection = self.connection
        state = "lost" if connection is None else "used" if connection is used else "ready"
        told = {"name": self.name, "own": self.own, "peer": self.peer, "priority": self.priority, "state": state}
        trip = None if connection is None or connection.round_trip_s is None else round(connection.round_trip_s, 6)
        return {**told, "since": round(self.since, 3), "round_trip_s": trip, "error": self.error}


class Calling(Path):
    def __init__(self, owner: Owner, connect: Connect) -> None:
        super().__init__(owner, connect)
        self._trying: Connection | None = None
        self._failures = self._short = 0  # attempts that failed, connections that ended soon: one after the other
        self._timer: Timer | None = None

    def start(self) -> None:
        self._timer = None
        settings = self.owner.settings
        try:
            end, address = self._socket()
        except OSError as error:
            self._failed(_why(error, self.own), patiently=True)
            self._again()
            return
        self._trying = self._make(end, calls=True)
        try:
            self._trying.connect(address, min(settings.connect_s, settings.silent_s))
        except OSError as error:
            self._trying.close()
            self.ended(self._trying, _why(error, self.own))

    def _socket(self) -> tuple[socket.socket, _Address]:
        family, address = resolve(self.peer, self.owner.settings.port)
        _, own = resolve(self.own, 0)
        end = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            end.bind(own)
        except OSError:
            end.close()
            raise
        return end, address

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._trying is not None:
            self._trying.close()
        self.leave("Its mirror process ends.")
        if self._timer is not None:
            self._timer.cancel()

    def ready(self, connection: Connection) -> None:
        self._trying = None
        super().ready(connection)

    def ended(self, connection: Connection, why: str) -> None:
        self._trying = None
        self._again()
        super().ended(connection, why)

    def leave(self, why: str) -> None:
        was = self.connection is not None
        super().leave(why)
        if was:
            self._again()

    def _again(self) -> None:
        """At once; less and less often when it fails, or ends soon, several times."""
        if self.well_since:
            self._failures = 0
            self._short = self._short + 1 if self.poller.now() - self.well_since < _SHORT_S else 0
        else:
            self._failures += 1
        self.well_since = 0.0
        times = self._failures or self._short
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(times - 1, 10), _LONGEST_PAUSE_S) if times else 0.0
        self._timer = self.poller.after(pause_s, self.start)


class Accepting(Path):
    """Called by way of a `Door`."""

    def __init__(self, owner: Owner, connect: Connect) -> None:
        super().__init__(owner, connect)
        self._strangers: list[Connection] = []

    def start(self) -> None:
        """Its door is opened."""

    def stop(self) -> None:
        for stranger in self._strangers:
            stranger.close()
        self._strangers.clear()
        self.leave("Its mirror process ends.")

    def called(self, end: socket.socket) -> None:
        if len(self._strangers) >= MOST_STRANGERS:
            self._strangers.pop(0).close()
        stranger = self._make(end, calls=False)
        self._strangers.append(stranger)
        stranger.begin()

    def ready(self, connection: Connection) -> None:
        self._strangers.remove(connection)
        old = self.connection
        if old is not None:
            old.close()
            self.ended(old, f"{self.owner.settings.peer} has connected anew.")
        super().ready(connection)

    def ended(self, connection: Connection, why: str) -> None:
        if connection not in self._strangers:
            super().ended(connection, why)
            return
        self._strangers.remove(connection)
        if self.connection is None:
            self.error = why
        self.owner.stranger(f"{self}: a call was refused. {why}")

    def shut(self, why: str) -> None:
        """The door cannot be opened."""
        self._failed(why, patiently=True)


class Door:
    """A listening socket: one for each own address, whatever number of connects begin there."""

    def __init__(self, owner: Owner, own: str, paths: list[Accepting]) -> None:
        self._owner, self._own, self._paths = owner, own, paths
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None

    def open(self) -> None:
        poller = self._owner.poller
        try:
            self._socket = self._listen()
        except OSError as error:
            for path in self._paths:
                path.shut(_why(error, self._own, self._owner.settings.port))
            self._timer = poller.after(_LONGEST_PAUSE_S, self.open)
            return
        poller.watch(self._socket.fileno(), self._called)

    def _listen(self) -> socket.socket:
        family, address = resolve(self._own, self._owner.settings.port)
        end = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The address may come later, with its network card.
            end.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            end.bind(address)
            end.listen(MOST_STRANGERS)
        except OSError:
            end.close()
            raise
        return end

    def _called(self) -> None:
        assert self._socket is not None
        for _ in range(_CALLS_A_TURN):
            try:
                end, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._owner.stranger(f"A call could not be taken: {os.strerror(error.errno or 0)}.")
                self.close()  # Else it would be told of the same call again and again.
                self._timer = self._owner.poller.after(_LONGEST_PAUSE_S, self.open)
                return
            place = place_of(address)
            path = next((path for path in self._paths if _place(path.peer) == place), None)
            if path is None:
                end.close()
                self._owner.stranger(f"A call from {address[0]} to {self._own} was refused: no mirror connect has it.")
            else:
                path.called(end)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._owner.poller.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None


# ---- addresses -------------------------------------------------------------------------------------------------------


def resolve(address: str, port: int) -> tuple[socket.AddressFamily, _Address]:
    """Of an address in digits; names are never asked for. OSError."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    # Bytes: a str would load the tables of international names (1 MB).
    found = socket.getaddrinfo(address.encode(), port, type=socket.SOCK_STREAM, flags=flags)
    family, _, _, _, place = found[0]
    return family, place  # type: ignore[return-value]


def place_of(address: tuple[str, int] | tuple[str, int, int, int]) -> tuple[bytes, int]:
    """Equal for two ways to write one address."""
    host = address[0].partition("%")[0]
    if len(address) == 2:
        return socket.inet_pton(socket.AF_INET, host), 0
    return socket.inet_pton(socket.AF_INET6, host), address[3]


def _place(address: str) -> tuple[bytes, int] | None:
    try:
        return place_of(resolve(address, 0)[1])
    except OSError:
        return None


def _why(error: OSError, own: str, port: int = 0) -> str:
    if isinstance(error, socket.gaierror):
        return f"An address of it is none, or its network card is missing ({error.strerror})."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{own} is no address of this server at the moment."
    if error.errno == errno.EADDRINUSE:
        return f"Another program uses port {port} of {own}: ss -tlnp shows it."
    return f"{os.strerror(error.errno or 0)}."
