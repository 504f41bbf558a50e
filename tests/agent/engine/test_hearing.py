"""What the engine makes of measured silences: its report, and a warning when they come near the timeout."""

from __future__ import annotations

from agent.engine.engine import Engine
from agent.engine.events import Event, Measured, PathChanged, PeerHeard, Started, Starved, Tick
from agent.sim.standard import standard
from agent.wire.epoch import NO_EPOCH
from agent.wire.report import GapReport, HealthReport, Note

TIMEOUT_MS = 500.0


def engine() -> Engine:
    made = Engine(standard(2, safe=False, interval_s=0.1, timeout_s=0.5), "server1", 1)
    made.handle(Started(), 100.0)
    made.handle(PeerHeard(server="server2", incarnation=1, epoch=NO_EPOCH, service="online"), 100.1)
    for lan in ("lanhb1", "lanhb2"):
        made.handle(PathChanged(server="server2", heartbeat=lan, ok=True), 100.1)
    return made


def measured(lan1: GapReport, peer: GapReport, **health: GapReport) -> Measured:
    paths = {"server2": {"lanhb1": lan1, "lanhb2": GapReport(worst_ms=100.0, worst_at=110.0)}}
    return Measured(paths=paths, peers={"server2": peer}, health=HealthReport(**health))


def warnings(made: Engine, event: Event, now: float) -> list[Note]:
    known = len(made.notes)
    made.handle(event, now)
    return [note for note in made.notes[known:] if note.rule == "gap-warning"]


CALM = GapReport(worst_ms=120.0, worst_at=110.0)


def test_figures_stand_in_the_report_and_the_state_of_the_path_stays() -> None:
    made = engine()
    late = GapReport(p50_ms=0.1, worst_ms=3.0, worst_at=105.0)
    made.handle(PathChanged(server="server2", heartbeat="lanhb2", ok=False, worst_gap_ms=510.0), 109.0)
    made.handle(measured(CALM, CALM, late=late), 120.0)
    made.handle(PathChanged(server="server2", heartbeat="lanhb1", ok=False, worst_gap_ms=520.0), 121.0)

    paths = made.report.paths["server2"]
    assert [(path.state, path.worst_gap_ms) for path in paths.values()] == [("Error", 520.0), ("Error", 510.0)]
    assert [path.gaps.worst_ms for path in paths.values() if path.gaps] == [120.0, 100.0]
    assert made.report.hears == {"server2": CALM}
    assert made.report.health == HealthReport(late=late)


def test_figures_that_did_not_change_are_not_reported_again() -> None:
    made = engine()
    made.handle(measured(CALM, CALM), 120.0)
    made.handle(Tick(), 150.0)
    heard = made.report.heard
    made.handle(measured(CALM, CALM), 150.0)
    made.handle(Tick(), 151.0)
    assert made.report.heard == heard
    made.handle(measured(CALM, GapReport(worst_ms=121.0, worst_at=150.0)), 151.0)
    made.handle(Tick(), 151.2)
    assert made.report.heard > heard


def test_silence_near_the_timeout_is_told_once_an_hour_for_each_path() -> None:
    made = engine()
    near = GapReport(worst_ms=350.0, worst_at=119.0)
    nearer = GapReport(worst_ms=450.0, worst_at=130.0)

    assert warnings(made, measured(GapReport(worst_ms=349.9, worst_at=118.0), CALM), 119.0) == []
    (first,) = warnings(made, measured(near, CALM), 120.0)
    assert (first.module, first.event, first.kind, first.name) == ("cp", 90, "heartbeat", "lanhb1")
    assert first.text == "Heartbeat lanhb1 from server server2 was silent for 350 ms, 70 % of the timeout."
    assert warnings(made, measured(nearer, CALM), 140.0) == []
    assert [note.params[-1] for note in warnings(made, measured(nearer, CALM), 3720.0)] == ["450 ms, 90 %"]
    assert warnings(made, measured(nearer, CALM), 9000.0) == []  # The same silence is no news.


def test_silence_of_a_peer_on_all_paths_is_told_apart() -> None:
    made = engine()
    near = GapReport(worst_ms=400.0, worst_at=119.0)

    told = warnings(made, measured(near, near), 120.0)
    assert [(note.event, note.kind, note.name) for note in told] == [
        (91, "server", "server2"),
        (90, "heartbeat", "lanhb1"),
    ]


def test_starved_server_says_that_it_suspects_itself_and_why() -> None:
    made = engine()
    made.handle(Starved(late_s=0.3, extra_s=0.3), 120.0)
    made.handle(Starved(late_s=0.2, extra_s=0.4), 125.0)

    notes = [note for note in made.notes if note.rule == "self-suspicion"]
    assert [note.text for note in notes] == [
        "Server server1 was starved for 0.30 s: it suspects itself first, and waits up to 0.30 s longer for the others."
    ]
    assert made.report.health.suspects
    assert made.deadlines()["self-suspicion"] == 180.0
    made.handle(Tick(), 180.0)
    made.handle(Tick(), 180.2)
    assert not made.report.health.suspects
