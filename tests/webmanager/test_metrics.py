"""/metrics of the manager: what it tells, and to whom."""

from __future__ import annotations

import http.client

import pytest

from tests.webmanager.reporting import reporting

pytestmark = pytest.mark.slow
FORWARDED = {"X-Forwarded-For": "203.0.113.9"}


def scrape(port: int, **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/metrics", headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.getheader("Content-Type", "")
    finally:
        connection.close()


async def test_all_clusters_are_told_to_this_machine(manager, cluster, register):
    import asyncio

    async with reporting(manager, cluster, register("server1")):
        status, text, kind = await asyncio.to_thread(scrape, manager.port)

    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert f'openclp_agent_connected{{cluster="{cluster}",server="server1"}} 1\n' in text
    assert f'openclp_group_active{{cluster="{cluster}",group="failover1",server="server1"}} 1\n' in text


def test_strangers_need_a_token(manager):
    assert scrape(manager.port, **FORWARDED)[0] == 401
    assert scrape(manager.port, **FORWARDED, Authorization="Bearer oclp_wrong")[0] == 401

    token = manager.call("POST", "/api/v2/tokens", user="charlie", body={"name": "prometheus"})[1]["token"]["secret"]

    assert scrape(manager.port, **FORWARDED, Authorization=f"Bearer {token}")[0] == 200


def test_networks_may_be_listed(settings):
    from webmanager import metrics

    settings.METRICS_CLIENTS = ("192.0.2.0/24", "nonsense", "2001:db8::1")

    listed = [metrics._is_listed(one) for one in ("192.0.2.77", "192.0.3.1", "2001:db8::1", "unknown")]
    assert listed == [True, False, True, False]
