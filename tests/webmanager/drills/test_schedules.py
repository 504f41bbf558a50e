"""Drills that are due: taken once, by whom may still, and never caught up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

pytestmark = pytest.mark.slow


@pytest.fixture
def owner(people, cluster):
    from webmanager.models import Cluster

    return Cluster.objects.create(name=cluster)


def scheduled(owner, by="alice@192.0.2.7", late_s=5.0, **more):
    from webmanager.drills.models import Schedule

    at = timezone.now() - timedelta(seconds=late_s)
    fields = {"kind": "crash", "server": "server1", "bound_s": 5, "weekly": True, "next_at": at, "by": by, **more}
    return Schedule.objects.create(cluster=owner, **fields)


def taken(row):
    from webmanager.drills import services

    return row.pk in [one.pk for one in services.due()]


def skipped(row):
    from webmanager.drills.models import Drill

    return [(one.state, one.findings[0][0]) for one in Drill.objects.filter(schedule=row)]


def test_due_drill_is_taken_once_and_comes_again_next_week(owner):
    row = scheduled(owner)
    before = row.next_at
    assert taken(row)
    assert not taken(row)
    row.refresh_from_db()
    assert row.next_at - before == timedelta(days=7)
    assert skipped(row) == []


def test_single_drill_comes_once(owner):
    row = scheduled(owner, weekly=False)
    assert taken(row)
    row.refresh_from_db()
    assert row.next_at is None


def test_missed_drill_is_skipped_with_its_reason(owner):
    row = scheduled(owner, late_s=3 * 7 * 86400.0)
    assert not taken(row)
    assert skipped(row) == [("skipped", "late")]
    row.refresh_from_db()
    assert row.next_at > timezone.now()


@pytest.mark.parametrize("by", ["bob@192.0.2.7", "nobody@192.0.2.7", ""])
def test_drill_of_who_is_no_administrator_any_more_is_skipped(owner, by):
    row = scheduled(owner, by=by)
    assert not taken(row)
    assert skipped(row) == [("skipped", "no_right")]
