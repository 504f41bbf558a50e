"""From a status to samples, their frames, and what of them is kept for how long."""

from __future__ import annotations

from typing import Any

import pytest

from webmanager.measures import keeping, samples
from webmanager.measures.keeping import Keeper
from webmanager.measures.samples import COARSE_S, FINE_S, MANY_S, Collector

FIGURES = {"lately": [1.0, 2.0, 3.0], "timeouts": 5, "failures": 1}


def status(responses: Any = FIGURES, state: str = "Normal", paths: tuple[str, ...] = ("Normal", "Normal")) -> Any:
    def heartbeat(word: str, lately_ms: float) -> dict[str, Any]:
        gaps = {"lately_ms": lately_ms}
        return {"type": "lanhb", "peers": {"server2": {"status": word, "gaps": gaps}}}

    beats = {"lanhb1": heartbeat(paths[0], 200.0), "lanhb2": heartbeat(paths[1], 300.0)}
    server = {"heartbeats": beats, "hears": {"server2": {"lately_ms": 190.0}}}
    monitor = {"servers": {"server1": {"status": state, "responses": responses}}}
    return {"monitors": {"genw1": monitor}, "servers": {"server1": server}}


def test_series_are_monitors_paths_and_the_server_over_all_paths() -> None:
    assert dict(samples.series(status())) == {
        ("monitor", "genw1", "server1"): (1.0, 2.0, 3.0, 6),
        ("heartbeat", "lanhb1", "server1"): (200.0, 200.0, 200.0, 0),
        ("heartbeat", "lanhb2", "server1"): (300.0, 300.0, 300.0, 0),
        ("server", "server1", "server1"): (190.0, 190.0, 190.0, 0),
    }


def test_what_is_not_known_now_has_no_sample() -> None:
    assert "monitor" not in {kind for kind, _, _ in dict(samples.series(status(responses=None)))}
    assert "monitor" not in {kind for kind, _, _ in dict(samples.series(status(state="Offline")))}
    failing = dict(samples.series(status(responses={**FIGURES, "lately": None}, state="Error")))
    assert failing["monitor", "genw1", "server1"] == (None, None, None, 6)
    cut = dict(samples.series(status(paths=("Error", "Normal"))))
    assert cut["heartbeat", "lanhb1", "server1"] == (None, None, None, 1)
    assert cut["server", "server1", "server1"][3] == 0
    lost = dict(samples.series(status(paths=("Error", "Error"))))
    assert lost["server", "server1", "server1"] == (None, None, None, 1)


def test_collector_counts_failures_that_are_new() -> None:
    collector = Collector()
    collector.look(status())
    collector.look(status(responses={"lately": [0.5, 2.5, 9.0], "timeouts": 7, "failures": 1}))

    assert collector.close()["monitor", "genw1", "server1"] == (0.5, 2.25, 9.0, 2)
    assert collector.close() == {}
    collector.look(status(responses={"lately": [1.0, 1.0, 1.0], "timeouts": 0, "failures": 0}))  # the agent began anew
    assert collector.close()["monitor", "genw1", "server1"][3] == 0


def test_frames_give_back_what_was_packed_by_shard() -> None:
    found = {("monitor", f"genw{n}", "server1"): (1.0, float(n), 99.0, n) for n in range(300)}

    packed = samples.packed(found)

    assert 1 < len(packed) <= samples.SHARDS
    frame = samples.unpacked(packed[samples.shard_of("monitor", "genw7")])
    assert frame["monitor"]["genw7"]["server1"] == (1.0, 7.0, 99.0, 7)
    assert sum(len(samples.unpacked(data)["monitor"]) for data in packed.values()) == 300


def test_condensed_frames_keep_the_extremes() -> None:
    key = ("monitor", "genw1", "server1")
    frames = [next(iter(samples.packed({key: sample}).values())) for sample in (
        (1.0, 2.0, 3.0, 1), (None, None, None, 2), (0.5, 4.0, 50.0, 0),
    )]  # fmt: skip

    assert samples.unpacked(samples.condensed(frames)) == {"monitor": {"genw1": {"server1": (0.5, 3.0, 50.0, 3)}}}


def test_damaged_frame_is_a_gap_and_no_error() -> None:
    good = next(iter(samples.packed({("monitor", "genw1", "server1"): (1.0, 2.0, 3.0, 0)}).values()))

    assert samples.unpacked(b"rubbish") == samples.unpacked(good[:-3]) == {}
    assert samples.unpacked(samples.condensed([good, b"rubbish"])) == samples.unpacked(good)
    assert samples.condensed([b"rubbish"]) == b""


def test_keeper_gives_each_minute_and_nothing_of_a_cluster_that_is_silent() -> None:
    keeper = Keeper()
    due = []
    for second in range(0, 200, 15):
        due += keeper.look({"demo": status(), "empty": None}, 1_000_000_020 + second)

    assert [(cluster, span_s, at) for cluster, span_s, at, _ in due] == [
        ("demo", FINE_S, 1_000_000_020), ("demo", FINE_S, 1_000_000_080), ("demo", FINE_S, 1_000_000_140),
    ]  # fmt: skip


def test_many_series_have_longer_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MANY", 2)
    keeper = Keeper()
    due = []
    for second in range(0, 700, 15):
        due += keeper.look({"demo": status()}, 1_000_000_200 + second)

    assert [(span_s, at) for _, span_s, at, _ in due] == [(MANY_S, 1_000_000_200), (MANY_S, 1_000_000_500)]


KEY = ("monitor", "genw1", "server1")
NOW = 1_000_000_800


@pytest.fixture
def cluster(db: Any) -> Any:
    from webmanager.models import Cluster

    return Cluster.objects.create(name="demo")


def frames(**of: Any) -> list[tuple[int, int]]:
    from webmanager.measures.models import Frame

    return list(Frame.objects.filter(**of).order_by("span_s", "at").values_list("span_s", "at"))


@pytest.mark.slow
def test_the_first_of_two_processes_wins_and_strangers_write_nothing(cluster: Any) -> None:
    from webmanager.measures.selectors import history

    keeping.store("demo", 60, NOW - 60, samples.packed({KEY: (1.0, 2.0, 3.0, 0)}))
    keeping.store("demo", 60, NOW - 60, samples.packed({KEY: (7.0, 8.0, 9.0, 0)}))
    keeping.store("unknown", 60, NOW - 60, samples.packed({KEY: (7.0, 8.0, 9.0, 0)}))

    found = history(cluster=cluster, kind="monitor", name="genw1", span="day", now=NOW)
    assert [point.sample for point in found["server1"]] == [(1.0, 2.0, 3.0, 0)]
    assert history(cluster=cluster, kind="monitor", name="genw2", span="day", now=NOW) == {}


@pytest.mark.slow
def test_coarse_spans_are_made_once_from_complete_quarters_also_late(cluster: Any) -> None:
    from webmanager.measures.selectors import history

    quarter = NOW - NOW % COARSE_S - 3 * COARSE_S
    for minute in range(16):
        sample = (1.0, 2.0, 3.0 + minute, 1)
        keeping.store("demo", 60, quarter + 60 * minute, samples.packed({KEY: sample}))

    assert keeping.condense(quarter + COARSE_S + 30) == 1  # The second one is not over.
    assert keeping.condense(quarter + 3 * COARSE_S) == 1
    assert keeping.condense(quarter + 3 * COARSE_S) == 0

    found = history(cluster=cluster, kind="monitor", name="genw1", span="month", now=quarter + 2 * COARSE_S)
    assert [(point.at, point.sample) for point in found["server1"]] == [
        (quarter, (1.0, 2.0, 17.0, 15)), (quarter + COARSE_S, (1.0, 2.0, 18.0, 1)),
    ]  # fmt: skip


@pytest.mark.slow
def test_what_is_old_goes(cluster: Any) -> None:
    for span_s, age_s in ((60, 100), (60, 27 * 3600), (900, 27 * 3600), (900, 31 * 86400)):
        keeping.store("demo", span_s, NOW - age_s, samples.packed({KEY: (1.0, 1.0, 1.0, 0)}))

    keeping.prune(NOW)

    assert frames() == [(60, NOW - 100), (900, NOW - 27 * 3600)]


@pytest.mark.slow
def test_history_reads_one_shard_with_one_query(cluster: Any, django_assert_num_queries: Any) -> None:
    from webmanager.measures.selectors import history

    for minute in range(5):
        keeping.store("demo", 60, NOW - 60 * minute, samples.packed({("monitor", f"genw{n}", "s1"): (1.0, 1.0, 1.0, 0)
                                                                    for n in range(200)}))  # fmt: skip
    with django_assert_num_queries(1):
        found = history(cluster=cluster, kind="monitor", name="genw5", span="day", now=NOW)
    assert len(found["s1"]) == 5
