"""The Builder under a large file: what its pages cost the manager, through HTTP, with the draft in the database."""

from __future__ import annotations

import http.client
import http.cookiejar
import re
import statistics
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.goals import Goal
from tests.bench.web import free_ports
from webmanager.demo.console import Console
from webmanager.demo.machine import BedError

_LIMIT_S = 60.0
_OBJECTS = {
    "a program": "/root/resource/exec@exec250c",
    "a group": "/root/group@failover250",
    "a monitor": "/root/monitor/pidw@pidw250a",
    "a server": "/root/server@server07",
    "the cluster": "/root/cluster",
}
_FIELD = "parameters/timeout/start"
_OPEN_S, _FORM_S, _SAVE_S, _DIFF_S, _VALIDATE_S = 1.0, 0.3, 0.15, 1.0, 2.0

Say = Callable[[str], None]


@dataclass
class Measured:
    """Processor time of the web server for one step, and how long the answer took here."""

    name: str
    limit_s: float | None = None
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    @property
    def row(self) -> list[str]:
        cpu, wall = statistics.median(self.cpu_s), statistics.median(self.wall_s)
        return [f"pages: {self.name}", f"{cpu:.3f}", f"{max(self.cpu_s):.3f}", f"{wall:.3f}"]

    @property
    def goal(self) -> Goal | None:
        if self.limit_s is None:
            return None
        return Goal(f"pages: {self.name}", statistics.median(self.cpu_s), self.limit_s, "issue 4", unit="s")


class _SeeOther(urllib.request.HTTPRedirectHandler):
    """Redirections are answers: each request is measured by itself."""

    def redirect_request(self, *_: object) -> None:
        return None


class _Person:
    """An administrator with a browser that has no JavaScript, and an eye on the web server's processor clock."""

    def __init__(self, console: Console) -> None:
        self._base = console.url.rstrip("/")
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar), _SeeOther())
        self._clock = _clock_of(_web_server(console))
        self.get("/login/")
        status, _where, _text = self.post("/login/", {"username": console.user, "password": console.password})
        if status != 302:
            raise BedError(f"the manager did not let {console.user} in: {status}")

    def get(self, path: str) -> tuple[int, str, str]:
        return self._ask(urllib.request.Request(self._base + path))

    def post(self, path: str, fields: dict[str, str], file: bytes | None = None) -> tuple[int, str, str]:
        """(status, where to, text)"""
        body, kind = urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded"
        if file is not None:
            body, kind = _multipart(fields, file)
        headers = {"Content-Type": kind, "X-CSRFToken": self._token(), "Origin": self._base}
        return self._ask(urllib.request.Request(self._base + path, body, headers))

    def _token(self) -> str:
        return next((one.value or "" for one in self._jar if one.name.endswith("csrf")), "")

    def _ask(self, request: urllib.request.Request) -> tuple[int, str, str]:
        try:
            answer = self._opener.open(request, timeout=_LIMIT_S)
        except urllib.error.HTTPError as error:
            answer = error
        except (OSError, http.client.HTTPException) as error:
            raise BedError(f"{request.selector}: {error}") from error
        with answer:
            text = answer.read().decode("utf-8", "replace")
        if answer.status >= 400:
            raise BedError(f"{request.get_method()} {request.selector} gave {answer.status}: {_plain(text)[:300]}")
        return answer.status, answer.headers.get("Location", ""), text

    @contextmanager
    def measured(self, into: Measured) -> Iterator[None]:
        cpu, wall = time.clock_gettime(self._clock), time.monotonic()
        yield
        into.wall_s.append(time.monotonic() - wall)
        into.cpu_s.append(time.clock_gettime(self._clock) - cpu)


def measure(data: bytes, edited: bytes, say: Say, *, rounds: int) -> list[Measured]:
    """`edited`: the same file after some edits, for the comparison."""
    with tempfile.TemporaryDirectory(prefix="openclp-bench-") as directory:
        say("the manager starts")
        console = Console(Path(directory), Path(directory, "demo"), free_ports(), lambda line: None)
        try:
            console.wait_ready()
            return _Bench(_Person(console), say, rounds).run(data, edited)
        finally:
            console.close()


@dataclass
class _Bench:
    person: _Person
    say: Say
    rounds: int
    steps: list[Measured] = field(default_factory=list)

    def run(self, data: bytes, edited: bytes) -> list[Measured]:
        opened = self._step("open: upload, store, show", _OPEN_S)
        drafts = [self._open(opened, data) for _ in range(self.rounds)]
        other = self._open(Measured("the other one"), edited)
        draft = drafts[-1]
        for name, path in _OBJECTS.items():
            self._get(f"form of {name}", f"/builder/drafts/{draft}/?at={urllib.parse.quote(path)}", _FORM_S)
        self._save(draft)
        self._get("search", f"/builder/drafts/{draft}/search?q=exec499", None)
        self._findings(drafts)
        self._get("diff of two drafts", f"/builder/compare/?before=draft:{draft}&after=draft:{other}", _DIFF_S)
        self._versions(draft)
        return self.steps

    def _step(self, name: str, limit_s: float | None) -> Measured:
        self.say(name)
        self.steps.append(Measured(name, limit_s))
        return self.steps[-1]

    def _open(self, into: Measured, data: bytes) -> int:
        """Until the first form is there."""
        with self.person.measured(into):
            _status, where, _text = self.person.post("/builder/new", {"from": "file"}, data)
            self.person.get(where)
        return int(re.findall(r"drafts/([0-9]+)/", where)[0])

    def _get(self, name: str, path: str, limit_s: float | None) -> None:
        into = self._step(name, limit_s)
        for _ in range(self.rounds):
            with self.person.measured(into):
                self.person.get(path)

    def _save(self, draft: int) -> None:
        into, path, was = self._step("save a field", _SAVE_S), _OBJECTS["a program"], "300"
        for value in range(400, 400 + self.rounds):
            fields = {"at": path, "revision": str(value - 399), f"was:{_FIELD}": was, f"value:{_FIELD}": str(value)}
            with self.person.measured(into):
                self.person.post(f"/builder/drafts/{draft}/save", fields)
            was = str(value)
        _status, _where, text = self.person.get(f"/builder/drafts/{draft}/?at={urllib.parse.quote(path)}")
        if f'value="{was}"' not in text:
            raise BedError(f"the draft does not hold the value {was} that was saved last")

    def _findings(self, drafts: list[int]) -> None:
        """Each of another draft: what was said of the same bytes is remembered."""
        into = self._step("findings after a change", _VALIDATE_S)
        for number, draft in enumerate(drafts[:-1] or drafts):
            fields = {"at": _OBJECTS["a server"], "revision": "1", "was:comment": "", "value:comment": f"n{number}"}
            if len(drafts) > 1:
                self.person.post(f"/builder/drafts/{draft}/save", fields)
            with self.person.measured(into):
                self.person.get(f"/builder/drafts/{draft}/findings")

    def _versions(self, draft: int) -> None:
        """A version is not held as a document: it is read."""
        self.person.post(f"/builder/drafts/{draft}/keep", {"why": "of the bench"})
        _status, _where, text = self.person.get("/builder/")
        newest = max(int(key) for key in re.findall(r"versions/([0-9]+)/", text))
        self._get("diff with a version", f"/builder/compare/?before=version:{newest}&after=draft:{draft}", _DIFF_S)


def _web_server(console: Console) -> int:
    """The process of `manage.py up` that answers."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if b"webmanager.serve" in words and parent == console.pid:
            return int(process.name)
    raise BedError("the manager's web server was not found")


def _clock_of(process: int) -> int:
    """The kernel's processor clock of a process, ended threads included (clock_getcpuclockid of the C library)."""
    return (~process << 3) | 2


def _multipart(fields: dict[str, str], file: bytes) -> tuple[bytes, str]:
    mark = b"----openclp-bench"
    parts = [
        b"--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n" % (mark, name.encode(), value.encode())
        for name, value in fields.items()
    ]  # fmt: skip
    head = b'Content-Disposition: form-data; name="file"; filename="clp.conf"\r\nContent-Type: application/xml\r\n\r\n'
    parts.append(b"--%s\r\n%s%s\r\n--%s--\r\n" % (mark, head, file, mark))
    return b"".join(parts), f"multipart/form-data; boundary={mark.decode()}"


def _plain(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())
