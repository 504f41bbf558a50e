"""pgbench: PostgreSQL on a mirror disk through failovers of several kinds; no committed transaction may be lost.

Three clients work all the time at the floating address, and connect again by themselves. One writes a ledger: each
commit that was acknowledged is noted; two run pgbench. After each fault the service must answer on the other server,
the mirror become equal by itself, every noted commit be read in the database; at the end pgbench's own sums must agree.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tests.bench.goals import Goal, Outcome, median
from tests.bench.mirror_faults import keep
from tests.e2e.mirror import HEAL_S, MirrorStage
from tests.e2e.mirror_rounds import Rounds
from tests.e2e.stage import GROUP
from webmanager.demo.bed import Bed
from webmanager.demo.configuration import Mirror
from webmanager.demo.database import PORT, SIZE_MIB, SOCKETS, USER, programs
from webmanager.demo.machine import BedError, Job, until

Say = Callable[[str], None]
# Each takes the service to the other server: it loses its power, its cables, all its processes stop, it is ordered.
KINDS = ("power", "move", "isolate", "hang")
FAILOVERS, QUICK_FAILOVERS = 20, 4
CLIENTS = 2  # of pgbench
QUERY_S = 60.0
# Commits a number and only then says so; who was asked and did not answer may or may not have committed it.
LEDGER = """
import sys, time
import psycopg
address, said = sys.argv[1], open(sys.argv[2], "ab", buffering=0)
number, database = 0, None
while True:
    try:
        if database is None:
            database = psycopg.connect(address, autocommit=True)
            database.execute("CREATE TABLE IF NOT EXISTS ledger (number bigint PRIMARY KEY)")
        number += 1
        database.execute("INSERT INTO ledger VALUES (%s)", (number,))
        said.write(b"%07d\\n" % number)
        time.sleep(0.005)
    except psycopg.Error:
        database = None
        time.sleep(0.1)
"""
# A connection that breaks ends a run of pgbench; it tells how many transactions were committed until then.
RUN_S = 5
LOOP = """#!/bin/sh
while [ ! -e "$2.stop" ]; do
    {pgbench} -n -c {clients} -T {seconds} "$1" >>"$2" 2>>"$2.errors"
    sleep 0.2
done
"""


class DatabaseStage(MirrorStage):
    """The ledger is a table, and what was acknowledged is known to a client outside of all servers."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(bed, mirror=Mirror(size_mib=SIZE_MIB), database=True)
        self.work = bed.switch.path("/run/bed")
        self.jobs: list[Job] = []

    def install(self) -> None:
        self.cluster.install()

    @property
    def reached(self) -> str:
        """A server that dies tells nobody: the clients ask, and give up after some seconds."""
        return (
            f"host={self.address} port={PORT} user={USER} dbname=postgres connect_timeout=3 tcp_user_timeout=3000 "
            "keepalives_idle=1 keepalives_interval=1 keepalives_count=3"
        )

    def begin(self) -> None:
        until(lambda: bool(self.sql("SELECT 1")), "PostgreSQL answers", HEAL_S, 0.1)
        client, bench = self.bed.client, str(programs() / "pgbench")
        client.run([bench, "-i", "-q", "-s", "1", self.reached], timeout_s=QUERY_S)
        ledger = self._file("ledger.py", LEDGER)
        loop = self._file("pgbench.sh", LOOP.format(pgbench=bench, clients=CLIENTS, seconds=RUN_S))
        python = [sys.executable, "-I"]
        self.jobs = [
            client.spawn([*python, ledger, self.reached, "/run/bed/ledger.said"]),
            client.spawn(["/bin/sh", loop, self.reached, "/run/bed/pgbench.said"]),
        ]

    def _file(self, name: str, content: str) -> str:
        (self.work / name).write_text(content)
        return f"/run/bed/{name}"

    def end(self) -> None:
        """pgbench is let go on to the end of its run, or it would not tell what it has done."""
        (self.work / "pgbench.said.stop").touch()
        ledger, loop = self.jobs
        ledger.kill()
        loop.wait(QUERY_S)

    # ---- what Rounds asks ----
    def sql(self, query: str, server: str = "") -> str:
        """Over the floating address, or on a server; "" while nobody answers."""
        words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", query]
        words += ["-h", SOCKETS, "-U", USER, "-p", str(PORT)] if server else [self.reached]
        with contextlib.suppress(BedError):
            machine = self.bed[server] if server else self.bed.client
            return machine.run(words, timeout_s=QUERY_S, check=False).out.strip()
        return ""

    def said(self, server: str) -> list[int]:
        """Known outside of the servers, whichever is asked for."""
        return self._numbers(self.work / "ledger.said")

    def ledger(self, server: str) -> list[int]:
        return [int(line) for line in self.sql("SELECT number FROM ledger", server).splitlines()]

    # ---- pgbench ----
    def committed(self) -> int:
        """As its runs that have ended told."""
        text = (self.work / "pgbench.said").read_text()
        head = "number of transactions actually processed:"
        return sum(int(line.removeprefix(head).split("/")[0]) for line in text.splitlines() if line.startswith(head))

    def runs(self) -> int:
        return (self.work / "pgbench.said").read_text().count("transaction type:")

    def sums(self) -> list[int]:
        """Of accounts, tellers, branches, history: the same in whatever is consistent; and rows of the history."""
        query = (
            "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), "
            "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history), "
            "(SELECT count(*) FROM pgbench_history)"
        )
        return [int(word) for word in self.sql(query, self.active_one()).split("|")]

    def active_one(self) -> str:
        return next(s for s in self.bed.servers if self.side(s).get("active"))


class Failovers(Rounds):
    """Each takes the service from the server where it is to the other one."""

    def __init__(self, stage: DatabaseStage, seed: int) -> None:
        super().__init__(stage, seed)
        self.stage = stage
        self.outages: list[float] = []
        self.heal_s: list[float] = []

    def once(self, kind: str) -> None:
        before = self.active
        self.stage.writes(before)
        start = time.monotonic()
        self.story.append(f"{kind} {before}")
        getattr(self, f"_{kind}")(before, before)
        other = self.other(before)
        if self.active != other:
            raise BedError(f"{GROUP} is not on {other} after {kind} of {before}")
        self.outages.append(time.monotonic() - start)
        self.mend()
        start = time.monotonic()
        self.stage.equal()
        self.heal_s.append(time.monotonic() - start)
        self.well()


def run(say: Say, *, quick: bool = False) -> Outcome:
    programs()
    count = QUICK_FAILOVERS if quick else FAILOVERS
    outcome = Outcome("pgbench: PostgreSQL on a mirror disk through failovers", ("", "found"))
    held: Counter[str] = Counter()
    failed: list[str] = []
    with _stage() as stage:
        rounds = Failovers(stage, 1)
        for number in range(1, count + 1):
            kind = KINDS[number % len(KINDS)]
            try:
                rounds.once(kind)
            except (BedError, AssertionError) as error:
                failed.append(f"failover {number}, {kind}: {error}; logs in {keep(stage, rounds, f'pgbench-{number}')}")
                say(failed[-1])
                break
            held[kind] += 1
            say(f"failover {number}, {kind}: held; commits again after {rounds.outages[-1]:.1f} s, GREEN after "
                f"{rounds.heal_s[-1]:.1f} s; {len(stage.said(''))} commits acknowledged")  # fmt: skip
        _judge(outcome, stage, rounds, held, failed)
    outcome.goals.append(Goal("failovers that did not hold", count - held.total(), 0, "none"))
    outcome.notes += failed
    return outcome


@contextlib.contextmanager
def _stage() -> Iterator[DatabaseStage]:
    with Bed(servers=2) as bed, DatabaseStage(bed) as stage:
        stage.begin()
        yield stage


def _judge(outcome: Outcome, stage: DatabaseStage, rounds: Failovers, held: Counter[str], failed: list[str]) -> None:
    """After the clients have ended."""
    stage.end()
    said, found = set(stage.said("")), set(stage.ledger(stage.active_one()))
    accounts, tellers, branches, history, rows = stage.sums()
    committed, runs = stage.committed(), stage.runs()
    outcome.rows = [
        *([f"failovers by {kind}", str(held[kind])] for kind in KINDS),
        ["commits of the ledger acknowledged", str(len(said))],
        ["transactions of pgbench acknowledged", str(committed)],
        ["rows of its history", str(rows)],
        ["commits again after, median s", f"{median(rounds.outages):.1f}" if rounds.outages else "-"],
        ["longest s", f"{max(rounds.outages):.1f}" if rounds.outages else "-"],
        ["GREEN again by itself after, median s", f"{median(rounds.heal_s):.1f}" if rounds.heal_s else "-"],
        ["longest s", f"{max(rounds.heal_s):.1f}" if rounds.heal_s else "-"],
    ]
    sums = {accounts, tellers, branches, history}
    outcome.goals += [
        Goal("acknowledged commits that are not there", len(said - found), 0, "none"),
        Goal("transactions of pgbench that are not there", max(0, committed - rows), 0, "none"),
        # Each client of a run that broke may have had one on its way.
        Goal(
            "its history beyond that and those on their way", max(0, rows - committed - CLIENTS * (runs + 1)), 0, "none"
        ),
        Goal("sums of pgbench that disagree", len(sums) - 1, 0, "none"),
    ]
