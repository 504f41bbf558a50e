"""A new type is one file and one line of the catalog: all that there is to say of a type is said by its declaration."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import sys
from importlib import import_module

import pytest
from django.urls import reverse

import agent.resources
from agent import catalog
from agent.cli import clpcfctrl, clpcfget, clpcfset, config_display
from agent.clpconf.load import load
from agent.clpconf.validate import validate
from agent.daemon.binding import Machine
from agent.wire.status import build_status
from builder import secrets

pytestmark = pytest.mark.slow

# The file. Nothing but the line in the catalog follows.
FILE = '''"""bell: a bell that rings where the group runs."""

from agent.clpconf.schema import SECRET, TEXT, Param, TypeSpec, Values, integer
from agent.ports import Ports
from agent.resources import ResourceType

RUNG = []

SPEC = TypeSpec(
    "bell", "Bell resource", params=(
        Param("parameters/tower", "Tower", TEXT, required=True, help="Where the bell hangs."),
        Param("parameters/strokes", "Strokes", integer(1, 12), default=3, unit="times", help="For each start."),
        Param("parameters/rope", "Word of the sexton", SECRET, help="Said before it rings."),
    ),
    depends_on=("fip",), help="Rings when its group starts.", family="Sounds",
)


async def activate(values: Values, ports: Ports) -> None:
    RUNG.append((values["parameters/tower"], values["parameters/strokes"]))


async def deactivate(values: Values, ports: Ports) -> None:
    RUNG.clear()


TYPE = ResourceType(SPEC, activate, deactivate)
'''
BELL = "/root/resource/bell@bell1"
WORD = "rope-of-hemp"


@pytest.fixture
def bell(tmp_path, monkeypatch):
    """The module of the new type."""
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "bell.py").write_text(FILE)
    monkeypatch.setattr(agent.resources, "__path__", [*agent.resources.__path__, str(tmp_path / "types")])
    module = import_module("agent.resources.bell")
    monkeypatch.delattr(agent.resources, "bell")
    monkeypatch.delitem(sys.modules, "agent.resources.bell")
    monkeypatch.setitem(catalog.RESOURCES, "bell", module.TYPE)
    for cached in (catalog.specs, secrets._names):
        cached.cache_clear()
    yield module
    for cached in (catalog.specs, secrets._names):
        cached.cache_clear()


@pytest.fixture
def conf(bell, tmp_path, monkeypatch, capsys):
    """Made by the commands alone."""
    monkeypatch.chdir(tmp_path)
    for line in (
        "create c ASCII", "add srv server1 0", "add device server1 lan 0 192.0.2.11", "add hb lankhb 0 0",
        "add grp failover failover1", "add rsc failover1 fip fip1", "add rscparam fip fip1 parameters/ip 192.0.2.20",
        "add rsc failover1 bell bell1", "add rscparam bell bell1 parameters/tower north",
        "add rscparam bell bell1 parameters/strokes 5", f"add rscparam bell bell1 parameters/rope {WORD}",
    ):  # fmt: skip
        assert clpcfset.main(line.split()) == 0, capsys.readouterr().err
    capsys.readouterr()
    return tmp_path / "clp.conf"


def findings(data):
    return {(f.code, f.path.removeprefix(BELL)) for f in validate(data, catalog.specs()) if BELL in f.path}


def test_commands_add_read_check_and_show_it(conf, capsys):
    def said(main, line):
        code = main(line.split())
        return code, capsys.readouterr().out

    assert '<types name="bell"/>' in conf.read_text()
    assert said(clpcfctrl.main, "--check clp.conf") == (0, "")
    assert said(clpcfget.main, "-i clp.conf -e /root/resource/bell") == (0, "bell1\n")
    assert said(clpcfget.main, f"-i clp.conf -g {BELL}/parameters/strokes") == (0, "5\n")
    assert clpcfset.main(["del", "rscparam", "bell", "bell1", "parameters/strokes"]) == 0
    capsys.readouterr()
    assert said(clpcfget.main, f"-i clp.conf -g {BELL}/parameters/strokes") == (0, "3\n")
    assert said(clpcfctrl.main, "--check clp.conf") == (0, "")


def test_wrong_missing_and_unknown_values_are_found(conf, capsys):
    good = conf.read_bytes()
    assert findings(good) == set()
    assert ("value.range", "/parameters/strokes") in findings(good.replace(b">5<", b">13<"))
    assert ("value.syntax", "/parameters/strokes") in findings(good.replace(b">5<", b">often<"))
    assert any(code == "value.missing" for code, _ in findings(good.replace(b">north<", b"><")))
    conf.write_bytes(good.replace(b">5<", b">13<"))
    assert clpcfctrl.main(["--check", "clp.conf"]) == 1
    line = capsys.readouterr().out
    assert f"{BELL}/parameters/strokes" in line
    assert "12" in line


def test_readers_know_it_and_a_server_starts_it(conf, bell, capsys, monkeypatch):
    cluster = load(conf.read_bytes(), catalog.specs()).cluster
    assert build_status(cluster, {}, None, 10.0)["resources"]["bell1"]["type"] == "bell"

    machine = Machine(cluster, "server1", network=None, processes=None, scripts=conf.parent, facts=None,
                      log=lambda *_: None)  # fmt: skip
    bound = machine.resource("bell1")
    asyncio.run(bound.type.activate(bound.values, bound.ports))
    assert bell.RUNG == [("north", 5)]

    monkeypatch.setenv("OPENCLP_ETC", str(conf.parent))
    config_display.show(("resource", "bell1"), detail=True, as_json=False)
    shown = capsys.readouterr().out
    assert "Tower" in shown
    assert WORD not in shown


@pytest.fixture
def drawn(conf, users):
    """The same file as a draft of the Builder."""
    from agent.clpconf.archive import Bundle
    from builder import services

    made = services.create_draft(bundle=Bundle(conf.read_bytes(), {}), name="bells", user=users["alice"])
    yield made
    made.delete()


def page(answer, status=200):
    assert answer.status_code == status, answer.content.decode()[-2000:]
    return html.unescape(answer.content.decode())


def test_builder_offers_shows_and_saves_it_with_its_help(drawn, client):
    alice = client()
    offered = page(alice.get(reverse("builder-add", args=(drawn.pk,)), {"kind": "resource"}))
    assert "Sounds" in offered
    assert "Rings when its group starts." in offered

    form = page(alice.get(reverse("builder-draft", args=(drawn.pk,)), {"at": BELL}))
    for text in ("Bell resource", "Rings when its group starts.", "Where the bell hangs.", "Tower", "times"):
        assert text in form
    assert 'name="value:parameters/strokes" value="5" placeholder="3"' in form
    assert WORD not in form

    save = reverse("builder-save", args=(drawn.pk,))
    field = {"at": BELL, "revision": 1, "was:parameters/strokes": "5"}
    refused = page(alice.post(save, {**field, "value:parameters/strokes": "13"}), 422)
    assert 'aria-invalid="true"' in refused
    assert alice.post(save, {**field, "value:parameters/strokes": "7"}).status_code == 302
    drawn.refresh_from_db()
    assert b"<strokes>7</strokes>" in drawn.bundle.conf
    assert "bell1" in page(alice.get(reverse("builder-search", args=(drawn.pk,)), {"q": "Bell resource"}))


def test_rest_adds_checks_and_compares_it(drawn, client):
    def call(method, path, body):
        answer = getattr(client(), method)(f"/api/v1/configuration/{path}", body, content_type="application/json")
        assert answer.status_code == 200, answer.content
        return answer.json()

    second = {"op": "add_resource", "group": "failover1", "type": "bell", "name": "bell2"}
    tower = {"op": "set", "path": "/root/resource/bell@bell2/parameters/tower", "value": "south"}
    many = {"op": "set", "path": f"{BELL}/parameters/strokes", "value": "12"}
    before = base64.b64encode(drawn.bundle.conf).decode()
    call("post", f"drafts/{drawn.pk}/changes", json.dumps({"revision": 1, "changes": [second, tower, many]}))

    assert call("get", f"drafts/{drawn.pk}/validation", None)["findings"] == []
    other = call("post", "drafts", json.dumps({"conf": before, "name": "before"}))["draft"]["id"]
    differences = call("get", f"diff?before=draft:{other}&after=draft:{drawn.pk}", None)["differences"]
    assert {(one["change"], one["name"], one["label"]) for one in differences} >= {("changed", "bell1", "Strokes")}
    assert client().delete(f"/api/v1/configuration/drafts/{other}").status_code == 200
