"""Who is refused by the REST interface and the agents' socket, and that nothing happens then."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml
from django.utils import timezone

from tests.webmanager.reporting import reporting
from tests.webmanager.stack import agent
from webmanager.models import ApiToken, Operation

pytestmark = pytest.mark.slow
STOP = "/api/v1/groups/failover1/stop"


def made(manager, user, **asked):
    body = {"name": "refusals", **asked}
    return manager.call("POST", "/api/v2/tokens", user=user, body=body)[1]["token"]


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("path", [STOP, "/api/v2/clusters/{cluster}/operations"])
async def test_viewer_as_operator(manager, cluster, register, path):
    async with reporting(manager, cluster, register("server1")) as one:
        body = {"op": "group_stop", "target": "failover1"} if "v2" in path else {}
        url = f"{path.format(cluster=cluster)}?cluster={cluster}"
        status, reply, _ = await manager.acall("POST", url, user="charlie", body=body)
        assert (status, reply["result"]["code"]) == (403, 403)
        assert one.commands == []
        assert not Operation.objects.filter(cluster__name=cluster).exists()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic !"}, {"Authorization": "Bearer"}, bearer("oclp_no"),
                                     {"Authorization": b"Bearer \xff\xfe"}])  # fmt: skip
@pytest.mark.parametrize("path", ["/api/v1/groups", "/api/v2/clusters", "/api/v2/tokens", "/api/schema"])
def test_anonymous(manager, path, headers):
    status, body, response = manager.call("GET", path, headers=headers)
    assert status == 401
    assert response.getheader("WWW-Authenticate") == 'Basic realm="openclp"'
    told = yaml.safe_load(body) if isinstance(body, str) else body
    assert told["result"]["code"] == 401


async def test_expired_token(manager, cluster, register):
    token = made(manager, "bob")
    async with reporting(manager, cluster, register("server1")) as one:
        ApiToken.objects.filter(key=token["id"]).update(expiry=timezone.now() - timedelta(seconds=1))
        url = f"{STOP}?cluster={cluster}"
        status, reply, _ = await manager.acall("POST", url, headers=bearer(token["secret"]))
        assert (status, reply["result"]["code"]) == (401, 401)
        assert one.commands == []


async def test_token_of_a_person_who_may_not_any_more(manager, people, cluster, register):
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.create_user("gustav", password="five-small-boats-42")
    token = made(manager, "gustav")
    assert manager.call("GET", "/api/v2", headers=bearer(token["secret"]))[0] == 200
    user.is_active = False
    user.save()
    assert manager.call("GET", "/api/v2", headers=bearer(token["secret"]))[0] == 401


async def test_read_only_token_reads_only(manager, cluster, register):
    token = made(manager, "bob", read_only=True)
    async with reporting(manager, cluster, register("server1")) as one:
        url, headers = f"?cluster={cluster}", bearer(token["secret"])
        assert (await manager.acall("GET", f"/api/v1/groups{url}", headers=headers))[0] == 200
        assert (await manager.acall("POST", f"{STOP}{url}", headers=headers))[0] == 403
        assert one.commands == []


def test_token_cannot_make_another_one(manager, people):
    token = made(manager, "bob")
    status, _, _ = manager.call("POST", "/api/v2/tokens", headers=bearer(token["secret"]), body={"name": "more"})
    assert status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_foreign_origin_with_the_session_of_an_operator(manager, people, cluster, register, origin):
    """A page elsewhere cannot know the token of this session; even with one its origin is refused."""
    async with reporting(manager, cluster, register("server1")) as one:
        cookies = f"openclp_session={people['bob']}; openclp_csrf={'t' * 32}"
        headers = {"Cookie": cookies, "X-CSRFToken": "t" * 32, "Origin": origin}
        status, reply, _ = await manager.acall("POST", f"{STOP}?cluster={cluster}", headers=headers)
        assert (status, reply["result"]["code"]) == (403, 403)
        assert one.commands == []
        _, _, response = await manager.acall("GET", "/api/v1/groups", headers=headers)
        assert response.getheader("Access-Control-Allow-Origin") is None
        own = {**headers, "Origin": f"http://{manager.host}"}
        assert (await manager.acall("POST", f"{STOP}?cluster={cluster}", headers=own))[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://[::1", "https://127.0.0.1"])
async def test_foreign_origin_with_the_password_that_the_browser_remembers(manager, cluster, register, origin):
    """A form of a foreign page can post without a body, and what many operations need is none."""
    async with reporting(manager, cluster, register("server1")) as one:
        url, form = f"{STOP}?cluster={cluster}", {"Content-Type": "application/x-www-form-urlencoded"}
        status, reply, _ = await manager.acall("POST", url, user="bob", headers={**form, "Origin": origin})
        assert (status, reply["result"]["code"]) == (403, 403)
        assert one.commands == []
        own = {"Origin": f"http://{manager.host}"}
        assert (await manager.acall("POST", url, user="bob", headers=own))[0] == 200


def test_name_that_a_foreign_dns_may_have_bound_to_us(manager, people):
    assert manager.call("GET", "/api/v1/groups", user="bob", headers={"Host": "evil.example"})[0] == 400


async def test_agent_of_another_cluster_can_neither_tell_nor_answer(manager, cluster, register):
    """Its secret is right, but for its own cluster only."""
    async with reporting(manager, cluster, register("server1")) as one:
        foreign = register("server2", "elsewhere")
        async with agent(manager, cluster, "server2", foreign) as liar:
            await liar.hello()
            code, reason = await liar.closed()
            assert code == 4400
            assert "registered for cluster elsewhere" in reason
        async with agent(manager, "elsewhere", "server2", foreign) as honest:
            await honest.hello()
            await honest.snapshot()
            url = f"{STOP}?cluster={cluster}"
            assert (await manager.acall("POST", url, user="bob"))[1]["result"]["code"] == 0
            assert len(one.commands) == 1
