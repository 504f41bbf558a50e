"""A cluster with a few events, as one agent tells them."""

from __future__ import annotations

import contextlib

import pytest

from tests.webmanager.accounts.conftest import user as user
from tests.webmanager.accounts.conftest import visitor as visitor
from tests.webmanager.stack import agent, note, report, until
from tests.webmanager.test_sockets import until_known

SEVERITIES = ("info", "warning", "error", "info", "error")


def events(start: int = 1) -> tuple[dict, ...]:
    """Five: each follows from the one before; rc:60 has a sentence in both languages."""
    return tuple(
        note(
            n, severity=severity, module="rc", event=60, name=f"failover{n % 2 + 1}", causes=[f"server1:1:{n - 1}"],
            params=[f"failover{n % 2 + 1}", "server1", f"server{n}"],
            text=f"Group failover{n % 2 + 1} fails over from server1 to server{n}.",
        )
        for n, severity in enumerate(SEVERITIES, start)
    )  # fmt: skip


@pytest.fixture
def reported(manager, cluster, register):
    """async with reported() as agent: a cluster of which five events are stored."""

    @contextlib.asynccontextmanager
    async def start(**more):
        async with agent(manager, cluster, "server1", register("server1")) as one:
            await one.hello()
            await one.snapshot(
                report("server1", runs=("failover1", "failover2")), report("server2"), report("server3"),
                notes=events(), **more,
            )  # fmt: skip
            await until_known(manager, cluster)
            until(lambda: stored(cluster) == len(SEVERITIES), "the events in the database")
            yield one

    return start


def stored(cluster: str) -> int:
    from webmanager.models import Event

    return Event.objects.filter(cluster__name=cluster).count()
