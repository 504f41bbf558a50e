"""The link of two mirror processes: one connection in use, on the best path that works, and a proof of who is there.

Rules of this file
- The server whose name sorts first calls, the other one accepts: one connection for each path, without doubles. The
  caller alone decides which one is in use: `USE` with its hello; the acceptor answers with its own. Which of the two is
  active does not matter here.
- A connection carries one session at most. A session begins with the hello of both and ends with its connection: so
  nothing of an old session can come into a new one. `up` follows `down`, always; both come from the loop, never from
  within `send` or `drop`. A session whose hellos were not exchanged yet ends without a word.
- Lost: the next best path that is ready takes over at once. Ended on purpose (`drop`): its own path gets a second to be
  there again before another one takes over. After a time without any, the better ones get 0.3 s to follow the first.
- A better path takes over again when it has been well for a while (`steady_s`). Each time that it fails soon afterwards
  this time doubles, up to five minutes: a connect that flaps costs a resynchronization each time.
- What `send` takes while there is no session is lost: the engine learns from `down` that it has to say it anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.mirrord import handshake
from agent.mirrord.connection import Connection
from agent.mirrord.paths import Accepting, Calling, Door, Path
from agent.mirrord.poller import Poller, Timer
from agent.mirrord.sealing import HELLO, USE, Buffer, Frame
from agent.mirrord.settings import Settings

if TYPE_CHECKING:
    from ssl import SSLContext

STEADY_S = 10.0

_SETTLE_S = 1.0
_DAWN_S = 0.3
_KEY_S = 2.0  # until a key file that cannot be read is looked for again
_LONGEST_STEADY_S = 300.0
_SOON_S = 60.0
_STRANGERS_S = 60.0  # a refused call is told again after so long
_MOST_TOLD = 20


class Link:
    def __init__(
        self,
        poller: Poller,
        settings: Settings,
        *,
        hello: Callable[[], bytes],
        up: Callable[[bytes, bytes], None],
        down: Callable[[str], None],
        frame: Callable[[Frame], None],
        note: Callable[[str, str], None],
        steady_s: float = STEADY_S,
    ) -> None:
        """`up(mine, theirs)`: the hellos of both."""
        self.poller, self.settings, self.note = poller, settings, note
        self.calls = settings.server < settings.peer
        self._hello, self._up, self._down, self._frame = hello, up, down, frame
        self._key = b""
        self._certificate = ""
        self._context: SSLContext | None = None
        connects = sorted(settings.connects, key=lambda connect: connect.priority)
        self._doors: list[Door] = []
        self._paths: list[Path] = []
        if self.calls:
            self._paths += [Calling(self, connect) for connect in connects]
        else:
            self._build_doors([Accepting(self, connect) for connect in connects])
        self._path: Path | None = None  # of the session
        self._connection: Connection | None = None
        self._mine = b""
        self._begun = 0.0
        self._since = time.time()
        self._last_path: Path | None = None
        self._met = False  # both hellos were exchanged
        self._gone = ""  # of a session that has ended: `down` is due
        self._base_steady_s = steady_s
        self._steady_s: dict[Path, float] = {}
        self._settled = 0.0  # until then a better path is waited for
        self._dark = self._dawns = False  # no path was ready; one is again, and the others may follow at once
        self._timer: Timer | None = None
        self._error = ""
        self._sent = self._received = 0  # of connections that are gone
        self._told: dict[str, float] = {}
        self._stopped = True

    def _build_doors(self, paths: list[Accepting]) -> None:
        self._paths += paths
        for own in dict.fromkeys(path.own for path in paths):
            self._doors.append(Door(self, own, [path for path in paths if path.own == own]))

    # ---- for the engine ----
    def start(self) -> None:
        self._stopped = False
        if not self._paths:
            self._complain(f"Mirror {self.settings.mirror} has no mirror connect: its other side cannot be reached.")
        self._open()

    def _complain(self, why: str) -> None:
        if why != self._error:
            self._error = why
            self.note("error", why)

    def _open(self) -> None:
        try:
            self._key = handshake.key_of(self.settings)
        except ValueError as error:
            self._complain(str(error))
            self._timer = self.poller.after(_KEY_S, self._open)
            return
        self._settled = self.poller.now() + _SETTLE_S
        for door in self._doors:
            door.open()
        for path in self._paths:
            path.start()

    def stop(self) -> None:
        """For good; `down` is not called."""
        self._stopped = True
        self._quit()
        self._cancel()
        self._gone = ""
        for door in self._doors:
            door.close()
        for path in self._paths:
            path.stop()

    def send(
        self,
        kind: int,
        seq: int = 0,
        epoch: tuple[int, int] = (0, 0),
        offset: int = 0,
        payload: Buffer = b"",
        spare: int = 0,
    ) -> None:
        """In order. `payload` may change afterwards. Small frames go together, at the end of the turn or by `flush`."""
        if self._connection is not None:
            self._connection.send(kind, seq, epoch, offset, payload, spare)

    def flush(self) -> None:
        """What waits for the end of the turn goes now: before the engine does something that takes time."""
        if self._connection is not None:
            self._connection.out.flush()

    def drop(self, why: str) -> None:
        """What was said does not hold any more: `down` is called at the end of the turn, then both say hello anew."""
        path = self._path
        if path is None:
            return
        self._quit(why)
        path.leave(why)
        self._settled = self.poller.now() + _SETTLE_S
        # Another path waits for that time, should this one not come back.
        self.poller.at_end(self._next)

    @property
    def connected(self) -> bool:
        """From `up` on; not any more as soon as something is known to have gone wrong, which is before `down`."""
        return self._met and self._connection is not None and self._connection.works

    @property
    def queued(self) -> int:
        """Bytes that have not left this machine; what is sent now stands behind them."""
        return self._connection.out.waiting if self._connection is not None else 0

    def figures(self) -> dict[str, object]:
        used = self._connection if self.connected else None
        live = [path.connection for path in self._paths if path.connection is not None]
        path = self._path if self.connected else None
        return {
            "connected": self.connected,
            "path": path.name if path is not None else "",
            "since": round(self._since, 3),
            "paths": [path.figures(used) for path in self._paths],
            "sent": self._sent + sum(one.out.sent for one in live),
            "received": self._received + sum(one.received for one in live),
            "queued": self.queued,
            "encrypted": self.settings.encrypt,
            "round_trip_s": used.round_trip_s if used is not None else None,
            "error": self._error,
        }

    # ---- for the paths ----
    def greeting(self, *, calls: bool) -> handshake.Greeting:
        if calls:
            return handshake.call(handshake.claims_of(self.settings), self._key)
        if self.settings.encrypt:
            self.context()
        return handshake.accept(handshake.claims_of(self.settings, self._certificate), self._key)

    def context(self) -> SSLContext:
        if self._context is None:
            from agent.mirrord import secure  # Only who encrypts pays for OpenSSL (4 MB).

            if self.calls:
                self._context = secure.calling()
            else:
                self._context, self._certificate = secure.accepting()
        return self._context

    def is_ready(self, path: Path) -> None:
        if self._dark:
            self._dark, self._dawns = False, True
            self._settled = self.poller.now() + _DAWN_S
        self._next()

    def is_over(self, connection: Connection) -> None:
        self._sent += connection.out.sent
        self._received += connection.received

    def is_lost(self, path: Path, connection: Connection, why: str) -> None:
        if connection is not self._connection:
            return
        if connection.bye:
            self._settled = self.poller.now() + _SETTLE_S
        else:
            self._error = f"{path}: {why}"
            self._judge(path)
        self._quit(why)
        self._tell_down()
        self._dark = not connection.bye and all(other.connection is None for other in self._paths)
        self._next()

    def control(self, path: Path, connection: Connection, kind: int, payload: memoryview) -> None:
        if kind == USE and not self.calls:
            self._used(path, connection, bytes(payload))
        elif kind == HELLO and self.calls and connection is self._connection and not self._met:
            self._is_up(bytes(payload))
        else:
            connection.reject(f"{self.settings.peer} does not keep the protocol (word {kind}).")

    def stranger(self, text: str) -> None:
        """A refused call, told once in a while: nobody may fill the log with them."""
        now = self.poller.now()
        self._told = {told: at for told, at in self._told.items() if now - at < _STRANGERS_S}
        if text not in self._told and len(self._told) < _MOST_TOLD:
            self._told[text] = now
            self.note("warning", text)

    # ---- the session ----
    def _begin(self, path: Path, connection: Connection) -> None:
        self._tell_down()
        self._path, self._connection, self._begun = path, connection, self.poller.now()
        self._mine = self._hello()

    def _used(self, path: Path, connection: Connection, theirs: bytes) -> None:
        """Of the acceptor: the caller has chosen."""
        if connection is self._connection:
            connection.reject(f"{self.settings.peer} begins twice on one connection.")
            return
        old = self._path
        self._quit(f"{self.settings.peer} goes over to {path}.")
        if old is not None:
            old.leave("It is not in use any more.")
        self._begin(path, connection)
        connection.send(HELLO, payload=self._mine)
        self._is_up(theirs)

    def _use(self, path: Path) -> None:
        """Of the caller."""
        connection = path.connection
        assert connection is not None
        self._begin(path, connection)
        connection.send(USE, payload=self._mine)

    def _is_up(self, theirs: bytes) -> None:
        connection, path = self._connection, self._path
        assert connection is not None
        assert path is not None
        self._met, self._since, self._error = True, time.time(), ""
        connection.deliver = self._frame
        if self._last_path not in (None, path):
            self.note("info", f"{path} is in use now, in place of {self._last_path}.")
        self._last_path = path
        self._up(self._mine, theirs)

    def _quit(self, why: str = "") -> None:
        """Nothing more is taken from this session, and nothing goes into it. `down` is due if it was up."""
        if self._connection is not None:
            self._connection.deliver = None
        if self._met:
            self._met, self._since = False, time.time()
            self._gone = why
            self.poller.at_end(self._tell_down)
        self._path = self._connection = None

    def _tell_down(self) -> None:
        if self._gone:
            why, self._gone = self._gone, ""
            self._down(why)

    # ---- which path: the caller decides ----
    def _next(self) -> None:
        if self.calls and not self._stopped:
            self._choose()

    def _choose(self) -> None:
        """Now, and again when it may be otherwise."""
        self._cancel()
        ready = [path for path in self._paths if path.connection is not None]
        if not ready:
            return
        now = self.poller.now()
        if self._path is None:
            self._choose_first(ready[0], now)
            return
        better = self._paths[: self._paths.index(self._path)]
        waits = {path: self._steady(path) - (now - path.well_since) for path in better if path in ready}
        due = next((path for path, wait_s in waits.items() if wait_s <= 0), None)
        if due is not None:
            self._go_over(due)
        elif waits:
            self._timer = self.poller.after(min(waits.values()), self._choose)

    def _choose_first(self, best: Path, now: float) -> None:
        better = self._paths[: self._paths.index(best)]
        expected = self._dawns or any(path.hopeful for path in better)
        if better and expected and now < self._settled:
            self._timer = self.poller.after(self._settled - now, self._choose)
        else:
            self._dawns = False
            self._use(best)
            self._choose()

    def _go_over(self, path: Path) -> None:
        old = self._path
        assert old is not None
        why = f"{path} has been well for {self._steady(path):g} s and goes before {old}."
        self._quit(why)
        old.leave(why)
        self._tell_down()
        self._use(path)
        self._choose()

    def _judge(self, path: Path) -> None:
        """It has failed while it was in use."""
        if self.poller.now() - self._begun < _SOON_S:
            self._steady_s[path] = min(2 * self._steady(path), _LONGEST_STEADY_S)
        else:
            self._steady_s.pop(path, None)

    def _steady(self, path: Path) -> float:
        return self._steady_s.get(path, self._base_steady_s)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
