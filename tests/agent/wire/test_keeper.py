"""The status that is kept: always what a fresh one would be, with only what changed made anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.clpconf import model
from agent.wire.drill import DrillReport
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.mirror import MirrorState
from agent.wire.peer import GroupRecord, Quarantine, Table
from agent.wire.report import (
    FenceReport,
    GapReport,
    GroupReport,
    HealthReport,
    MonitorReport,
    PathReport,
    Report,
    ResolverReport,
    ResourceReport,
    ResponseReport,
    VoteReport,
)
from agent.wire.status import Source, Status, StatusKeeper, build_status, diff
from agent.wire.switch import Applying, Switch

STALE_S = 3.0
NAMES = ("server1", "server2", "server3")
GROUPS = ("failover1", "failover2")
STEP = model.Activation(timeout_s=60, retry=0)
STATES: Any = ("Offline", "Online Pending", "Online", "Offline Pending", "Online Failure", "Offline Failure")

CLUSTER = model.Cluster(
    name="demo",
    servers=tuple(model.Server(name=name, priority=n) for n, name in enumerate(NAMES)),
    heartbeats=(model.Heartbeat(name="lanhb1", type="lanhb", priority=0, device=0),),
    resolvers=(
        model.PartitionResolver(name="majonp1", type="majonp", priority=0, device=0),
        model.PartitionResolver(name="pingnp1", type="pingnp", priority=1, device=10200),
    ),
    fences=(model.FenceDevice(name="bmc1", agent="fence_ipmilan"),),
    groups=tuple(model.Group(name=name, resources=(f"exec{name[-1]}",), policy=NAMES) for name in GROUPS),
    resources=tuple(
        model.Resource(name=name, type=type_, activation=STEP, deactivation=STEP)
        for name, type_ in (("exec1", "exec"), ("exec2", "exec"), ("alone", "exec"), ("md1", "md"))
    ),
    monitors=(
        model.Monitor(name="pidw1", type="pidw", target="exec1", timing="active"),
        model.Monitor(name="ipw1", type="ipw", servers=NAMES[:2]),
    ),
)  # fmt: skip


def gaps(dice: random.Random) -> GapReport:
    return GapReport(p50_ms=1.0, p99_ms=2.0, worst_ms=float(dice.randrange(5, 9)), worst_at=3.0, since=1.0)


def several(names: tuple[str, ...], make: Callable[[], Any], dice: random.Random) -> dict[str, Any]:
    return {name: make() for name in names if dice.random() < 0.7}


CONFIGS = ("a" * 16, "b" * 16)


def switch(dice: random.Random) -> Switch:
    return Switch(
        id=f"change{dice.randrange(2)}", to=CONFIGS[1], origin=CONFIGS[0], key="c" * 64, members=NAMES, by="alice",
        why="a test", state=dice.choice(("trying", "confirmed", "returned")),
        reason=dice.choice(("", "Nobody confirmed it.")), confirm_s=dice.choice((0.0, 30.0)),
    )  # fmt: skip


#: Everything that a report can say; a field that is missing here was added without a thought for the keeper.
SPEECH: dict[str, Callable[[random.Random], Any]] = {
    "service": lambda dice: dice.choice(("online", "leaving", "stopped")),
    "promised": lambda dice: Epoch(dice.randrange(4), 0),
    "epoch": lambda dice: dice.choice((NO_EPOCH, Epoch(2, 0), Epoch(3, 1))),
    "members": lambda dice: tuple(name for name in NAMES if dice.random() < 0.8),
    "coordinator": lambda dice: dice.choice(NAMES),
    "suspended": lambda dice: dice.random() < 0.5,
    "table": lambda dice: dice.randrange(3),
    "groups": lambda dice: several(
        GROUPS, lambda: GroupReport(state=dice.choice(STATES), epoch=Epoch(dice.randrange(4), 0), detail="x"), dice
    ),
    "resources": lambda dice: several(
        ("exec1", "exec2", "alone", "unknown"), lambda: ResourceReport(state=dice.choice(STATES)), dice
    ),
    "monitors": lambda dice: several(
        ("pidw1", "ipw1"), lambda: MonitorReport(state=dice.choice(("Offline", "Normal", "Error"))), dice
    ),
    "paths": lambda dice: several(
        NAMES, lambda: {"lanhb1": PathReport(state=dice.choice(("Normal", "Error")), gaps=gaps(dice))}, dice
    ),
    "hears": lambda dice: several(NAMES, lambda: gaps(dice), dice),
    "health": lambda dice: HealthReport(suspects=dice.random() < 0.5, late=gaps(dice)),
    "responses": lambda dice: several(
        ("pidw1", "ipw1"), lambda: ResponseReport(worst_ms=float(dice.randrange(1, 4)), count=30), dice
    ),
    "heard": lambda dice: dice.randrange(9),
    "resolvers": lambda dice: {"pingnp1": dice.random() < 0.5},
    "resolving": lambda dice: {"pingnp1": ResolverReport(since=float(dice.randrange(3)), detail="no answer")},
    "votes": lambda dice: dice.choice((None, VoteReport(voters=NAMES, present=NAMES[: dice.randrange(1, 4)]))),
    "acts": lambda dice: dice.random() < 0.7,
    "lost": lambda dice: tuple(name for name in NAMES if dice.random() < 0.3),
    "detail": lambda dice: dice.choice(("", "It is tired.")),
    "leave_note": lambda dice: dice.choice(("", "server1:1:1")),
    "fences": lambda dice: {"bmc1": FenceReport(at=float(dice.randrange(3)), result=dice.choice(("ok", "failed")))},
    "watchdog": lambda dice: dice.choice(("none", "armed", "released")),
    "watchdog_detail": lambda dice: dice.choice(("", "softdog")),
    "armed": lambda dice: dice.random() < 0.5,
    "config": lambda dice: dice.choice(("", *CONFIGS)),
    "stored": lambda dice: dice.choice(("", *CONFIGS)),
    "switch": lambda dice: dice.choice((None, switch(dice))),
    "frozen": lambda dice: dice.random() < 0.3,
    "mirrors": lambda dice: {"md1": MirrorState(server="server1", peer="server2", dirty=dice.randrange(3))},
    "drill": lambda dice: dice.choice((None, DrillReport(id="d", kind="hang", began=1.0, ends=9.0, what="hang"))),
}


class Words:
    """What the servers say, changed at random, one thing at a time."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.cluster = CLUSTER
        self.reports = {name: Report(server=name, incarnation=1, seq=1) for name in NAMES}
        self.ages = dict.fromkeys(NAMES, 0.1)
        self.via = dict.fromkeys(NAMES, "server1")
        self.table: Table | None = None

    def sources(self) -> dict[str, Source]:
        return {name: (report, self.ages[name], self.via[name]) for name, report in self.reports.items()}

    def step(self) -> None:
        self.ages = {name: age_s + self.dice.random() * 0.1 for name, age_s in self.ages.items()}
        acts = (self._say,) * 8 + (self._say_again, self._order, self._age, self._carry, self._vanish, self._edit)
        self.dice.choice(acts)()

    def _say(self) -> None:
        name, field = self.dice.choice(NAMES), self.dice.choice(list(SPEECH))
        old = self.reports.get(name) or Report(server=name, incarnation=2, seq=1)
        self.reports[name] = msgspec.structs.replace(old, seq=old.seq + 1, **{field: SPEECH[field](self.dice)})

    def _say_again(self) -> None:
        """Equal, but another object."""
        self.reports = {name: msgspec.structs.replace(report) for name, report in self.reports.items()}

    def _order(self) -> None:
        dice = self.dice
        records = several(GROUPS, lambda: GroupRecord(goal=dice.choice(NAMES), held=dice.random() < 0.5), dice)
        quarantine = {NAMES[2]: Quarantine(until=9.0, times=3, window_s=60.0)} if dice.random() < 0.3 else {}
        phase = dice.choice(("stopping", "trying", "confirming"))
        applying = Applying(switch=switch(dice), phase=phase, until=9.0) if dice.random() < 0.3 else None
        self.table = dice.choice((
            None,
            Table(
                epoch=Epoch(3, 0), version=1, groups=records, suspended=dice.random() < 0.2, applying=applying,
                disarmed=dice.random() < 0.2, quarantine=quarantine,
            ),
        ))  # fmt: skip

    def _age(self) -> None:
        self.ages[self.dice.choice(NAMES)] = self.dice.choice((0.1, 60.0))

    def _carry(self) -> None:
        name = self.dice.choice(NAMES)
        self.via[name] = self.dice.choice((name, "server1"))

    def _vanish(self) -> None:
        self.reports.pop(self.dice.choice(NAMES), None)

    def _edit(self) -> None:
        self.cluster = msgspec.structs.replace(
            CLUSTER,
            comment=self.dice.choice(("", "new")),
            groups=CLUSTER.groups[: self.dice.randrange(3)],
            monitors=CLUSTER.monitors[: self.dice.randrange(3)],
        )


def test_speech_knows_every_field_of_a_report() -> None:
    assert set(Report.__struct_fields__) == {"server", "incarnation", "seq", *SPEECH}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_kept_status_is_what_a_fresh_one_would_be(seed: int) -> None:
    words, keeper = Words(random.Random(seed)), StatusKeeper()
    shown: Status = {}
    for _ in range(150):
        words.step()
        changes = keeper.refresh(words.cluster, words.sources(), words.table, STALE_S)
        fresh = build_status(words.cluster, words.sources(), words.table, STALE_S)
        assert keeper.status == fresh
        assert changes == diff(shown, fresh, ages=False)
        shown = fresh


def test_what_was_handed_out_stays_as_it_was() -> None:
    words, keeper = Words(random.Random(1)), StatusKeeper()
    told = []
    for _ in range(60):
        words.step()
        keeper.refresh(words.cluster, words.sources(), words.table, STALE_S)
        told.append((keeper.status, msgspec.json.encode(keeper.status)))
    assert all(msgspec.json.encode(status) == text for status, text in told)


def test_only_what_changed_is_made_anew() -> None:
    words, keeper = Words(random.Random(2)), StatusKeeper()
    keeper.refresh(CLUSTER, words.sources(), None, STALE_S)
    before = keeper.status
    report = words.reports["server2"]
    words.reports["server2"] = msgspec.structs.replace(
        report, seq=2, resources={"exec1": ResourceReport(state="Online")}
    )
    changes = keeper.refresh(CLUSTER, words.sources(), None, STALE_S)
    after = keeper.status
    assert before is not None
    assert after is not None
    assert [change[:2] for change in changes] == [["resources", "exec1"]]
    assert [name for name in ("exec1", "exec2", "alone") if after["resources"][name] is before["resources"][name]] == [
        "exec2", "alone",
    ]  # fmt: skip
    assert after["groups"] is before["groups"]
    assert after["monitors"] is before["monitors"]


def test_remarks_of_the_reader_stand_in_the_cluster_detail() -> None:
    words, keeper = Words(random.Random(3)), StatusKeeper()
    keeper.refresh(CLUSTER, words.sources(), None, STALE_S)
    changes = keeper.refresh(CLUSTER, words.sources(), None, STALE_S, ("The manager is puzzled.",))
    assert [change[:2] for change in changes] == [["cluster", ""]]
    assert keeper.status is not None
    assert keeper.status["cluster"]["detail"] == "The manager is puzzled."
    assert keeper.refresh(CLUSTER, words.sources(), None, STALE_S, ("The manager is puzzled.",)) == []
