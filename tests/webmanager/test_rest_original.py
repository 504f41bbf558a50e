"""Every documented path of the original's interface: what ours answers, and that the README says the same."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest

from tests.webmanager.reporting import reporting
from tests.webmanager.stack import ROOT, config, note, report
from webmanager.models import Cluster

pytestmark = pytest.mark.slow
OK = {"code": 0, "message": ""}
RESULT, STATUS = {"code", "message"}, "Online"
TARGET = {"target": "server1"}

# Path below /api/v1 -> the fields of its reply beside `result` (None: not in this release), for GET.
READ = {
    "cluster": {"cluster": {"name", "status"}},
    "cluster/toratio": {"cluster": {"toratio"}},
    "servers": {"servers": {"name", "status"}},
    "servers/{s}": {"servers": {"name", "status"}},
    "groups": {"groups": {"name", "status", "current"}},
    "groups/{g}": {"groups": {"name", "status", "current"}},
    "groups/{g}?select=resources": {"groups": {"name", "resources"}},
    "resources": {"resources": {"name", "type", "status", "current", "group"}},
    "resources/{r}": {"resources": {"name", "type", "status", "current", "group"}},
    "monitors": {"monitors": {"name", "type", "status", "servers"}},
    "monitors/{m}": {"monitors": {"name", "type", "status", "servers"}},
    "servers?select=name": {"servers": {"name"}},
    "groups?select=name": {"groups": {"name"}},
    "resources?select=name": {"resources": {"name"}},
    "monitors?select=name": {"monitors": {"name"}},
    "metrics/groups/uptime": {"groups": {"name", "uptime"}},
    "metrics/groups/{g}/uptime": {"groups": {"name", "uptime"}},
    "metrics/config/last-applied-date": {"config": {"last-applied-date"}},
    "mirrors/backup/status": {"detail": {"status"}},
    "mirrors/restore/status": {"detail": {"status"}},
}
# Path -> (body, what reaches an agent: (op, target, server); None: not in this release), for POST.
OPERATE = {
    **{f"cluster/{verb}": ({}, (f"cluster_{verb}", "", "")) for verb in ("stop", "reboot", "shutdown", "suspend")},
    "cluster/start": ({}, ("server_start", "server3", "")),
    "cluster/resume": ({}, ("cluster_resume", "", "")),
    "cluster/toratio/set": ({"ratio": 2, "time": "2m"}, None),
    "cluster/toratio/reset": ({}, None),
    **{f"servers/{{s}}/{v}": ({}, (f"server_{v}", "server1", "")) for v in ("start", "stop", "reboot", "shutdown")},
    "servers/{s}/dummy-failure/start": ({}, None),
    "servers/{s}/dummy-failure/stop": ({}, None),
    "groups/start": (TARGET, ("group_start", "failover2", "server1")),
    "groups/stop": (TARGET, ("group_stop", "failover1", "")),
    "groups/{g}/start": (TARGET, ("group_start", "failover1", "server1")),
    "groups/{g}/stop": (TARGET, ("group_stop", "failover1", "")),
    "groups/{g}/move": ({"target": "server2"}, ("group_move", "failover1", "server2")),
    "resources/{r}/start": (TARGET, None),
    "resources/{r}/stop": ({}, None),
    "monitors/{m}/suspend": (TARGET, ("monitor_suspend", "userw1", "server1")),
    "monitors/{m}/resume": (TARGET, ("monitor_resume", "userw1", "server1")),
    "monitors/{m}/dummy-failure/start": (TARGET, ("monitor_fail", "userw1", "server1")),
    "monitors/{m}/dummy-failure/stop": ({"target": ""}, ("monitor_mend", "userw1", "")),
    "scripts/run": ({"script": "x.sh", "target": "192.0.2.1", "timeout": 180}, None),
}  # Of mirror disks: tests/webmanager/mirrors/test_backups.py.
MIRRORS = [f"mirrors/{what}/{when}" for what in ("backup", "restore") for when in ("preaction", "postaction")]


@pytest.fixture
def real(manager, cluster):
    """A path as documented -> of this test's cluster."""
    names = {}

    async def ask(method, path, body=None, user="bob"):
        if not names:
            monitors = (await manager.acall("GET", f"/api/v1/monitors?cluster={cluster}", user="bob"))[1]["monitors"]
            names.update({"s": "server1", "g": "failover1", "r": "fip1", "m": monitors[0]["name"]})
        mark = "&" if "?" in path else "?"
        url = f"/api/v1/{path.format(**names)}{mark}cluster={cluster}"
        status, reply, _ = await manager.acall(method, url, user=user, body=body)
        return status, reply, names

    return ask


def fields(reply):
    """Of the first object under each key but `result`."""
    return {key: set(value[0] if isinstance(value, list) else value) for key, value in reply.items() if key != "result"}


async def test_documented_reading(manager, cluster, register, real):
    async with reporting(manager, cluster, register("server1")):
        for path, expected in READ.items():
            status, reply, _ = await real("GET", path, user="charlie")
            if expected is None:
                assert (path, status, reply["result"]["code"]) == (path, 501, 501)
                assert "not possible in this release" in reply["result"]["message"]
            else:
                assert (path, status, fields(reply), reply["result"]) == (path, 200, expected, OK)


async def test_documented_operations(manager, cluster, register, real):
    async with reporting(manager, cluster, register("server1")) as one:
        await one.change(report("server3", 2, service="stopped", epoch=(0, 0), members=[]))
        while (await real("GET", "servers"))[1]["servers"][2]["status"] == STATUS:
            await asyncio.sleep(0.02)
        for path, (body, asked) in OPERATE.items():
            one.commands.clear()
            status, reply, names = await real("POST", path, body)
            requests = [command["request"] for command in one.commands]
            reached = [(r["op"], r.get("target", ""), r.get("server", "")) for r in requests]
            if asked is None:
                assert (path, status, reply["result"]["code"], reached) == (path, 501, 501, [])
            else:
                op, target, server = asked
                expected = [(op, names["m"] if target == "userw1" else target, server)]
                assert (path, status, reply["result"], reached) == (path, 200, OK, expected)


def readme_rows():
    """Each documented path of the README's table -> whether it says that it can be done."""
    text = (ROOT / "README.md").read_text()
    table = text.split("<!-- every documented path -->")[1].split("\n\n")[0]
    rows = {}
    for line in table.strip().splitlines()[2:]:
        method, paths, answer = (cell.strip() for cell in line.strip("|").split(" | "))
        for path in re.findall(r"`([^`]+)`", paths):
            assert (method, path) not in rows
            rows[method, path] = "501" not in answer
    return rows


def test_readme_tells_of_every_documented_path():
    rows = readme_rows()
    expected = {("GET", path): answer is not None for path, answer in READ.items()}
    expected |= {("POST", path): asked is not None for path, (_, asked) in OPERATE.items()}
    expected |= {("POST", path): True for path in MIRRORS}
    assert rows == expected


async def test_uptime_is_since_the_group_came_online(manager, cluster, register, real):
    async with reporting(manager, cluster, register("server1")) as one:
        # The steady clock of the server may be far from ours: only differences of its own count.
        clock = 1_000_000.0
        group = {"state": "Online", "serial": 1, "epoch": (1, 0), "since": clock - 500}
        one.rev += 1
        told = {**report("server1", 2), "groups": {"failover1": group}}
        reports = {"server1": {"report": told, "age_s": 0.0}}
        await one.send({"type": "change", "rev": one.rev, "at": clock, "reports": reports, "notes": []})
        while not (found := (await real("GET", "metrics/groups/{g}/uptime"))[1]["groups"][0])["uptime"]:
            await asyncio.sleep(0.02)
        assert 500 <= found["uptime"] < 600
        everything = {g["name"]: g["uptime"] for g in (await real("GET", "metrics/groups/uptime"))[1]["groups"]}
        assert (everything["failover2"], everything["failover1"] >= 500) == (0, True)


async def test_last_applied_date_is_from_the_servers_own_log(manager, cluster, register, real):
    from agent.wire.switch import config_id

    async with reporting(manager, cluster, register("server1")) as one:
        first = (await real("GET", "metrics/config/last-applied-date"))[1]["config"]["last-applied-date"]
        seen = Cluster.objects.get(name=cluster).seen_at
        assert datetime.fromisoformat(first) == seen.replace(microsecond=0)
        run, other = config_id(config(cluster)), "0" * 16
        about = {"module": "cp", "kind": "cluster", "name": cluster}
        notes = [note(n, event=82, params=[cluster, to], **about) for n, to in ((50, run), (60, run), (70, other))]
        await one.change(notes=tuple(notes))
        while (
            date := (await real("GET", "metrics/config/last-applied-date"))[1]["config"]["last-applied-date"]
        ) == first:
            await asyncio.sleep(0.02)
        assert datetime.fromisoformat(date) == datetime.fromtimestamp(notes[1]["time"], UTC)


class OldClient:
    """As scripts for the original are written: base URL, user and password, the documented paths, one cluster."""

    def __init__(self, base, user, password):
        self.base = base
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}/api/v1{path}", data, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            found = json.load(reply)
        if found["result"]["message"]:
            raise RuntimeError(found["result"]["message"])
        return found


async def test_client_of_the_original_needs_no_change(manager, people, cluster, register):
    """It knows no `?cluster=`: somebody with a role on one cluster sees just that one."""
    from django.contrib.auth import get_user_model

    from tests.webmanager.stack import PASSWORD

    user = get_user_model().objects.create_user(f"operator-of-{cluster}", password=PASSWORD)
    async with reporting(manager, cluster, register("server1")) as one:
        user.cluster_roles.create(cluster=Cluster.objects.get(name=cluster), role="operator")
        client = OldClient(f"http://{manager.host}", user.username, PASSWORD)

        def script():
            servers = [s["name"] for s in client.ask("GET", "/servers")["servers"] if s["status"] == "Online"]
            for group in client.ask("GET", "/groups")["groups"]:
                if group["current"] == servers[0]:
                    client.ask("POST", f"/groups/{group['name']}/move", {"target": servers[1]})
            for monitor in client.ask("GET", "/monitors")["monitors"]:
                client.ask("POST", f"/monitors/{monitor['name']}/suspend", {"target": servers[0]})
            return servers, client.ask("GET", "/cluster")["cluster"]["name"]

        servers, name = await asyncio.to_thread(script)
        assert (servers, name) == (["server1", "server2", "server3"], cluster)
        done = [(c["request"]["op"], c["request"]["target"], c["request"]["server"]) for c in one.commands]
        assert done[0] == ("group_move", "failover1", "server2")
        assert {op for op, _, _ in done[1:]} == {"monitor_suspend"}
        assert client.ask("GET", "/cluster")["cluster"]["name"] == cluster
