"""One shared disk as the arbiter child sees it: a thread that may wait for the disk as long as the disk wants.

A disk that hangs keeps its thread, and the process that has it, from ending. Whoever uses a disk holds a lock below the
run directory, so that a later process never writes beside the write that hangs.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable

from agent.daemon.arbiter_http import NEVER, Owner, Question
from agent.daemon.arbiter_settings import PERIOD_MS, PRIORITY, RUNTIME_MS
from agent.daemon.heartbeat_lan import steady
from agent.drivers import kernel
from agent.drivers.shared_disk import DiskError, SharedDisk
from agent.wire import disk as layout
from agent.wire.epoch import Epoch
from agent.wire.witness import Answer, Ask
from agent.witness.disk import DiskWitness

_RETRY_S = 1.0  # to open it again
_PATIENCE = 0.5  # of the timeout: longer, and the lease suffers
_STACK_BYTES = 256 << 10


class DiskArbiter:
    """Its calls come from the child's loop; `_run` and what is below it is the thread."""

    def __init__(
        self, owner: Owner, name: str, path: str, *, me: str, cluster: str, incarnation: int, interval_s: float,
        timeout_s: float, run: str,
    ) -> None:  # fmt: skip
        self.name = name
        self._owner = owner
        self._path = path
        self._me = me
        self._cluster = cluster
        self._incarnation = incarnation
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._lock_path = os.path.join(run, f"{name}.lock")
        self._lock = -1
        self._results: deque[Callable[[], None]] = deque()
        self._wanted = threading.Condition()
        self._service = ""
        self._question: Question | None = None
        self._beat_now = False
        self._ended = False
        self._busy_since = NEVER
        self._rest_until = 0.0  # after an error
        self._disk: SharedDisk | None = None
        self._witness: DiskWitness | None = None
        threading.stack_size(_STACK_BYTES)
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def say(self, service: str, now: float) -> None:
        with self._wanted:
            if service != self._service:
                self._service, self._beat_now = service, True
                self._wanted.notify()

    def ask(self, question: Question, now: float) -> None:
        with self._wanted:
            self._question = question
            self._wanted.notify()

    def tick(self, now: float) -> None:
        while self._results:
            self._results.popleft()()
        waited = now - self._busy_since
        if waited > _PATIENCE * self._timeout_s:
            self._owner.reachable(self.name, f"{self._path} has not answered for {waited:.1f} s")

    def deadline(self) -> float:
        """When to look whether the disk hangs."""
        since = self._busy_since
        return NEVER if since == NEVER else max(since + _PATIENCE * self._timeout_s, steady() + self._interval_s)

    def close(self) -> None:
        with self._wanted:
            self._ended = True
            self._wanted.notify()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        kernel.run_in_real_time(PRIORITY, RUNTIME_MS, PERIOD_MS)
        next_beat = 0.0
        while True:
            with self._wanted:
                while not self._due(next_beat):
                    self._wanted.wait(max(next_beat - steady(), 0.0) if self._service else None)
                if self._ended:
                    break
                question, self._question = self._question, None
                service, self._beat_now = self._service, False
            self._busy_since = now = steady()
            pause_s = self._turn(service, question)
            self._busy_since = NEVER
            next_beat = max(now + pause_s, steady() + pause_s / 4)
            self._rest_until = 0.0 if self._witness else next_beat
            self._owner.wake()
        self._let_go()

    def _due(self, next_beat: float) -> bool:
        if self._ended:
            return True
        now = steady()
        if not self._service or now < self._rest_until:
            return False
        return self._beat_now or self._question is not None or now >= next_beat

    def _turn(self, service: str, question: Question | None) -> float:
        """One beat, and the question if there is one. Seconds until the next."""
        try:
            witness = self._witness or self._begin()
            # First the question: whoever asks waits.
            if question is not None:
                self._answer(question, witness.propose(self._ask(question)))
            sent_at = witness.beat(service)
        except (DiskError, layout.DamagedError) as error:
            detail = str(error) if isinstance(error, DiskError) else f"{self._path}: {error}"
            self._tell(lambda: self._owner.reachable(self.name, detail))
            self._let_go()
            self._ask_again(question)
            return min(_RETRY_S, self._timeout_s / 2)
        self._tell(lambda: self._owner.reachable(self.name, ""))
        if sent_at:
            self._tell(lambda: self._owner.confirmed(self.name, sent_at))
        return self._interval_s if service not in ("stopped", "released") else max(self._interval_s, 1.0)

    def _ask(self, question: Question) -> Ask:
        return Ask(self._me, self._incarnation, 0, "", self._timeout_s, question.epoch, question.members,
                   question.voters, in_force=question.in_force)  # fmt: skip

    def _answer(self, question: Question, answer: Answer) -> None:
        epoch: Epoch = question.epoch
        self._tell(lambda: self._owner.answered(self.name, epoch, answer))

    def _ask_again(self, question: Question | None) -> None:
        """The disk failed meanwhile; whether it was asked, nobody knows."""
        if question is not None and steady() < question.until:
            with self._wanted:
                self._question = self._question or question

    def _tell(self, what: Callable[[], None]) -> None:
        self._results.append(what)

    def _begin(self) -> DiskWitness:
        self._take_lock()
        self._disk = disk = SharedDisk(self._path, 2 * layout.BLOCK)
        header = layout.decode_header(disk.read())
        if header is None:
            raise layout.DamagedError(f"it is not prepared; run clpdisknp init {self._path} on one server")
        if header.cluster != self._cluster:
            raise layout.DamagedError(f"it belongs to cluster {header.cluster}, not to {self._cluster}")
        disk.close()
        self._disk = disk = SharedDisk(self._path, layout.length_of(header))
        self._witness = DiskWitness(disk, header, self._me, self._incarnation, self._timeout_s, steady)
        return self._witness

    def _take_lock(self) -> None:
        if self._lock < 0:
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DiskError(f"{self._path}: an earlier process of this agent still waits for it") from None

    def _let_go(self) -> None:
        """The lock is kept: only this process may go on with this disk."""
        self._witness = None
        if self._disk is not None:
            self._disk.close()
            self._disk = None
