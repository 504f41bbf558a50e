"""The pages of monitors, heartbeats and resources, of the real manager with an agent that reports."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from tests.webmanager.stack import agent, report

pytestmark = pytest.mark.slow

HERE = {
    "p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 40.0, "p999_ms": 45.0, "worst_ms": 400.0, "worst_at": 1_700_000_000.0,
    "count": 500, "timeouts": 0, "failures": 3, "since": 1_699_990_000.0, "low_ms": 8.0, "mid_ms": 10.0,
    "high_ms": 30.0,
}  # fmt: skip
GAPS = {"p50_ms": 100.0, "p99_ms": 120.0, "p999_ms": 150.0, "worst_ms": 410.0, "worst_at": 1_700_000_000.0,
        "since": 1_699_990_000.0, "ever_ms": 410.0, "lately_ms": 130.0}  # fmt: skip


def measured(server: str, seq: int = 1, **figures: Any) -> dict[str, Any]:
    """What server1 measured of its monitors and the others' heartbeats."""
    others = [name for name in ("server1", "server2", "server3") if name != server]
    path = {"state": "Normal", "worst_gap_ms": 410.0, "gaps": GAPS}
    return report(
        server, seq, runs=("failover1",) if server == "server1" else (),
        monitors={"pidw1": {"state": "Normal", "since": 1_700_000_000.0, "elapsed_ms": 9.0}},
        responses={"pidw1": {**HERE, **figures}} if server == "server1" else {},
        hears=dict.fromkeys(others, GAPS), heard=seq,
        paths={other: {"lanhb1": path, "lanhb2": {"state": "Error"}} for other in others},
    )  # fmt: skip


@pytest.fixture
async def page(manager, people, cluster, register):
    """page("/monitors/") -> (status, text without tags); page.agent is the one that reports."""
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(measured("server1"), measured("server2"))
        await manager.everywhere(f"/api/v1/groups/failover1?cluster={cluster}")

        async def ask(path: str, user: str = "charlie") -> tuple[int, str]:
            mark = "&" if "?" in path else "?"
            headers = {"Cookie": f"openclp_session={people[user]}"}
            status, text, _ = await manager.acall("GET", f"{path}{mark}cluster={cluster}", headers=headers)
            return status, re.sub(r"\s+", " ", re.sub(r"<script.*?</script>|<[^>]+>", " ", text, flags=re.DOTALL))

        ask.agent = one  # type: ignore[attr-defined]
        yield ask


async def test_monitors_are_listed_with_share_and_proposal(page) -> None:
    status, text = await page("/monitors/")

    assert status == 200
    assert "pidw1 pidw → exec1 server1 Normal" in text
    assert re.search(r"10 ms 40 ms 400 ms .*? \d+ % 3 bad answers 1 s never less than a second", text)


async def test_filters_and_order_of_the_list(page) -> None:
    assert "No monitor fits this filter." in (await page("/monitors/?near=1"))[1]
    assert "No monitor fits this filter." in (await page("/monitors/?q=nothing"))[1]
    assert "pidw1 pidw" in (await page("/monitors/?q=EXEC1&server=server1&sort=-worst"))[1]
    assert (await page("/monitors/?page=99&sort=rubbish"))[0] == 200

    await page.agent.change(measured("server1", 2, worst_ms=9_000.0, timeouts=2))
    while "2 timeouts" not in (text := (await page("/monitors/?near=1"))[1]):
        await asyncio.sleep(0.02)
    assert "1 monitor comes near its timeout or ran into it today." in text


async def test_page_of_a_monitor_has_configuration_and_what_hangs_together(page) -> None:
    status, text = await page("/monitors/pidw1/")

    assert status == 200
    assert "exec1 it is watched failover1 its group" in text
    assert re.search(r"Monitor timing While the target is active Interval [0-9.]+ s Timeout", text)
    assert "Suspend …" not in text  # Charlie looks only.
    assert "Suspend …" in (await page("/monitors/pidw1/", "bob"))[1]
    assert (await page("/monitors/unknown/"))[0] == 404


async def test_page_of_a_resource(page) -> None:
    status, text = await page("/resources/fip1/")

    assert status == 200
    assert "Active on server1" in text
    assert "failover1 belongs to it" in text
    assert "pidw1" in (await page("/resources/exec1/"))[1]


async def test_margins_say_how_near_and_what_would_be_safe(page) -> None:
    status, text = await page("/heartbeats/")

    assert status == 200
    assert re.search(r"The worst gap today is \d+ % of the timeout: 410 ms of", text)
    assert re.search(r"Proposed timeout: .*? or more \((twice the longest silence|three intervals)\)", text)
    assert re.search(r"lanhb2 lanhb Error nothing measured yet", text)
    status, text = await page("/heartbeats/lanhb1/")
    assert status == 200
    assert "server1 server2 Normal 100 ms 120 ms 150 ms 410 ms" in text
    assert (await page("/heartbeats/lanhb9/"))[0] == 404


async def test_pages_of_server_and_group_have_charts_and_configuration(page, cluster) -> None:
    from webmanager.measures import keeping, samples

    now = int(time.time())
    for minute in range(1, 4):
        sample = {("server", "server1", "server1"): (100.0, 110.0, 400.0 + minute, 0),
                  ("monitor", "pidw1", "server1"): (1.0, 2.0, 77.0, 0)}  # fmt: skip
        keeping.store(cluster, 60, (now - 60 * minute) // 60 * 60, samples.packed(sample))

    status, text = await page("/servers/server1/")
    assert status == 200
    assert "server1 longest 403 ms" in text
    assert "pidw1" in text
    status, text = await page("/groups/failover1/")
    assert status == 200
    assert "Startup attribute" in text
    status, text = await page("/monitors/pidw1/")
    assert "server1 longest 77 ms" in text
    assert "1 ms 2 ms 77 ms" in text
    assert "Nothing was recorded in this span yet" in (await page("/monitors/pidw1/?span=month"))[1]


async def test_rest_tells_the_points_of_a_chart(page, manager, cluster) -> None:
    from webmanager.measures import keeping, samples

    at = (int(time.time()) - 60) // 60 * 60
    keeping.store(cluster, 60, at, samples.packed({("monitor", "pidw1", "server1"): (None, None, None, 2)}))
    path = f"/api/v2/clusters/{cluster}/measures"

    status, body, _ = await manager.acall("GET", f"{path}/monitor/pidw1", user="charlie")
    assert status == 200
    assert body["servers"] == {
        "server1": [{"at": at, "span_s": 60, "low_ms": None, "mid_ms": None, "high_ms": None, "failed": 2}]
    }
    assert (await manager.acall("GET", f"{path}/monitor/pidw1?span=year", user="charlie"))[0] == 400
    assert (await manager.acall("GET", f"{path}/rubbish/pidw1", user="charlie"))[0] == 400


async def test_secrets_are_not_shown(page) -> None:
    from agent.clpconf.model import Monitor
    from webmanager.configs import MASK
    from webmanager.measures import configuration

    values = {value.label: value.text for value in configuration.of_monitor(
        Monitor(name="mysqlw1", type="mysqlw", values={"parameters/password": MASK})
    )}  # fmt: skip
    assert MASK in values.values()
