"""The console at a floating address: the manager is part of a failover group, and who is signed in stays signed in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import clean_bed
from tests.webmanager.stack import until
from webmanager.demo.bed import Bed
from webmanager.demo.cluster import DemoCluster, demo_plan
from webmanager.demo.machine import BedError

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "docs" / "console"
PORT = 29003
WAIT_S = 120.0
ADD = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
call_command("migrate", verbosity=0, interactive=False)
user = get_user_model().objects.create_user("alice", password="five-small-boats-42")
user.groups.add(Group.objects.get(name="administrator"))
"""
# In the client's network, as a browser would: signs in, and prints its cookies.
SIGN_IN = """
import http.cookiejar, sys, urllib.parse, urllib.request
jar = http.cookiejar.CookieJar()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar))
opener.open(sys.argv[1] + "/login/", timeout=20).read()
token = next(one.value for one in jar if one.name == "openclp_csrf")
form = {"username": "alice", "password": "five-small-boats-42", "csrfmiddlewaretoken": token}
body = urllib.parse.urlencode(form).encode()
request = urllib.request.Request(sys.argv[1] + "/login/", body, {"Origin": sys.argv[1]})
assert "/login/" not in opener.open(request, timeout=20).url
print("; ".join(f"{one.name}={one.value}" for one in jar))
"""
# Where the page is that the cookies open: behind the sign-in, or the sign-in itself; then what REST tells of the group.
LOOK = """
import sys, json, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def get(path):
    return opener.open(urllib.request.Request(sys.argv[1] + path, headers={"Cookie": sys.argv[2]}), timeout=10)
print("signed out" if "/login/" in get("/account/").url else "signed in")
print(json.load(get("/api/v1/groups/failover1"))["groups"][0]["current"])
"""


@pytest.fixture
def bed() -> Iterator[Bed]:
    with clean_bed(servers=2) as it:
        yield it


def settings(data: Path, address: str) -> str:
    lines = {"CONSOLE_HOME": ROOT, "CONSOLE_PYTHON": sys.executable, "CONSOLE_ADDRESS": address,
             "CONSOLE_PORTS": f"{PORT},29009", "OPENCLP_DATA": data}  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def installed(cluster: DemoCluster, data: Path) -> None:
    """The shipped scripts as those of exec1, and each agent with its way to the manager."""
    environment = {**os.environ, "OPENCLP_DATA": str(data), "DJANGO_SETTINGS_MODULE": "webmanager.settings"}
    subprocess.run([sys.executable, "-c", ADD], cwd=ROOT, env=environment, check=True, timeout=120)
    address = cluster.plan.groups[0].address
    files = {}
    for server in cluster.bed.servers:
        argv = [sys.executable, "manage.py", "agent", "add", server, "--cluster", cluster.plan.name]
        argv += ["--url", f"ws://{address}:{PORT}/ws/agent/"]
        done = subprocess.run(argv, cwd=ROOT, env=environment, check=True, timeout=120, capture_output=True, text=True)
        files[server] = done.stdout
    cluster.install(managers=files)
    for server in cluster.bed.servers:
        place = cluster.disk(server) / "etc/scripts/failover1/exec1"
        for name in ("start.sh", "stop.sh"):
            (place / name).write_bytes((SHIPPED / name).read_bytes())
        (place / "console.env").write_text(settings(data, address))


@pytest.mark.long
def test_signed_in_person_stays_signed_in_when_the_manager_moves(bed, tmp_path):
    """`data` is what a mirror disk or shared disk would be: the same files on both servers, used by one at a time."""
    (data := tmp_path / "data").mkdir(mode=0o700)
    cluster = DemoCluster(bed, demo_plan(bed, 1, majority=False))
    address = cluster.plan.groups[0].address
    url = f"http://{address}:{PORT}"
    installed(cluster, data)

    def client(script: str, *words: str) -> list[str]:
        try:
            return bed.client.run([sys.executable, "-c", script, url, *words], timeout_s=30).out.splitlines()
        except BedError:
            return []

    cluster.start_agents()
    cluster.wait_online(WAIT_S)
    (cookies,) = until(lambda: client(SIGN_IN), "somebody can sign in", WAIT_S, 0.5)
    until(lambda: client(LOOK, cookies) == ["signed in", "server1"], "the console shows its own group", WAIT_S, 0.5)

    cluster.crash("server1")

    until(lambda: client(LOOK, cookies) == ["signed in", "server2"], "the same on the other server", WAIT_S, 0.5)
    assert cluster.owners(address) == ["server2"]
    cluster.recover("server1")
    cluster.wait_online(WAIT_S)
    cluster.run("server2", "clpgrp", "-m", "failover1", "-a", "server1")
    until(lambda: client(LOOK, cookies) == ["signed in", "server1"], "the way back", WAIT_S, 0.5)


def test_manager_does_not_begin_anew_where_its_disk_is_missing(tmp_path):
    for name in ("start.sh", "console.env"):
        (tmp_path / name).write_bytes((SHIPPED / name).read_bytes())
    (tmp_path / "console.env").write_text(settings(tmp_path / "nothing", "127.0.0.1"))

    done = subprocess.run(["/bin/sh", str(tmp_path / "start.sh")], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "Is its disk mounted?" in done.stderr
    assert not (tmp_path / "nothing").exists()
