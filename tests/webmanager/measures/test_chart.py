"""The geometry of charts: a logarithmic scale, interruptions, thresholds, and a table that says the same."""

from __future__ import annotations

import re

from webmanager.measures.chart import HEIGHT, WIDTH, Chart, Threshold, chart
from webmanager.measures.samples import Point, Sample

NOW = 1_000_000_000


def made(*samples: tuple[int, Sample], span: str = "day") -> Chart:
    points = [Point(NOW - minutes * 60, 60, sample) for minutes, sample in samples]
    return chart("server1", points, [Threshold("timeout", 2000.0, "bad")], span, NOW)


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[0-9.]+", path)]


def test_the_threshold_and_all_points_are_inside() -> None:
    found = made((60, (1.0, 2.0, 30.0, 0)), (59, (1.0, 2.0, 900.0, 0)))

    assert found.top < found.thresholds[0].y < found.bottom
    for path in (*found.band, *found.line):
        assert all(0 <= number <= max(WIDTH, HEIGHT) for number in numbers(path))
    assert found.longest == 900.0


def test_the_line_is_interrupted_where_nobody_looked_or_nothing_was_good() -> None:
    good: Sample = (1.0, 2.0, 3.0, 0)

    assert len(made((60, good), (59, good), (58, good)).line) == 1
    assert made((60, good), (59, good), (50, good)).gaps == 1
    assert made((60, good), (59, (None, None, None, 4)), (58, good)).gaps == 1
    assert [one["count"] for one in made((60, good), (59, (None, None, None, 4))).failed] == [4]


def test_longer_answers_stand_higher_and_newer_ones_further_right() -> None:
    found = made((100, (10.0, 10.0, 10.0, 0)), (99, (100.0, 100.0, 100.0, 0)))

    (x1, y1, x2, y2) = numbers(found.line[0])
    assert x1 < x2
    assert y1 > y2


def test_scale_has_labels_that_people_read() -> None:
    labels = [row["label"] for row in made((60, (1.0, 2.0, 30.0, 0))).rows]

    assert labels == ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]
    near = chart(
        "s", [Point(NOW - 60, 60, (210.0, 220.0, 230.0, 0))], [Threshold("timeout", 1000.0, "bad")], "day", NOW
    )
    assert [row["label"] for row in near.rows] == ["100 ms", "200 ms", "500 ms", "1 s", "2 s"]


def test_table_says_the_same_in_few_rows() -> None:
    samples: list[tuple[int, Sample]] = [(minutes, (1.0, 2.0, float(minutes), 1)) for minutes in range(1400, 0, -1)]

    table = made(*samples).table

    assert 20 <= len(table) <= 49
    assert table[0]["at"] > table[-1]["at"]
    assert sum(row["failed"] for row in table) == 1400
    assert table[-1]["high"] == "1.4 s"


def test_nothing_recorded_is_an_empty_chart() -> None:
    found = chart("server1", [], [Threshold("timeout", 2000.0, "bad")], "month", NOW)

    assert (found.line, found.band, found.table, found.longest) == ([], [], [], None)
    assert found.columns
