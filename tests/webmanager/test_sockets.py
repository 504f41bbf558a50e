"""Agents and browsers on real sockets of a real server."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.webmanager.stack import SERVERS, agent, browser, note, report, until
from webmanager.models import Agent, Cluster, Event

pytestmark = pytest.mark.slow


def online(view):
    """ "": also of a process that has not yet heard from the one that has the agent."""
    return view.status and view.status["groups"].get("failover1", {}).get("current", "")


async def test_browser_sees_a_group_move_without_asking(manager, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await until_known(manager, cluster)
        async with browser(manager, cluster, people["charlie"]) as view:
            await view.until(lambda v: online(v) == "server1", "the group on server1")
            await one.change(report("server1", 2), report("server2", 2, runs=("failover1",)), notes=(note(1, "moved"),))
            await view.until(lambda v: online(v) == "server2", "the group on server2")
            assert [m["type"] for m in view.messages].count("snapshot") == 1
            assert view.events[-1]["text"] == "moved"
            assert view.agents["server1"]["connected"] is True


async def until_known(manager, cluster):
    await manager.everywhere(f"/api/v1/cluster?cluster={cluster}")


async def test_event_reaches_the_browser_at_once(manager, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(*(report(s) for s in SERVERS))
        await until_known(manager, cluster)
        async with browser(manager, cluster, people["bob"]) as view:
            await view.read()
            delays = []
            for n in range(2, 42):
                await asyncio.sleep(0.03)
                start = time.perf_counter()
                await one.change(report("server1", n, runs=("failover1",) if n % 2 else ()))
                await view.until(lambda v, n=n: bool(online(v)) == bool(n % 2), "the change")
                delays.append(time.perf_counter() - start)
    delays.sort()
    print(f"agent to browser: median {delays[20] * 1000:.1f} ms, worst {delays[-1] * 1000:.1f} ms")
    assert delays[20] < 0.5  # It waits for no tick; `bin/bench web` has the figure.


async def test_alive_brings_ages_each_second(manager, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"), report("server2"), age_s=0.7)
        await until_known(manager, cluster)
        async with browser(manager, cluster, people["bob"]) as view:
            await view.until(lambda v: v.newest.get("type") == "alive", "alive")
            ages = view.newest["ages"]
            assert 0.7 <= ages["server2"] < 5
            assert ages["server1"] <= ages["server2"]


async def test_resync_gives_a_fresh_snapshot(manager, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await until_known(manager, cluster)
        async with browser(manager, cluster, people["bob"]) as view:
            await view.read()
            view.rev = -1
            await view.socket.send('{"type":"resync"}')
            await view.until(lambda v: v.rev >= 0, "a snapshot")
            await one.change(report("server1", 2, runs=("failover1",)))
            await view.until(lambda v: online(v) == "server1", "the change after it")


async def test_other_words_of_a_browser_close_it(manager, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await until_known(manager, cluster)
        async with browser(manager, cluster, people["alice"]) as view:
            await view.socket.send('{"type":"command"}')
            assert (await view.closed())[0] == 4400


async def test_agent_that_leaves_is_shown_as_gone(manager, people, cluster, register):
    secret = register("server1")
    async with agent(manager, cluster, "server1", secret) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await until_known(manager, cluster)
        view_context = browser(manager, cluster, people["bob"])
        view = await view_context.__aenter__()
        await view.read()
    await view.until(lambda v: v.agents["server1"]["connected"] is False, "the loss of the agent")
    await view.until(lambda v: v.status["servers"]["server1"]["status"] == "Unknown", "its age")
    await view_context.__aexit__(None, None, None)


async def test_wrong_secret_is_turned_away(manager, cluster, register):
    register("server1")
    async with agent(manager, cluster, "server1", "guess") as one:
        code, reason = await one.closed()
    assert code == 4401
    assert "agent add" in reason


async def test_new_secret_ends_the_old_one(manager, cluster, register):
    old = register("server1")
    register("server1")
    async with agent(manager, cluster, "server1", old) as one:
        assert (await one.closed())[0] == 4401


async def test_only_the_hash_of_a_secret_is_stored(cluster, register):
    secret = register("server1")
    row = Agent.objects.get(node="server1", cluster__name=cluster)
    assert secret not in str(vars(row))
    assert len(row.secret_sha256) == 64


async def test_hello_in_another_name_is_refused(manager, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello(node="server2")
        assert await one.closed() == (4400, "this secret belongs to server1, the hello says server2")


async def test_hello_for_another_cluster_is_refused(manager, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello(cluster=f"not-{cluster}")
        code, reason = await one.closed()
    assert code == 4400
    assert "is registered for cluster" in reason
    assert not Cluster.objects.filter(name=f"not-{cluster}").exists()


async def test_agent_without_a_cluster_is_bound_by_its_first_hello(manager, cluster, register):
    secret = register(f"lonely-{cluster}", "")
    async with agent(manager, cluster, f"lonely-{cluster}", secret) as one:
        await one.hello()
        await one.snapshot()
        await until_known(manager, cluster)
    assert Agent.objects.get(node=f"lonely-{cluster}").cluster.name == cluster


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (['{"type":"alive","rev":1,"at":0}'], "hello must come first"),
        (["rubbish"], "bad frame"),
        ([b"\x00"], "frames are JSON text"),
    ],
)
async def test_bad_first_frames_close(manager, cluster, register, frames, reason):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        for frame in frames:
            await one.socket.send(frame)
        code, text = await one.closed()
    assert code == 4400
    assert reason in text


async def test_gap_closes_and_the_next_connection_works(manager, people, cluster, register):
    secret = register("server1")
    async with agent(manager, cluster, "server1", secret) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        one.rev += 1
        await one.change(report("server1", 2))
        code, reason = await one.closed()
        assert code == 4400
        assert "gap: revision 3 came where 2 was due" in reason
    async with agent(manager, cluster, "server1", secret) as one:
        await one.hello()
        await one.snapshot(report("server1", 3, runs=("failover1",)))
        async with browser(manager, cluster, people["bob"]) as view:
            await view.until(lambda v: online(v) == "server1", "the new snapshot")


async def test_newer_connection_of_the_same_agent_takes_over(manager, people, cluster, register):
    secret = register("server1")
    async with agent(manager, cluster, "server1", secret) as old, browser(manager, cluster, people["bob"]) as view:
        await old.hello()
        await old.snapshot(report("server1"))
        await view.until(lambda v: v.agents.get("server1", {}).get("connected"), "the old one")
        async with agent(manager, cluster, "server1", secret) as new:
            await new.hello()
            await new.snapshot(report("server1", 2, runs=("failover1",)))
            assert (await old.closed())[0] == 4409
            await view.until(lambda v: online(v) == "server1" and v.agents["server1"]["connected"], "the new one")


async def test_foreign_page_is_refused(manager, people, cluster, register):
    with pytest.raises(InvalidStatus) as refused:
        async with browser(manager, "", people["alice"], origin="http://evil.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_browser_without_session_is_refused(manager, people):
    async with browser(manager, "", "no-such-session") as view:
        assert (await view.closed())[0] == 4401


async def test_unknown_cluster_is_told(manager, people):
    async with browser(manager, "atlantis", people["alice"]) as view:
        assert (await view.closed())[0] == 4404


async def test_slow_browser_is_dropped_and_the_others_go_on(manager, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(*(report(s) for s in SERVERS))
        await until_known(manager, cluster)
        raw = slow_socket(manager)
        async with (
            browser(manager, cluster, people["bob"]) as quick,
            browser(manager, cluster, people["charlie"], sock=raw, max_queue=1) as slow,
        ):
            slow.socket.transport.pause_reading()
            paused_at = time.monotonic()
            await quick.read()
            text = "x" * 600_000
            # Few and large: who reads nothing is also left when it has answered no ping for 10 s, without a word.
            for n in range(12):
                await one.change(report("server1", n + 2), notes=(note(n, f"{n}{text}"),))
                await quick.until(lambda v, n=n: any(e["id"].endswith(f":{n}") for e in v.events[-3:]), f"event {n}")
            slow.socket.transport.resume_reading()
            with pytest.raises(ConnectionClosed):
                await drain(slow.socket)
            # A machine that needs as long as that for twelve events leaves it because of the ping.
            without_a_word = time.monotonic() - paused_at > 10 and slow.socket.close_code == 1006
            assert slow.socket.close_code == 4008 or without_a_word


async def drain(connection):
    while True:
        await asyncio.wait_for(connection.recv(), 20)


def slow_socket(manager):
    """With a small receive buffer, so that the server soon notices."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", manager.port))
    raw.setblocking(False)
    return raw


async def test_events_are_stored_once_in_order(manager, cluster, register):
    async with (
        agent(manager, cluster, "server1", register("server1")) as one,
        agent(manager, cluster, "server2", register("server2")) as two,
    ):
        for each in (one, two):
            await each.hello()
            await each.snapshot(notes=tuple(note(n) for n in range(5)))
        await one.change(notes=(note(5),))
        owner = Cluster.objects.get(name=cluster)
        await asyncio.to_thread(until, lambda: Event.objects.filter(cluster=owner).count() == 6, "six events")
    found = [e.note_id for e in owner.events.all()]
    assert found == [f"server1:1:{n}" for n in range(6)]


async def test_restarted_manager_remembers(environment, people, cluster, register, tmp_path):
    from tests.webmanager.stack import Server

    server = Server(environment, tmp_path / "web.log").start()
    try:
        async with agent(server, cluster, "server1", register("server1")) as one:
            await one.hello()
            await one.snapshot(report("server1"), notes=(note(1, "before"),))
            await asyncio.to_thread(until, lambda: Event.objects.filter(cluster__name=cluster).exists(), "the event")
        server.stop()
        server.start()
        async with browser(server, cluster, people["bob"]) as view:
            await view.read()
            assert [e["text"] for e in view.events] == ["before"]
            assert set(view.status["servers"]) == set(SERVERS)
            assert {s["status"] for s in view.status["servers"].values()} == {"Unknown"}
    finally:
        server.stop()


async def test_outage_of_the_demo_is_pushed(manager, environment, people, cluster, register):
    import json
    from pathlib import Path

    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await until_known(manager, cluster)
        async with browser(manager, cluster, people["bob"]) as view:
            first = await view.read()
            assert first["demo"] is True
            state = {"clients": {"failover1": {"answering": cluster}}}
            fresh = Path(environment["OPENCLP_DEMO"]) / "state.new"
            fresh.write_text(json.dumps(state))
            fresh.rename(fresh.with_name("state.json"))
            wanted = {"type": "outage", "outage": state}
            await view.until(lambda v: v.newest == wanted, "the outage")
