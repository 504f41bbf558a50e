"""A server becomes an agent with a join token, and what it got is taken away again."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import http.server
import io
import json
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from agent.cli import clpjoin
from agent.daemon.push import read_managers
from agent.wire import join
from tests.webmanager.accounts.visitor import Visitor, rows
from tests.webmanager.stack import agent, report
from tests.webmanager.test_sockets import until_known

pytestmark = pytest.mark.slow


@pytest.fixture
def alice(visitor, people):
    return visitor(people["alice"])


@pytest.fixture
def token(alice, manager, cluster):
    def make(node: str = "server1", hours: str = "1") -> str:
        form = {"node": node, "cluster": cluster, "url": f"http://{manager.host}/", "hours": hours}
        assert alice.post("/agents/token", **form) == 200
        return alice.shown("token")

    return make


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """run(token) -> (exit code, what it said); manager.json is in tmp_path."""

    def go(text: str, *words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text + "\n"))
        code = clpjoin.main(["--conf-dir", str(tmp_path), *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return go


async def test_token_becomes_an_agent_that_may_be_revoked(manager, alice, cluster, token, run, tmp_path):
    text = await asyncio.to_thread(token)
    (tmp_path / "manager.json").write_text('[{"url": "ws://other/ws/agent/", "node": "n", "secret": "s"}]')
    code, said = await asyncio.to_thread(run, text, "--watch-only")
    assert (code, "is an agent of" in said) == (0, True)
    file = tmp_path / "manager.json"
    assert file.stat().st_mode & 0o777 == 0o600
    other, entry = read_managers(file)
    assert (other.node, entry.node, entry.configure) == ("n", "server1", False)
    assert entry.secret not in said
    assert entry.endpoint() == f"ws://{manager.host}/ws/agent/"

    async with agent(manager, cluster, "server1", entry.secret) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await asyncio.to_thread(connected, alice, cluster)
        key = alice.text.split('name="agent" value="')[-1].split('"')[0]
        assert key.isdigit()
        from webmanager.models import Agent

        key = str(Agent.objects.get(cluster__name=cluster).pk)
        assert await asyncio.to_thread(alice.post, "/agents/revoke", agent=key) == 302
        assert (await one.closed())[0] == 4401
    async with agent(manager, cluster, "server1", entry.secret) as one:
        assert (await one.closed())[0] == 4401
    told = [
        row.action for action in ("agent.token", "agent.join", "agent.revoke") for row in rows(action, cluster=cluster)
    ]
    assert told == ["agent.token", "agent.join", "agent.revoke"]


async def test_right_that_is_taken_away_in_another_process_ends_at_once(manager, second, people, cluster, register):
    from webmanager.models import Agent

    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await until_known(second, cluster)
        key = str(Agent.objects.get(cluster__name=cluster).pk)
        other = Visitor(second, people["alice"])
        assert await asyncio.to_thread(other.post, "/agents/revoke", agent=key) == 302
        assert (await one.closed())[0] == 4401


def connected(alice, cluster) -> None:
    from tests.webmanager.stack import until

    def there() -> bool:
        alice.get("/agents/")
        row = alice.text.split(f"<td>{cluster}</td>")[1].split("</tr>")[0]
        return "Not connected" not in row and "Connected" in row

    until(there, "the agent on its page")


def test_token_works_once(token, run, tmp_path):
    text = token()
    assert run(text)[0] == 0
    before = (tmp_path / "manager.json").read_bytes()
    code, said = run(text)
    assert (code, "used already" in said) == (1, True)
    assert (tmp_path / "manager.json").read_bytes() == before


def test_lost_answer_loses_no_token(environment, cluster, token):
    from webmanager.accounts import joining
    from webmanager.models import Agent

    found = join.decode_token(token())
    asked = join.ask(found, "a" * 64)
    first = joining.exchange(asked=asked, address="127.0.0.1")
    assert joining.exchange(asked=asked, address="127.0.0.1") == first
    with pytest.raises(joining.RefusedError, match="used already"):
        joining.exchange(asked=join.ask(found, "b" * 64), address="127.0.0.1")
    digest = hashlib.sha256(join.agent_secret(found.secret, "a" * 64, first.nonce).encode()).hexdigest()
    assert Agent.objects.get(cluster__name=cluster).secret_sha256 == digest


def test_old_token_and_one_that_was_taken_back_are_refused(environment, alice, cluster, token, run):
    from webmanager.accounts.models import JoinToken

    text = token()
    past = JoinToken.objects.get(cluster__name=cluster).at - datetime.timedelta(hours=1)
    JoinToken.objects.filter(cluster__name=cluster).update(ends_at=past)
    assert "too old" in run(text)[1]
    text = token("server2")
    key = JoinToken.objects.get(cluster__name=cluster, node="server2").key
    assert alice.post("/agents/token", take_back=key) == 302
    assert "not known" in run(text)[1]


def test_wrong_secret_is_refused_and_not_tried_for_long(manager, token):
    found = join.decode_token(token())
    forged = join.Token(url=found.url, node=found.node, cluster=found.cluster, id=found.id, secret="00" * 32)

    def ask(one: join.Token) -> int:
        asked = join.ask(one, "a" * 64)
        body = {field: getattr(asked, field) for field in asked.__struct_fields__}
        return manager.call("POST", "/join/v1", body=body)[0]

    assert [ask(forged) for _ in range(11)] == [403] * 10 + [429]


@pytest.mark.parametrize(("body", "status"), [("x" * 5000, 413), ("[]", 400), ('{"id": 1}', 400), ("\xff", 400)])
def test_rubbish_gets_a_sentence(manager, people, body, status):
    found, text, _ = manager.call("POST", "/join/v1", body=body.encode("latin-1"))
    assert (found, text["error"].endswith(".")) == (status, True)


def test_viewer_and_operator_make_no_tokens(visitor, people):
    for name in ("bob", "charlie"):
        guest = visitor(people[name])
        assert guest.post("/agents/token", node="x", url="http://h/", hours="1") == 403
        assert guest.post("/agents/revoke", agent="1") == 403


@pytest.mark.parametrize(
    ("form", "word"),
    [({"node": "a:b"}, "colon"), ({"url": "ftp://h/"}, "address"), ({"url": "https://h/"}, "OPENCLP_TLS_CERTIFICATE"),
     ({"hours": "999"}, "at most"), ({"hours": "x"}, "at most")],
)  # fmt: skip
def test_wrong_wishes_say_what_helps(alice, form, word):
    assert alice.post("/agents/token", **({"node": "server1", "url": "http://h/", "hours": "1"} | form)) == 200
    assert word in alice.words()


def test_file_that_cannot_be_used_is_told_before_the_token_is_spent(environment, cluster, token, run, tmp_path):
    from webmanager.accounts.models import JoinToken

    (tmp_path / "manager.json").write_text("{}")
    code, said = run(token())
    assert (code, "nothing was changed" in said) == (1, True)
    assert JoinToken.objects.get(cluster__name=cluster).used_at is None
    assert (tmp_path / "manager.json").read_text() == "{}"


# Over https: a front that speaks TLS and hands everything on, as a proxy does.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    for name in ("right", "wrong"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.pem"],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
    return directory


class Front:
    def __init__(self, manager, certificates: Path, name: str) -> None:
        self.bodies: list[bytes] = []
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                front.bodies.append(body)
                status, found, _ = manager.call("POST", self.path, body=body)
                sent = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def fronts(manager, certificates):
    found = {name: Front(manager, certificates, name) for name in ("right", "wrong")}
    yield found
    for front in found.values():
        front.close()


def tls_token(cluster: str, url: str, certificate: Path) -> str:
    from webmanager.accounts import joining
    from webmanager.accounts.actor import Actor

    return joining.make(
        node="server1", cluster=cluster, url=url, hours=1, actor=Actor(who="alice"), certificate=str(certificate)
    )


def test_over_tls_the_certificate_is_pinned(manager, cluster, fronts, certificates, run, tmp_path):
    code, said = run(tls_token(cluster, fronts["right"].url, certificates / "right.pem"))
    assert code == 0, said
    (entry,) = read_managers(tmp_path / "manager.json")
    assert entry.certificate == (certificates / "right.pem").read_text()
    assert entry.endpoint().startswith("wss://127.0.0.1:")
    # What the agent connects with from now on takes this certificate and no other one.
    assert handshake(entry.tls(), fronts["right"]) == ""
    assert "CERTIFICATE_VERIFY_FAILED" in handshake(entry.tls(), fronts["wrong"])


def handshake(context: ssl.SSLContext, front: Front) -> str:
    import socket

    with socket.create_connection(front.server.server_address, timeout=5) as raw:
        try:
            context.wrap_socket(raw, server_hostname="anything").close()
        except ssl.SSLError as error:
            return error.reason or ""
    return ""


def test_whoever_stands_between_gets_nothing(manager, cluster, fronts, certificates, run, tmp_path):
    code, said = run(tls_token(cluster, fronts["wrong"].url, certificates / "right.pem"))
    assert (code, "another certificate" in said) == (1, True)
    assert fronts["wrong"].bodies == []
    assert not (tmp_path / "manager.json").exists()
