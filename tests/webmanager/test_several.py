"""Several web servers behind one port, and what they need: any of it may die, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from django.db import connections
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests import manager as parts
from tests.webmanager.stack import Server, Valkey, agent, browser, note, report, until
from tests.webmanager.test_sockets import online, until_known
from webmanager.models import Event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
NOTES = 40
BROWSERS = 6
# The last one: the server was killed before it had answered the request for a WebSocket.
BROKEN = (ConnectionClosed, OSError, InvalidMessage)


@pytest.fixture
def pair(environment, people, tmp_path):
    server = Server(environment, tmp_path / "web.log", count=2).start()
    yield server
    server.stop()


async def stored(cluster: str, count: int) -> list[str]:
    found = Event.objects.filter(cluster__name=cluster).order_by("time")
    await asyncio.to_thread(until, lambda: found.count() >= count, f"{count} events in the database")
    return list(found.values_list("note_id", flat=True))


def said(*numbers: int) -> list[str]:
    return [note(number)["id"] for number in numbers]


class Persistent:
    """An agent that comes back, as ours do: what it could not tell is in the next snapshot."""

    def __init__(self, server: Server, cluster: str, secret: str) -> None:
        self.server, self.cluster, self.secret = server, cluster, secret
        self.notes: list[dict] = []
        self.seq = 0
        self.news = asyncio.Event()

    def happens(self, number: int) -> None:
        self.notes.append(note(number))
        self.seq += 1
        self.news.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*BROKEN):
                async with agent(self.server, self.cluster, "server1", self.secret) as one:
                    await one.hello()
                    told = len(self.notes)
                    await one.snapshot(report("server1", self.seq + 1), notes=tuple(self.notes))
                    while True:
                        await asyncio.wait([asyncio.ensure_future(self.news.wait()), asyncio.ensure_future(
                            one.socket.wait_closed())], return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
                        self.news.clear()
                        if one.socket.close_code is not None:
                            break
                        told, new = len(self.notes), self.notes[told:]
                        await one.change(report("server1", self.seq + 1), notes=tuple(new))
            await asyncio.sleep(0.05)


async def watch(server: Server, cluster: str, cookie: str, seen: set[str]) -> None:
    """A tab that comes back when its connection breaks."""
    while True:
        with contextlib.suppress(*BROKEN):
            async with browser(server, cluster, cookie) as view:
                while True:
                    await view.read(60)
                    seen.update(event["id"] for event in view.events)
        await asyncio.sleep(0.05)


async def test_killed_web_server_loses_no_event_and_its_browsers_go_to_the_other(pair, people, cluster, register):
    one = Persistent(pair, cluster, register("server1"))
    seen = [set() for _ in range(BROWSERS)]
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(one.run())]
        await until_known(pair, cluster)
        work += [group.create_task(watch(pair, cluster, people["bob"], each)) for each in seen]
        for number in range(NOTES):
            one.happens(number)
            if number == NOTES // 2:
                pair.kill()
            await asyncio.sleep(0.02)
        assert await stored(cluster, NOTES) == said(*range(NOTES))
        async with asyncio.timeout(60):
            while not all(each >= set(said(*range(NOTES))) for each in seen):
                await asyncio.sleep(0.05)
        for task in work:
            task.cancel()


async def test_message_server_may_be_restarted(environment, people, cluster, register, tmp_path):
    valkey = Valkey(tmp_path)
    valkey.start()
    more = environment | {"REDIS_URL": valkey.url}
    servers = [Server(more, tmp_path / f"{name}.log").start() for name in ("one", "two")]
    try:
        async with agent(servers[0], cluster, "server1", register("server1")) as one:
            await one.hello()
            await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
            await until_known(servers[1], cluster)
            async with browser(servers[1], cluster, people["bob"]) as view:
                await view.until(lambda v: online(v) == "server1", "the group on server1")
                valkey.stop()
                await one.change(report("server1", 2), report("server2", 2, runs=("failover1",)), notes=(note(1),))
                assert await stored(cluster, 1) == said(1)
                valkey.start()
                await view.until(lambda v: online(v) == "server2", "what happened meanwhile", 60)
                await view.until(lambda v: said(1) == [e["id"] for e in v.events], "its event", 60)
                await one.change(report("server2", 3), report("server3", 2, runs=("failover1",)), notes=(note(2),))
                await view.until(lambda v: online(v) == "server3", "what happens now")
    finally:
        for server in servers:
            server.stop()
        valkey.stop()


@pytest.fixture
def reconnecting():
    """The connection of tests without a loop is another one than that of tests with one; it breaks as well."""
    yield
    connections.close_all()


@pytest.mark.usefixtures("reconnecting")
@pytest.mark.parametrize("both", [True, False], ids=["browser beside the agent", "browser in the other process"])
async def test_database_may_be_restarted(manager, second, people, cluster, register, both):
    if not parts.RUNNING:
        pytest.skip("SQLite is not restarted: OPENCLP_TEST_DATABASE_URL=temporary")
    (database,) = parts.RUNNING
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await until_known(second, cluster)
        async with browser(manager if both else second, cluster, people["bob"]) as view:
            await view.read()
            await asyncio.to_thread(database.stop)
            try:
                for number in range(NOTES):
                    await one.change(report("server1", number + 2), notes=(note(number),))
                wanted = said(*range(NOTES))
                await view.until(
                    lambda v: [e["id"] for e in v.events] == wanted, "the events while there is no database"
                )
            finally:
                await asyncio.to_thread(database.start)
                connections.close_all()
            assert await stored(cluster, NOTES) == said(*range(NOTES))
            assert (await second.acall("GET", f"/api/v1/groups?cluster={cluster}", user="bob"))[0] == 200
