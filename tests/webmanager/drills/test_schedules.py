"""Drills that are due: taken once however many processes look, by whom may still, and never caught up."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.webmanager.drills.test_drills import Servers, told
from tests.webmanager.stack import until

pytestmark = pytest.mark.slow
LATER = timedelta(days=1)  # Out of sight of the managers of other tests, which look for what is due as well.


@pytest.fixture
def owner(people, cluster):
    from webmanager.models import Cluster

    return Cluster.objects.create(name=cluster)


def scheduled(owner, by="alice@192.0.2.7", **more):
    from webmanager.drills.models import Schedule

    fields = {"kind": "crash", "server": "server1", "bound_s": 5, "weekly": True, "by": by, **more}
    return Schedule.objects.create(cluster=owner, **{"next_at": timezone.now() + LATER, **fields})


def due(row, late_s=5.0):
    """Rows of those that are begun."""
    from webmanager.drills import schedules

    return [one for one in schedules.due(row.next_at + timedelta(seconds=late_s)) if one.schedule_id == row.pk]


def drilled(row):
    from webmanager.drills.models import Drill

    return [(one.state, *(found[0] for found in one.findings)) for one in Drill.objects.filter(schedule=row)]


def test_due_drill_is_taken_once_and_comes_again_next_week(owner):
    row = scheduled(owner)
    before = row.next_at
    assert [one.state for one in due(row)] == ["asked"]
    assert due(row) == []
    row.refresh_from_db()
    assert row.next_at - before == timedelta(days=7)
    assert drilled(row) == [("asked",)]


def test_of_many_that_look_at_the_same_moment_one_takes_it(owner):
    from django.db import connection

    def look():
        try:
            return due(row)
        finally:
            connection.close()

    row = scheduled(owner)
    with ThreadPoolExecutor(8) as looking:
        found = [one for many in looking.map(lambda _: look(), range(8)) for one in many]
    assert len(found) == 1
    assert drilled(row) == [("asked",)]


def test_single_drill_comes_once(owner):
    row = scheduled(owner, weekly=False)
    assert len(due(row)) == 1
    row.refresh_from_db()
    assert row.next_at is None


def test_missed_drill_is_skipped_with_its_reason(owner):
    row = scheduled(owner)
    before = row.next_at
    assert due(row, 3 * 7 * 86400.0) == []
    assert drilled(row) == [("skipped", "late")]
    row.refresh_from_db()
    assert row.next_at - before == timedelta(weeks=4)


@pytest.mark.parametrize("by", ["bob@192.0.2.7", "nobody@192.0.2.7", ""])
def test_drill_of_who_is_no_administrator_any_more_is_skipped(owner, by):
    row = scheduled(owner, by=by)
    assert due(row) == []
    assert drilled(row) == [("skipped", "no_right")]


def test_drill_whose_process_died_before_it_was_checked_is_told_and_not_begun(owner):
    from webmanager.drills import guard, services
    from webmanager.drills.models import Drill

    row = scheduled(owner)
    (taken,) = due(row)
    assert services.follow(taken, "another process", None, None).state == "asked"
    Drill.objects.filter(pk=taken.pk).update(at=timezone.now() - timedelta(seconds=600))
    taken.refresh_from_db()

    assert services.follow(taken, "another process", None, None).state == "skipped"

    assert drilled(row) == [("skipped", "unchecked")]
    late = guard.Checked([("agents_allow", {"text": ""})], {}, [])
    assert services._judge(taken, late, {}, "the first one").state == "skipped"


async def test_several_processes_begin_a_scheduled_drill_once(manager, second, cluster, register):
    """Web servers of one manager (and Celery workers, where they are): the servers are asked once, by the row's id."""
    from webmanager.drills.models import Drill
    from webmanager.models import Cluster

    servers = Servers()
    async with told(manager, cluster, register, servers):
        row = scheduled(Cluster.objects.get(name=cluster), next_at=timezone.now())
        found = Drill.objects.filter(schedule=row)
        await asyncio.to_thread(until, lambda: [one.ended_at for one in found.all()] not in ([], [None]), "its end")
    assert [one.state for one in found.all()] == ["passed"]
    assert servers.asked == ["drill_check", "drill_start"]
