"""Logs from the click to the file: REST, a real worker, the message server, a web process, a real agent's link."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import os
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.collection import Collections
from agent.daemon.push import Configuration, Manager, ManagerLink
from tests.agent.daemon.shell import CLP_CONF, StandIn
from tests.webmanager import stack
from tests.webmanager.test_sockets import until_known
from webmanager.logs import files, services, work
from webmanager.logs.models import Collection
from webmanager.models import Cluster

pytestmark = pytest.mark.slow
SECRET = "<trap><snmpsrv id='0'><srvname>h</srvname><snmpcom>geheim</snmpcom></snmpsrv></trap></cluster>"
LOGS = "/api/v2/clusters/c/logs"


@pytest.fixture
async def agent(manager, register, tmp_path, monkeypatch) -> AsyncIterator[StandIn]:
    """server1 of cluster "c" with its link; server2 has no agent that anybody reaches."""
    for name in ("etc", "log", "state", "run"):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.setenv(f"OPENCLP_{name.upper()}", str(tmp_path / name))
    (tmp_path / "etc/clp.conf").write_text(CLP_CONF.decode().replace("</cluster>", SECRET))
    found = StandIn(tmp_path / "log")
    found.console.collections = Collections(tmp_path / "state/logs", "server1", lambda: time.time() + 3600)
    entry = Manager(url=f"http://{manager.host}", node="server1", secret=register("server1", "c"))
    link = ManagerLink(entry, Configuration(CLP_CONF), found.observer, found.console, lambda *words: None)
    task = asyncio.ensure_future(link.run())
    await until_known(manager, "c")
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await found.console.collections.close()
    found.journal.close()
    Collection.objects.all().delete()


async def ended(manager: stack.Server, key: str) -> dict[str, Any]:
    for _ in range(600):
        body = (await manager.acall("GET", f"{LOGS}/{key}", user="bob"))[1]
        if body["log"]["ended"] is not None:
            return body["log"]
        await asyncio.sleep(0.05)
    raise AssertionError(f"it does not end: {body}")


def fetched(manager: stack.Server, key: str) -> tuple[http.client.HTTPResponse, dict[str, bytes]]:
    connection = http.client.HTTPConnection("127.0.0.1", manager.port, timeout=30)
    login = base64.b64encode(f"bob:{stack.PASSWORD}".encode()).decode()
    connection.request("GET", f"{LOGS}/{key}/file", headers={"Authorization": f"Basic {login}"})
    response = connection.getresponse()
    data = response.read()
    connection.close()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return response, {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}  # type: ignore[union-attr]


async def test_logs_are_collected_by_a_worker_and_fetched_without_secrets(manager, workers, agent, tmp_path):
    agent.note(1)

    status, body, response = await manager.acall("POST", LOGS, user="bob", body={"type": "type3"})
    assert status == 202
    assert response.getheader("Location") == f"{LOGS}/{body['log']['id']}"
    log = await ended(manager, body["log"]["id"])

    assert (log["state"], log["percent"]) == ("done", 100)
    reply, found = await asyncio.to_thread(fetched, manager, log["id"])
    assert int(reply.getheader("Content-Length") or 0) == log["size"]
    assert 'filename="logs-c-' in (reply.getheader("Content-Disposition") or "")
    assert not [name for name, data in found.items() if b"geheim" in data]
    assert b"<snmpcom>********</snmpcom>" in found["server1/clp.conf"]
    # server2 is only known by its name, and its absence is told, in the archive too.
    (absent,) = [one["error"] for one in log["servers"] if one["name"] == "server2"]
    assert absent
    assert found["server2/NOT_COLLECTED.txt"].decode().strip() == absent
    assert found["timeline.txt"].count(b"note 1") == 1
    assert b"The clock of server1 was 3600.0" in found["timeline.txt"] or b"was 3599.9" in found["timeline.txt"]
    assert b"Cluster c:" in found["cause.txt"]
    assert not list((tmp_path / "state/logs").iterdir())  # The agent keeps nothing of it.
    assert (
        oct(os.stat(Path(manager.environment["OPENCLP_DATA"]) / "logs" / f"{log['id']}.tar.gz").st_mode)[-3:] == "600"
    )


async def test_several_people_collect_at_once_and_one_cancels(manager, second, workers, agent):
    """The worker may ask either web process; the agent is connected to one of them."""
    keys = []
    for user in ("alice", "bob"):
        _, body, _ = await second.acall("POST", LOGS, user=user, body={"type": "type3", "servers": ["server1"]})
        keys.append(body["log"]["id"])
    status, body, _ = await manager.acall("POST", f"{LOGS}/{keys[0]}/cancel", user="bob")
    assert status == 403  # It is Alice's.
    status, body, _ = await manager.acall("POST", f"{LOGS}/{keys[0]}/cancel", user="alice")
    assert status == 200

    first, second = await ended(manager, keys[0]), await ended(manager, keys[1])

    assert second["state"] == "done"
    assert first["state"] in ("cancelled", "done")  # It may have been faster.
    status, _, _ = await manager.acall("DELETE", f"{LOGS}/{keys[1]}", user="bob")
    assert status == 200
    assert (await manager.acall("GET", f"{LOGS}/{keys[1]}/file", user="bob"))[0] == 404


async def test_bad_wishes_are_told_and_begin_nothing(manager, agent):
    for sent in ({"type": "type9"}, {"servers": ["server9"]}, {"limit_mib": 0}, {"servers": "server1"}):
        status, body, _ = await manager.acall("POST", LOGS, user="bob", body=sent)
        assert status in (400, 404), body
        assert body["result"]["message"]
    assert not Collection.objects.exists()


def row(cluster: Cluster, **more: Any) -> Collection:
    fields = {"kind": "type1", "limit_mib": 1, "by": "bob@::1", "servers": {"server1": {"percent": 0, "error": ""}}}
    return Collection.objects.create(cluster=cluster, **(fields | more))


@pytest.fixture
def stored(environment, settings, tmp_path, cluster) -> Iterator[Cluster]:
    settings.DATA = tmp_path
    yield Cluster.objects.create(name=cluster)
    Collection.objects.all().delete()


def test_old_many_and_large_archives_are_removed_with_their_files(stored, settings):
    settings.LOGS_KEPT, settings.LOGS_BYTES = 2, 100
    kept = [row(stored, state="done", size=size) for size in (70, 40, 20, 10)]  # oldest first
    for one in kept:
        files.archive(one.pk).write_bytes(b"x")
    stray = files.directory() / f"{kept[0].pk.hex[:8]}-0000-4000-8000-000000000000.tar.gz"
    stray.write_bytes(b"x")

    services.prune()

    assert set(Collection.objects.values_list("size", flat=True)) == {20, 10}
    assert {path.name for path in files.directory().iterdir()} == {f"{one.pk}.tar.gz" for one in kept[2:]}


def test_worker_that_was_killed_leaves_no_collection_that_runs_for_ever(stored):
    from django.utils import timezone

    lost = row(stored, state="running", told_at=timezone.now() - work.datetime.timedelta(seconds=work.LOST_S + 1))
    going = row(stored, state="running", told_at=timezone.now())
    files.workplace(lost.pk).mkdir()

    work.end_lost()

    lost.refresh_from_db()
    going.refresh_from_db()
    assert (lost.state, going.state) == ("failed", "running")
    assert not files.workplace(lost.pk).exists()


def test_collections_of_one_cluster_at_once_are_limited(stored):
    for _ in range(services.AT_ONCE):
        row(stored, state="waiting")

    with pytest.raises(services.NotNowError, match="already"):
        services.start(cluster=stored, status={"servers": {}}, servers=[], kind="type1", user=None, by="bob@::1")
