"""false: takeovers without a reason, counted by what the servers' kernels do with the addresses; beside the peers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from tests.bench.goals import Goal, Outcome
from tests.bench.holders import Moves, Watch
from tests.bench.loads import LOADS, Load, impossible, mount_states
from tests.bench.rivals import (
    PRIVATE,
    VIP_HOST,
    Keepalived,
    Openclp,
    Pacemaker,
    Rival,
    disk,
    raise_cluster,
    why_without_keepalived,
    why_without_pacemaker,
)
from webmanager.demo.bed import Bed
from webmanager.demo.cluster import FIRST_PORT
from webmanager.demo.configuration import GroupPlan, Plan
from webmanager.demo.machine import BedError

SECONDS, QUICK_S = 60.0, 6.0
PACES = ((100, 500), (20, 100))
FORKERS = 10
PEERS = ("keepalived", "pacemaker")
Say = Callable[[str], None]

# Ends after about a second, whereupon its monitor has the agent start it again.
FORKING = "#!/bin/sh\nsleep 0.9\n"


def run(say: Say, *, quick: bool, only: str = "") -> Outcome:
    """`only`: loads with this in their names."""
    seconds = QUICK_S if quick else SECONDS
    out = Outcome(
        f"false: takeovers without a reason in {seconds:.0f} s of a load; addresses taken, addresses given up, seconds "
        "on two servers",
        (
            "timeout",
            "load",
            "openclp",
            "lost",
            "both s",
            *(word for peer in PEERS for word in (peer, "lost", "both s")),
        ),
    )
    without = {"keepalived": why_without_keepalived(), "pacemaker": why_without_pacemaker()}
    for pace in PACES:
        for name in LOADS:
            if only in name:
                say(f"{pace[1]} ms, {name} ...")
                _row(out, pace, name, seconds, [peer for peer in PEERS if not without[peer]])
                say(" ".join(out.rows[-1]) if out.rows else "")
    out.notes += [f"{why}." for why in without.values() if why]
    return out


def _row(out: Outcome, pace: tuple[int, int], name: str, seconds: float, peers: list[str]) -> None:
    load, what = LOADS[name], f"{pace[1]} ms, {name}"
    if why_not := impossible(load):
        out.notes.append(f"{what} is skipped: {why_not}.")
        out.goals.append(Goal(f"openclp, {what}", None, 0, "goal"))
        return
    try:
        with Bed(private=PRIVATE) as bed:  # A load that failed may have left anything.
            ours, theirs = _cell(bed, load, pace, seconds, peers)
    except BedError as error:
        if "pacemaker" in peers:  # The most sensitive one must not hide what the others do.
            out.notes.append(f"{what}: {error}; again without pacemaker.")
            _row(out, pace, name, seconds, [peer for peer in peers if peer != "pacemaker"])
            return
        out.notes.append(f"{what} failed: {error}.")
        out.goals.append(Goal(f"openclp, {what}", float("inf"), 0, "goal"))
        return
    cells = [word for peer in PEERS for word in _words(theirs.get(peer))]
    out.rows.append([f"{pace[1]} ms", name, *_words(ours), *cells])
    # Also an address that was only given up was interrupted without a reason. One takeover too few is as wrong.
    wrong = max(abs(ours.taken - load.moves), abs(ours.lost - load.moves))
    out.goals.append(Goal(f"openclp, {what}", wrong, 0, f"{load.moves} wanted"))
    out.goals.append(Goal(f"openclp, {what}: on two servers", ours.both_s, 0, "goal", 1.0, "s"))


def _words(found: Moves | None) -> list[str]:
    return [str(found.taken), str(found.lost), f"{found.both_s:.2f}"] if found else ["-", "-", "-"]


def _cell(
    bed: Bed, load: Load, pace: tuple[int, int], seconds: float, peers: list[str]
) -> tuple[Moves, dict[str, Moves]]:
    ours = _ours(bed, load, pace)
    theirs: dict[str, Keepalived | Pacemaker] = {}
    if "keepalived" in peers:
        theirs["keepalived"] = Keepalived(bed, *pace)
    if "pacemaker" in peers:
        theirs["pacemaker"] = _Pacemaker(bed, pace[1])
    rivals: list[Rival] = [ours, *theirs.values()]
    raise_cluster(bed, *rivals)
    addresses = [group.address for group in ours.plan.groups]
    with contextlib.closing(Watch(bed, [*addresses, *(rival.address for rival in theirs.values())])) as watch:
        end = load.start(bed, seconds)
        try:
            time.sleep(seconds)
            mine = watch.moves(addresses)
            other = {peer: watch.moves([rival.address]) for peer, rival in theirs.items()}
        finally:
            end()
    if wrong := ours.missing(seconds) if isinstance(ours, _Forking) else "":
        raise BedError(wrong)
    if mine == (0, 0, 0.0) and (wrong := _not_there(ours)):
        raise BedError(f"after the time with load {wrong}")
    return mine, other


def _ours(bed: Bed, load: Load, pace: tuple[int, int]) -> Openclp:
    # Pings to the client are no heartbeats, and lost ones are a reason to move.
    if load.forking:
        return _Forking(bed, pace)
    settings = {"resolvers": ("majority", "witness")} if load.arbiter else {}
    kind = _OnADisk if load.stuck else Openclp
    return kind(bed, *pace, groups=2, services=True, ping="", **settings)


class _OnADisk(Openclp):
    def boot(self, server: str) -> None:
        mount_states(self.bed, server)
        super().boot(server)


class _Pacemaker(Pacemaker):
    """Beside the others: an address and a port of its own."""

    def __init__(self, bed: Bed, token_ms: int) -> None:
        super().__init__(bed, token_ms)
        self.address, self.port = bed.address(VIP_HOST + 1, self.lan), FIRST_PORT + 101


def _not_there(ours: Openclp) -> str:
    """A cluster that is dead makes no mistakes either."""
    missing = [group.name for group in ours.plan.groups if not ours.cluster.owners(group.address)]
    return f"nobody has the address of {', '.join(missing)}" if missing else ""


class _Forking(Openclp):
    """Two groups as ever and ten more, of which each has the agent fork once a second, all on the first server."""

    def __init__(self, bed: Bed, pace: tuple[int, int]) -> None:
        super().__init__(bed, *pace, groups=2 + FORKERS, services=True, ping="")
        plan = self.plan
        groups = tuple(
            group if number < 2 else GroupPlan(group.name, group.address, bed.servers, group.port)
            for number, group in enumerate(plan.groups)
        )
        self.plan = self.cluster.plan = Plan(
            plan.addresses, groups, plan.interval_ms, plan.timeout_ms, plan.ping, startup_wait_s=plan.startup_wait_s
        )

    def install(self) -> None:
        super().install()
        for server in self.bed.servers:
            etc = disk(self.bed, server) / "etc"
            configuration = etc / "clp.conf"
            text = configuration.read_bytes().replace(b"<reconfirmation>1<", b"<reconfirmation>0<")
            # However often it ends, it is only started again.
            configuration.write_bytes(text.replace(b"<restart>1<", b"<restart>9999<"))
            for number, group in enumerate(self.plan.groups[2:], 3):
                (etc / "scripts" / group.name / f"exec{number}" / "start.sh").write_text(FORKING)

    def unsettled(self) -> str:
        """The forking groups are hardly ever Online; it is enough that they run."""
        status = self.cluster.status()
        wrong = [name for name, server in status["servers"].items() if server["status"] != "Online"]
        wrong += [name for name, group in status["groups"].items() if not group["active_on"]]
        return f"{', '.join(wrong)} not Online" if wrong else ""

    def missing(self, seconds: float) -> str:
        """Not empty when the load was less than it should be."""
        log = (disk(self.bed, self.bed.servers[0]) / "log" / "agent.log").read_text()
        forks = log.count(" is restarted because monitor ")
        return f"the forking groups were started only {forks} times" if forks < seconds * FORKERS / 2 else ""
