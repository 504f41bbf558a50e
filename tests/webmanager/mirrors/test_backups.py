"""Backup and restore of mirror disks as the original's REST clients ask for them, and on the page."""

from __future__ import annotations

import asyncio

import pytest

from tests.agent.cli import mirrors
from tests.webmanager.mirrors.test_pages import page, told
from tests.webmanager.reporting import reporting

pytestmark = pytest.mark.slow


async def post(manager, cluster, path, body=None, user="alice", **more):
    url = f"/api/v1/mirrors/{path}?cluster={cluster}"
    status, reply, _ = await manager.acall("POST", url, user=user, body=body or {}, **more)
    return status, reply


async def ended(manager, cluster, what):
    url = f"/api/v1/mirrors/{what}/status?cluster={cluster}"
    while (found := (await manager.acall("GET", url, user="charlie"))[1])["detail"]["status"] == "running":
        await asyncio.sleep(0.02)
    assert found["result"] == {"code": 0, "message": ""}
    return found["detail"]["status"]


def asked(one):
    return [(r["op"], r.get("target", ""), r.get("server", "")) for r in (c["request"] for c in one.commands)]


BEGIN, END = ("mirror_backup_begin", "md1", "server2"), ("mirror_backup_end", "md1", "server2")
RESTORE, RESTORED = ("mirror_restore_begin", "md1", "server2"), ("mirror_restore_end", "md1", "server2")
OFF, STOP, REBOOT = (("server_" + what, "server2", "") for what in ("shutdown", "stop", "reboot"))


@pytest.mark.parametrize(
    ("path", "flags", "expected"),
    [
        ("backup/preaction", {}, [BEGIN, OFF]),
        ("backup/preaction", {"no-shutdown": True}, [BEGIN, STOP]),
        ("backup/preaction", {"only-shutdown": True, "online": False}, [OFF]),
        ("backup/preaction", {"online": True, "timeout": 60}, [BEGIN]),
        ("backup/postaction", {}, [END, REBOOT]),
        ("backup/postaction", {"no-reboot": True}, [END]),  # its service runs
        ("backup/postaction", {"only-reboot": True}, [REBOOT]),
        ("restore/preaction", {"online": True, "target": "server2"}, [RESTORE]),
        ("restore/postaction", {"skip-copy": True, "online": True, "target": "server2"}, [RESTORED]),
    ],
)
async def test_each_flag_asks_for_what_it_means(manager, cluster, register, path, flags, expected):
    async with told(manager, cluster, register, mirrors.equal()) as one:
        status, reply = await post(manager, cluster, path, flags)
        assert (status, reply["result"], len(reply["operations"])) == (200, {"code": 0, "message": ""}, 1)
        assert await ended(manager, cluster, path.partition("/")[0]) != ""
        assert asked(one) == expected
        first = one.commands[0]["request"]
        assert first.get("mount", True) == bool(flags.get("online"))
        assert first.get("same", False) == bool(flags.get("skip-copy"))


async def test_who_may_what_is_wrong_and_which_server_is_meant(manager, cluster, register):
    async with told(manager, cluster, register, mirrors.equal()) as one:
        assert (await post(manager, cluster, "backup/preaction", user="charlie"))[0] == 403
        assert (await post(manager, cluster, "restore/preaction", {"target": "server2"}, user="bob"))[0] == 403
        for path, body, word in (
            ("backup/preaction", {"no-reboot": True}, "no-reboot"),
            ("backup/preaction", {"online": True, "no-shutdown": True}, "contradicts"),
            ("backup/preaction", {"timeout": 0}, "timeout"),
            ("backup/preaction", {"target": "server3"}, "no mirror disk"),
            ("restore/preaction", {"skip-copy": True}, "skip-copy"),
        ):
            status, reply = await post(manager, cluster, path, body)
            assert (status, reply["result"]["code"]) == (400, 400)
            assert word in reply["result"]["message"]
        assert asked(one) == []
    async with told(manager, cluster, register, mirrors.restoring()) as one:
        # The one whose disk was prepared; a backup of two that stand by could be of either.
        assert (await post(manager, cluster, "restore/postaction", {"online": True}))[0] == 200
        await ended(manager, cluster, "restore")
        assert asked(one) == [RESTORED]
        assert "Say which server" in (await post(manager, cluster, "backup/preaction"))[1]["result"]["message"]


async def test_same_key_begins_once(manager, cluster, register):
    async with told(manager, cluster, register, mirrors.equal()) as one:
        key = {"Idempotency-Key": f"backup of {cluster}"}
        first = await post(manager, cluster, "backup/preaction", {"online": True}, headers=key)
        await ended(manager, cluster, "backup")
        again = await post(manager, cluster, "backup/preaction", {"online": True}, headers=key)
        assert first == again
        assert asked(one) == [BEGIN]


async def test_status_is_empty_before_and_a_cluster_without_mirrors_says_so(manager, cluster, register):
    async with reporting(manager, cluster, register("server1")):
        assert await ended(manager, cluster, "backup") == ""
        status, reply = await post(manager, cluster, "backup/preaction")
        assert (status, "no mirror disk" in reply["result"]["message"]) == (400, True)


async def test_page_offers_what_is_next(manager, people, cluster, register):
    begin, end = "op=mirror_backup_begin&amp;target=md1&amp;server=server2", "op=mirror_backup_end"
    async with told(manager, cluster, register, mirrors.equal()) as one:
        text = (await page(manager, people, "/mirrors/md1/", cluster))[1]
        assert (begin in text, end in text, "mirror_restore_begin" in text) == (True, False, False)
        form = {"op": "mirror_backup_begin", "target": "md1", "server": "server2", "confirm": "1"}
        assert (await page(manager, people, "/operate/", cluster, "bob", form))[0] in (200, 302)
        while asked(one) != [BEGIN]:
            await asyncio.sleep(0.02)
    async with told(manager, cluster, register, mirrors.separated()):
        while 'data-separated="server2"' not in (text := (await page(manager, people, "/mirrors/md1/", cluster))[1]):
            await asyncio.sleep(0.05)
        assert (begin in text, end in text) == (False, True)
        assert "is separated for a backup since" in text
