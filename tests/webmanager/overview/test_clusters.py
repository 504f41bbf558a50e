"""All clusters at once: the page, its socket, the search; each with what somebody may see."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from tests.webmanager.stack import agent, note, report, until
from tests.webmanager.test_sockets import until_known

pytestmark = pytest.mark.slow


class Looker:
    """The browser's side of /ws/overview/."""

    def __init__(self, socket):
        self.socket = socket
        self.clusters, self.ages, self.roles, self.messages = {}, {}, {}, []

    async def until(self, condition, what):
        async def wait():
            while not condition(self):
                message = json.loads(await self.socket.recv())
                self.messages.append(message)
                if message["type"] == "summaries":
                    self.clusters = {one["name"]: one for one in message["clusters"]}
                    self.roles = message["roles"]
                elif message["type"] == "summary":
                    self.clusters[message["cluster"]["name"]] = message["cluster"]
                elif message["type"] == "alive":
                    self.ages = message["ages"]

        try:
            await asyncio.wait_for(wait(), 30)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; newest: {self.messages[-2:]}") from None


@pytest.fixture
def overview(manager):
    def open_socket(cookie, query=""):
        return connect(f"ws://{manager.host}/ws/overview/{query}", origin=f"http://{manager.host}", proxy=None,
                       additional_headers={"Cookie": f"openclp_session={cookie}"}, compression=None)  # fmt: skip

    return open_socket


async def test_summary_follows_the_cluster(manager, people, cluster, register, overview):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1", "failover2")), report("server2"), report("server3"))
        await until_known(manager, cluster)
        async with overview(people["charlie"]) as socket:
            look = Looker(socket)
            await look.until(lambda v: cluster in v.clusters, "the first summary")
            found = look.clusters[cluster]
            assert (found["worst"], found["problems"]) == ("good", [])
            assert (found["servers"], found["groups"]) == ({"all": 3, "online": 3}, {"all": 2, "online": 2})
            assert (found["agents"], look.roles[cluster]) == ({"all": 3, "connected": 1}, "viewer")

            await one.change(report("server1", 2, runs=("failover1",)), notes=(note(1, severity="error"),))
            await look.until(lambda v: v.clusters[cluster]["worst"] == "bad", "the group that runs nowhere")
            (problem,) = look.clusters[cluster]["problems"]
            assert (problem["code"], problem["name"]) == ("nowhere", "failover2")
            await look.until(lambda v: v.clusters[cluster]["open"]["error"] == 1, "the error")
            await look.until(lambda v: v.ages.get(cluster) is not None, "a sign of life with ages")


async def test_many_changes_are_two_messages_a_second(manager, people, cluster, register, overview):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"), report("server2"), report("server3"))
        await until_known(manager, cluster)
        async with overview(people["bob"], f"?cluster={cluster}") as socket:
            look = Looker(socket)
            await look.until(lambda v: cluster in v.clusters, "the first summary")
            for n in range(2, 202):
                await one.change(report("server1", n, runs=("failover1",) if n % 2 else ()))
            await one.change(report("server1", 300, runs=("failover1", "failover2")))
            await look.until(lambda v: v.clusters[cluster]["groups"]["online"] == 2, "the newest state")
            told = [message for message in look.messages if message["type"] == "summary"]
            assert len(told) < 50
            assert list(look.clusters) == [cluster]


async def test_agent_that_goes_makes_the_cluster_unknown(manager, people, cluster, register, overview):
    async with overview(people["bob"]) as socket:
        look = Looker(socket)
        async with agent(manager, cluster, "server1", register("server1")) as one:
            await one.hello()
            await one.snapshot(report("server1", runs=("failover1", "failover2")), report("server2"), report("server3"))
            await until_known(manager, cluster)
        async with overview(people["bob"]) as later:
            look = Looker(later)
            await look.until(lambda v: v.clusters.get(cluster, {}).get("worst") not in (None, "good"), "the silence")
            codes = [one["code"] for one in look.clusters[cluster]["problems"]]
            assert "silent" in codes
            assert look.clusters[cluster]["agents"]["connected"] == 0


async def test_everybody_gets_what_he_may_see(manager, people, visitor, user, cluster, register, overview):
    from webmanager.accounts.models import ClusterRole
    from webmanager.models import Cluster

    register("server1")
    other = Cluster.objects.create(name=f"other-{cluster}")
    one = user("")
    ClusterRole.objects.create(user=one, cluster=other, role="operator")
    guest, alice = visitor(), visitor(people["alice"])
    await asyncio.to_thread(guest.sign_in, one.get_username())
    async with overview(guest.session) as socket:
        look = Looker(socket)
        await look.until(lambda v: v.roles, "the first summaries")
        assert look.roles == {other.name: "operator"}
        assert list(look.clusters) == [other.name]
        await asyncio.to_thread(guest.get, "/overview/")
        assert other.name in guest.words()
        assert f" {cluster} " not in guest.words()
        form = {"do": "roles", "everywhere": "", f"on:{cluster}": "viewer", f"on:{other.name}": ""}
        assert await asyncio.to_thread(alice.post, f"/users/{one.pk}/do", **form) == 302
        await look.until(lambda v: v.roles == {cluster: "viewer"}, "the other cluster")
        form = {"do": "roles", "everywhere": "", f"on:{cluster}": ""}
        assert await asyncio.to_thread(alice.post, f"/users/{one.pk}/do", **form) == 302
        await asyncio.wait_for(socket.wait_closed(), 30)
        assert socket.close_code == 4403


@pytest.mark.parametrize("query", ["?cluster=nosuch", ""])
async def test_stranger_is_turned_away(manager, overview, query):
    async with overview("nobody", query) as socket:
        await asyncio.wait_for(socket.wait_closed(), 30)
        assert socket.close_code == 4401


async def test_several_clusters_are_shown_first_until_one_is_chosen(manager, people, visitor, user, cluster, register):
    from webmanager.models import Cluster

    register("server1")
    Cluster.objects.create(name=f"other-{cluster}")
    one, guest = user("viewer"), visitor()
    await asyncio.to_thread(guest.sign_in, one.get_username())
    assert (await asyncio.to_thread(guest.get, "/"), guest.place) == (302, "/overview/")
    assert await asyncio.to_thread(guest.get, f"/?cluster={cluster}") == 200
    assert f'href="/events/?cluster={cluster}"' in guest.text
    assert await asyncio.to_thread(guest.get, "/") == 200


async def test_search_finds_objects_of_all_clusters_that_one_may_see(reported, manager, people, visitor, user, cluster):
    from webmanager.accounts.models import ClusterRole
    from webmanager.models import Cluster

    async def find(q, who="charlie"):
        path = f"/api/v2/search?q={q.replace(' ', '+')}"
        status, body, _ = await manager.acall("GET", path, user=who)
        assert status == 200
        return [(one["kind"], one["name"]) for one in body["found"] if one["cluster"] == cluster]

    async with reported():
        assert (await find(f"failover1 {cluster}"))[0] == ("group", "failover1")
        assert set(await find(f"10.3.0.2 {cluster}")) == {("resource", "fip2"), ("group", "failover2")}
        assert await find(f"10.1.0.3 {cluster}") == [("server", "server3")]
        assert ("monitor", "pidw1") in await find(f"pidw {cluster}")
        assert ("heartbeat", "lanhb1") in await find(f"lanhb {cluster}")
        assert await find("nosuchthing") == []
        assert await find("") == []
        stranger = user("")
        ClusterRole.objects.create(user=stranger, cluster=Cluster.objects.create(name=f"x-{cluster}"), role="viewer")
        assert await find("failover1", stranger.get_username()) == []


async def test_search_page_works_without_javascript(reported, visitor, people, cluster):
    async with reported():
        guest = visitor(people["charlie"])
        assert await asyncio.to_thread(guest.get, f"/search/?q=fip1+{cluster}") == 200
        assert f'href="/?cluster={cluster}#/resource/fip1"' in guest.text
        assert "1 object is found." in guest.words()


async def test_clusters_over_rest_say_what_is_wrong(reported, manager, cluster):
    async with reported() as one:
        await one.change(report("server1", 2, runs=("failover1",)))

        def wrong():
            _, body, _ = manager.call("GET", f"/api/v2/clusters/{cluster}", user="charlie")
            return body["cluster"]["worst"] == "bad" and body["cluster"]

        found = await asyncio.to_thread(until, wrong, "the trouble")
        assert found["problems"][0]["text"] == "Group failover2 runs nowhere."
        assert (found["groups"], found["groups_online"], found["agents"]) == (2, 1, 1)
        assert found["unacknowledged"] == {"error": 2, "warning": 1}
