"""A row whose job has died is settled by what the servers say, and only by that."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

ORIGIN, WANTED = "a" * 16, "b" * 16
RUNNING, DONE, FAILED = "running", "done", "failed"


@pytest.fixture
def row(users: dict[str, Any], draft: Any) -> Iterator[Any]:
    from django.utils import timezone

    from builder.models import Apply
    from webmanager.models import Cluster

    owner = Cluster.objects.create(name="settled")
    yield Apply.objects.create(
        cluster=owner, draft=draft, name="settled", revision=1, conf=bytes(draft.conf), scripts=bytes(draft.scripts),
        config=WANTED, user=users["alice"], by="alice@192.0.2.7", why="a test", state=RUNNING, beat_at=timezone.now(),
    )  # fmt: skip
    owner.delete()


def status(*configs: str, coordinator: str = "server1", **told: Any) -> dict[str, Any]:
    servers = {f"server{n}": {"config": config} for n, config in enumerate(configs, 1)}
    part = {"id": "", "phase": "", "state": "", "reason": "", "servers": servers, **told}
    return {"cluster": {"coordinator": coordinator, "configuration": part}}


def settled(row: Any, said: dict[str, Any] | None, after_s: float = 60.0) -> tuple[str, str]:
    from builder import applying

    applying.settle(row, said, row.beat_at + datetime.timedelta(seconds=after_s))
    row.refresh_from_db()
    return row.state, row.text


@pytest.mark.parametrize(
    "said",
    [
        None,
        status(ORIGIN, ORIGIN, coordinator=""),
        status(WANTED, ORIGIN),
        status(ORIGIN, ""),
        status(ORIGIN, ORIGIN, id="another", phase="trying"),
    ],
)
def test_nothing_is_said_while_it_is_not_known(row, said):
    assert settled(row, said) == (RUNNING, "")


def test_all_with_it_is_in_force_and_all_without_it_was_given_up(row):
    from builder import applying
    from builder.models import Version

    assert settled(row, status(ORIGIN, ORIGIN), after_s=5.0) == (RUNNING, "")
    assert settled(row, status(ORIGIN, ORIGIN)) == (FAILED, applying.NOT_TAKEN)
    assert settled(row, status(WANTED, WANTED)) == (FAILED, applying.NOT_TAKEN)  # It has ended once.
    assert Version.objects.filter(cluster=row.cluster).count() == 0


def test_in_force_becomes_one_version(row):
    from builder.models import Version

    assert settled(row, status(WANTED, WANTED)) == (DONE, "")
    assert settled(row, status(WANTED, WANTED)) == (DONE, "")
    (version,) = Version.objects.filter(cluster=row.cluster)
    assert (version.why, version.origin, sorted(version.bundle.scripts)) == (
        "a test", "apply", ["failover1/exec1/start.sh"],
    )  # fmt: skip
    assert bytes(row.conf) == b""


def test_change_that_goes_on_is_left_alone_until_the_servers_have_ended_it(row):
    mine = {"id": str(row.key), "reason": "server2 was not heard"}

    assert settled(row, status(WANTED, WANTED, **mine, phase="stopping", state="returned"), 1.0) == (RUNNING, "")
    assert settled(row, status(ORIGIN, ORIGIN, **mine, state="returned"), 1.0) == ("returned", "server2 was not heard")


def test_files_half_exchanged_are_told(row):
    from builder import applying

    row.servers = {"server1": {"step": "switched"}, "server2": {"step": applying.EXCHANGING}}
    row.save()

    assert settled(row, status(WANTED, WANTED)) == (FAILED, applying.EXCHANGE_ENDED)


def test_events_are_those_that_came_meanwhile_whatever_the_clocks_say(row):
    from builder import change
    from builder.models import Apply
    from webmanager.models import Event

    def wrote(event: int, time: float) -> Event:
        note = {"id": f"n{time}", "module": "cp", "event": event, "time": time}
        return Event.objects.create(cluster=row.cluster, note_id=note["id"], time=time, severity="info",
                                    kind="cluster", text="", note=note)  # fmt: skip

    row.first_event = wrote(72, 5000.0).pk
    row.save()
    told, _other = wrote(73, 1.0), wrote(2, 2.0)
    later = Apply.objects.create(cluster=row.cluster, name="later", revision=1, conf=b"", config=WANTED, by="bob",
                                 why="more", beat_at=row.beat_at, first_event=told.pk)  # fmt: skip
    wrote(82, 3.0)

    assert [note["event"] for note in change.events(row)] == [73]
    assert [note["event"] for note in change.events(later)] == [82]
