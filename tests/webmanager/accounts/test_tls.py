"""The manager speaks TLS by itself: an agent joins and reports with the certificate pinned; a proxy's word counts."""

from __future__ import annotations

import asyncio
import io
import subprocess

import pytest
from websockets.asyncio.client import connect

from agent.cli import clpjoin
from agent.daemon.push import read_managers
from tests.webmanager.accounts.visitor import Visitor
from tests.webmanager.stack import FakeAgent, Server, until

pytestmark = pytest.mark.slow


class TlsServer(Server):
    def answers(self) -> bool:
        """Whether it shows its certificate."""
        import contextlib
        import ssl

        assert all(process.poll() is None for process in self.processes), self.log.read_text()[-3000:]
        with contextlib.suppress(OSError):
            return bool(ssl.get_server_certificate(("127.0.0.1", self.port), timeout=5))
        return False


@pytest.fixture
def files(tmp_path):
    certificate, key = tmp_path / "m.pem", tmp_path / "m.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=manager", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    return certificate, key


async def test_agent_joins_and_reports_over_tls(environment, people, cluster, files, tmp_path, monkeypatch):
    from webmanager.accounts import joining
    from webmanager.accounts.actor import Actor

    certificate, key = files
    own = {"OPENCLP_TLS_CERTIFICATE": str(certificate), "OPENCLP_TLS_KEY": str(key)}
    server = TlsServer({**environment, **own}, tmp_path / "web.log")
    server.start()
    try:
        url = f"https://127.0.0.1:{server.port}/"
        text = await asyncio.to_thread(
            joining.make, node="server1", cluster=cluster, url=url, hours=1, actor=Actor(who="alice"),
            certificate=str(certificate),
        )  # fmt: skip
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert await asyncio.to_thread(clpjoin.main, ["--conf-dir", str(tmp_path)]) == 0
        (entry,) = read_managers(tmp_path / "manager.json")
        headers = {"Authorization": f"Bearer {entry.node}:{entry.secret}"}
        async with connect(entry.endpoint(), ssl=entry.tls(), additional_headers=headers, proxy=None) as socket:
            one = FakeAgent(socket, "server1", cluster)
            await one.hello()
            await one.snapshot()
            from webmanager.models import Cluster

            await asyncio.to_thread(until, lambda: Cluster.objects.get(name=cluster).config_hash, "the hello")
    finally:
        server.stop()


def test_word_of_a_trusted_proxy_counts_and_of_nobody_else(environment, people, manager, user, tmp_path):
    from tests.webmanager.accounts.visitor import rows

    behind = Server({**environment, "OPENCLP_PROXIES": "127.0.0.1"}, tmp_path / "web.log").start()
    try:
        for server, address in ((behind, "192.0.2.44"), (manager, "127.0.0.1")):
            name = user().get_username()
            assert Visitor(server, headers={"X-Forwarded-For": "203.0.113.9, 192.0.2.44"}).sign_in(name) == 302
            assert [row.address for row in rows("sign_in", who=name)] == [address]
    finally:
        behind.stop()
