"""Who is told what of a server's report, when, and how often."""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from agent.clpconf.model import Cluster, PartitionResolver
from agent.engine.effects import Send
from agent.engine.engine import Engine
from agent.engine.events import PathChanged, PeerHeard, Received, ResolverState, Started, Tick, WatchdogState
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import HearingPush, Message, ReportAck, ReportPush
from agent.wire.report import PathReport, Report

NORMAL = {"lanhb1": PathReport(state="Normal")}
ARMED = WatchdogState(state="armed", detail="a test")


def at_rest(cluster: Cluster | None = None) -> tuple[Engine, float]:
    """server2 of three, of which server1 coordinates; everybody has its report."""
    world = World(cluster or standard(3, safe=False), 1, DEFAULTS)
    world.run_until(30)
    return world.machines["server2"].engine, world.now


def sent(engine: Engine, event: object, now: float, kind: type[Message]) -> dict[str, Message]:
    effects = engine.handle(event, now)  # type: ignore[arg-type]
    return {e.to: e.message for e in effects if isinstance(e, Send) and isinstance(e.message, kind)}


def test_who_decides_is_told_at_once_and_the_others_in_a_moment() -> None:
    engine, now = at_rest()

    assert list(sent(engine, ARMED, now, ReportPush)) == ["server1"]
    assert engine.next_deadline() <= now + 0.1
    later = sent(engine, Tick(), now + 0.1, ReportPush)
    assert list(later) == ["server3"]
    assert later["server3"].report.watchdog == "armed"  # type: ignore[union-attr]


def test_a_resolver_concerns_everybody_at_once() -> None:
    ping = PartitionResolver(name="pingnp1", type="pingnp", priority=0, device=0)
    engine, now = at_rest(replace(standard(3, safe=False), resolvers=(ping,)))

    told = sent(engine, ResolverState(name="pingnp1", ok=False), now, ReportPush)

    assert sorted(told) == ["server1", "server3"]


def test_what_is_heard_is_gathered_and_told_as_changes() -> None:
    engine, now = at_rest()
    number = engine.report.heard

    for server in ("server1", "server3"):
        lost = PathChanged(server=server, heartbeat="lanhb1", ok=False, worst_gap_ms=1000.0)
        assert sent(engine, lost, now, ReportPush | HearingPush) == {}  # type: ignore[arg-type]
    told = sent(engine, Tick(), now + 0.1, HearingPush)
    assert sorted(told) == ["server1", "server3"]
    first = told["server1"]
    assert isinstance(first, HearingPush)
    assert (first.since, first.number) == (number, engine.report.heard)
    assert first.paths["server3"]["lanhb1"].state == "Error"
    assert told["server3"] is first  # One object: the shell encodes it once.

    for peer in told:
        ack = ReportAck(incarnation=1, seq=engine.report.seq, heard=first.number)
        engine.handle(Received(sender=peer, message=ack), now + 0.2)
    back = PathChanged(server="server1", heartbeat="lanhb1", ok=True, worst_gap_ms=0.0)
    engine.handle(back, now + 1)
    second = sent(engine, Tick(), now + 1.1, HearingPush)["server3"]
    assert isinstance(second, HearingPush)
    assert list(second.paths) == ["server1"]
    assert sent(engine, Tick(), now + 1.15, ReportPush) == {}


def test_report_that_says_nothing_new_is_not_told() -> None:
    engine, now = at_rest()
    engine.handle(ARMED, now)
    engine.handle(Tick(), now + 0.1)
    for peer in ("server1", "server3"):
        ack = ReportAck(incarnation=1, seq=engine.report.seq, heard=engine.report.heard)
        engine.handle(Received(sender=peer, message=ack), now + 0.15)
    seq = engine.report.seq

    engine.core.touch()
    assert sent(engine, Tick(), now + 1, ReportPush) == {}
    assert engine.report.seq == seq


def test_what_is_not_acknowledged_is_repeated() -> None:
    engine, now = at_rest()
    engine.handle(ARMED, now)

    told, at = [now], now
    while len(told) < 5:
        at = engine.next_deadline()
        if "server1" in sent(engine, Tick(), at, ReportPush):
            told.append(at)

    pauses = [round(b - a, 3) for a, b in pairwise(told)]
    assert pauses == [0.2, 0.2, 0.2, 0.2]


def test_who_lacks_what_came_before_says_so_and_gets_it_all() -> None:
    engine = Engine(standard(2, safe=False), "server1", 1, {}, DEFAULTS)
    engine.handle(Started(), 100.0)
    engine.handle(PeerHeard(server="server2", incarnation=3, epoch=NO_EPOCH, service="online"), 100.0)

    def answer(message: Message, now: float) -> Message:
        return sent(engine, Received(sender="server2", message=message), now, ReportAck)["server2"]

    later = HearingPush(incarnation=3, number=7, since=5, paths={"server1": NORMAL})
    assert answer(later, 100.1) == ReportAck(incarnation=3, seq=-1, heard=0)
    report = Report(server="server2", incarnation=3, seq=8)
    assert answer(ReportPush(report=report), 100.2) == ReportAck(incarnation=3, seq=8, heard=0)
    whole = HearingPush(incarnation=3, number=7, paths={"server1": NORMAL})
    assert answer(whole, 100.3) == ReportAck(incarnation=3, seq=8, heard=7)
    assert engine.reports["server2"][0] == replace(report, paths={"server1": NORMAL}, heard=7)

    newer = replace(report, seq=9, service="leaving")
    answer(ReportPush(report=newer), 100.4)
    assert engine.reports["server2"][0].paths == {"server1": NORMAL}
    reborn = replace(report, incarnation=4, seq=1)
    answer(ReportPush(report=reborn), 100.5)
    assert engine.reports["server2"][0] == reborn  # What it heard in its earlier life is no more.


def test_whoever_says_to_have_less_is_told_again() -> None:
    engine, now = at_rest()
    lost = PathChanged(server="server3", heartbeat="lanhb1", ok=False, worst_gap_ms=1000.0)
    engine.handle(lost, now)
    engine.handle(Tick(), now + 0.1)
    forgot = ReportAck(incarnation=1, seq=engine.report.seq, heard=0)
    engine.handle(Received(sender="server1", message=forgot), now + 0.12)

    again = sent(engine, Tick(), now + 0.5, HearingPush)["server1"]

    assert isinstance(again, HearingPush)
    assert (again.since, sorted(again.paths)) == (0, ["server1", "server3"])
