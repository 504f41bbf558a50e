"""Mail with and without encryption, webhooks, syslog and commands, against small servers of the test."""

from __future__ import annotations

import base64
import os
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.clpconf.alert_settings import Mail, MailServer
from agent.drivers import alert_command, smtp, syslog, webhook
from agent.ports import DriverError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-keyout", path, "-out", f"{path}.crt"),
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return str(path)


class MailServerOfTest:
    """One conversation at a time; `features` in clear, `after` once it is encrypted."""

    def __init__(self, certificate: str, features: tuple[str, ...], after: tuple[str, ...] = ()) -> None:
        self.features, self.after = features, after
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.heard: list[tuple[bool, str]] = []  # encrypted?, line
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            try:
                self.serve(link)
            except OSError:
                continue

    def serve(self, link: socket.socket) -> None:
        encrypted, file = False, link.makefile("rwb", 0)
        file.write(b"220 here\r\n")
        while line := file.readline().decode().strip():
            self.heard.append((encrypted, line))
            word = line.split()[0].upper()
            reply = "250 ok"
            if word == "EHLO":
                lines = ["here", *(self.after if encrypted else self.features)]
                reply = "\r\n".join(f"250{'-' if n < len(lines) - 1 else ' '}{one}" for n, one in enumerate(lines))
            elif word == "STARTTLS":
                file.write(b"220 go\r\n")
                link = self.context.wrap_socket(link, server_side=True)
                encrypted, file = True, link.makefile("rwb", 0)
                continue
            elif word == "AUTH":
                reply = "235 in" if "bad" not in base64.b64decode(line.split()[-1]).decode() else "535 no geheim-bad"
            elif word == "DATA":
                file.write(b"354 go\r\n")
                while file.readline() not in (b".\r\n", b""):
                    pass
            elif word == "QUIT":
                file.write(b"221 bye\r\n")
                return
            file.write(f"{reply}\r\n".encode())


@pytest.fixture
def server(certificate: str) -> Iterator[Callable[..., MailServerOfTest]]:
    made = []

    def make(*features: str, after: tuple[str, ...] = ()) -> MailServerOfTest:
        made.append(MailServerOfTest(certificate, features, after))
        return made[-1]

    yield make
    for one in made:
        one.listener.close()


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "c@example.com", "a@example.com", "x"
    mail.set_content("y")
    return mail


def settings(port: int, **more: Any) -> Mail:
    fields = {key: more.pop(key) for key in ("auth", "method", "password") if key in more}
    one = MailServer(host="127.0.0.1", port=port, sender="c@example.com", user="u", **fields)
    return Mail(to=("a@example.com",), by_command=False, timeout_s=5.0, servers=(one,), **more)


def test_encryption_is_used_where_it_is_offered_and_the_password_only_then(server: Callable[..., MailServerOfTest]):
    there = server("STARTTLS", after=("AUTH PLAIN LOGIN",))

    smtp.send(message(), settings(there.port, auth=True, password="geheim"))

    lines = [(encrypted, line.split()[0].upper()) for encrypted, line in there.heard]
    assert (True, "AUTH") in lines
    assert (True, "DATA") in lines
    assert all(encrypted for encrypted, word in lines if word in ("AUTH", "MAIL", "DATA"))


def test_password_is_not_sent_without_encryption_unless_it_is_told_to(server: Callable[..., MailServerOfTest]):
    there = server("AUTH PLAIN LOGIN")

    with pytest.raises(DriverError, match=r"no encryption|no way of authentication"):
        smtp.send(message(), settings(there.port, auth=True, method="LOGIN", password="geheim"))
    assert not any("AUTH" in line for _, line in there.heard)

    smtp.send(message(), settings(there.port, auth=True, method="PLAIN", password="geheim", encryption="none"))
    assert any(line.startswith("AUTH PLAIN") for _, line in there.heard)


def test_demanded_encryption_that_is_not_offered_or_not_trusted_sends_nothing(server: Callable[..., MailServerOfTest]):
    plain, own_signed = server("SIZE 1000"), server("STARTTLS", after=("SIZE 1000",))

    for there in (plain, own_signed):
        with pytest.raises(DriverError, match="No mail server took the mail"):
            smtp.send(message(), settings(there.port, encryption="starttls"))
        assert not any(line.upper().startswith("MAIL") for _, line in there.heard)


def test_what_a_server_says_about_a_password_is_not_repeated(server: Callable[..., MailServerOfTest]):
    there = server("STARTTLS", after=("AUTH PLAIN",))

    with pytest.raises(DriverError) as told:
        smtp.send(message(), settings(there.port, auth=True, password="geheim-bad"))

    assert "it refused user name or password (535)" in told.value.detail
    assert "geheim" not in told.value.detail


def test_the_next_mail_server_takes_what_the_first_did_not(server: Callable[..., MailServerOfTest]):
    there = server()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = int(closed.getsockname()[1])
    dead = MailServer(host="127.0.0.1", port=port)
    good = settings(there.port)

    smtp.send(message(), Mail(to=good.to, by_command=False, servers=(dead, *good.servers), timeout_s=5.0))

    assert any(line == "data" for _, line in there.heard)


def test_mail_command_gets_the_mail_and_its_failure_is_told(tmp_path: Path):
    good, bad = tmp_path / "sendmail", tmp_path / "bad"
    good.write_text(f"#!/bin/sh\ncat >{tmp_path}/mail\n")
    bad.write_text("#!/bin/sh\necho queue full >&2\nexit 75\n")
    good.chmod(0o755)
    bad.chmod(0o755)

    smtp.send(message(), Mail(to=("a@example.com",)), (str(good),))
    with pytest.raises(DriverError, match="ended with 75: queue full"):
        smtp.send(message(), Mail(to=("a@example.com",)), (str(bad),))
    with pytest.raises(DriverError, match="There is no mail command"):
        smtp.send(message(), Mail(to=("a@example.com",)), (str(tmp_path / "none"),))

    assert "To: a@example.com" in (tmp_path / "mail").read_text()


def test_webhook_that_refuses_or_redirects_is_a_failure_without_its_path():
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    hook = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with pytest.raises(DriverError) as told:
        webhook.post(f"http://127.0.0.1:{hook.server_port}/services/T0KEN", b"{}", "geheim")
    hook.shutdown()
    hook.server_close()

    assert told.value.detail == f"The webhook at 127.0.0.1 port {hook.server_port} answered 302."


def test_syslog_takes_datagrams_streams_and_udp(tmp_path: Path):
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        stream.bind(str(tmp_path / "log"))
        stream.listen()
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5)

        syslog.send_local(b"<27>one", tmp_path / "log")
        syslog.send_remote(b"<27>two", "127.0.0.1", udp.getsockname()[1])

        link, _ = stream.accept()
        with link:
            assert link.recv(100) == b"<27>one\0"
        assert udp.recv(100) == b"<27>two"
    with pytest.raises(DriverError, match="Nobody takes syslog messages at"):
        syslog.send_local(b"x", tmp_path / "none")


@pytest.mark.slow
def test_command_that_hangs_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alert_command, "TIMEOUT_S", 1.0)

    with pytest.raises(DriverError, match="did not end within"):
        alert_command.run(f"sh -c 'sleep 1000 & echo $! >{tmp_path}/pid; wait'", {})

    try:
        child = os.pidfd_open(int((tmp_path / "pid").read_text()))
    except ProcessLookupError:
        return
    with os.fdopen(child, "rb") as ended:  # The kernel ends it when it gets a CPU.
        assert select.select([ended], [], [], 10.0)[0]


@pytest.mark.parametrize(
    ("command", "words"),
    [("'", "cannot be read"), ("", "is empty"), ("/none", "cannot be started"), ("false", "ended with 1")],
)
def test_command_that_cannot_run_is_told(command: str, words: str):
    with pytest.raises(DriverError, match=words):
        alert_command.run(command, {})
