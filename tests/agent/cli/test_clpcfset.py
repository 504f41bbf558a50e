"""clpcfset builds what the original's tool builds, from the words that its documentation knows."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.catalog import specs
from agent.cli import clpcfset
from agent.clpconf.command_words import WORDS, do
from agent.clpconf.diff import diff
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit, create
from agent.clpconf.element import Element
from agent.clpconf.objects import of_kind
from agent.clpconf.sections import DEVICE_IDS

Run = Callable[..., int]
_CORPUS = Path(os.environ.get("OPENCLP_CLPCONF") or Path(__file__).parents[4] / "shared" / "clpconf")
_FILES = [f"linux-{number:02}.conf" for number in range(1, 35)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda line: clpcfset.main(line.split())


def conf() -> str:
    return Path("clp.conf").read_text()


SMALLEST = """<?xml version="1.0" encoding="ASCII"?>
<root>
  <all>
    <charset>ASCII</charset>
    <serveros>linux</serveros>
    <encode>ASCII</encode>
  </all>
  <cluster>
    <name>c</name>
    <comment/>
  </cluster>
  <webmgr>
    <client>
      <objectnumber>9</objectnumber>
    </client>
  </webmgr>
  <server name="server1">
    <priority>0</priority>
    <device id="0">
      <type>lan</type>
      <info>127.0.0.1</info>
    </device>
  </server>
  <heartbeat>
    <types name="lanhb"/>
    <lanhb name="lanhb1">
      <priority>0</priority>
      <device>0</device>
    </lanhb>
  </heartbeat>
  <group name="failover1">
    <type>failover</type>
    <comment/>
    <gid>0</gid>
    <resource name="exec@exec1"/>
  </group>
  <resource>
    <types name="exec"/>
    <exec name="exec1">
      <comment/>
      <parameters>
        <act>
          <path>start.sh</path>
        </act>
      </parameters>
    </exec>
  </resource>
  <monitor>
    <types name="userw"/>
    <userw name="userw">
      <comment/>
      <relation>
        <type>cls</type>
      </relation>
    </userw>
  </monitor>
  <rstd>
    <use>1</use>
  </rstd>
</root>
"""


def test_documented_commands_build_the_file_of_the_original_byte_for_byte(run: Run):
    for line in (
        "create c ASCII ASCII linux", "add srv server1 0", "add device server1 lan 0 127.0.0.1", "add hb lanhb 0 0",
        "add grp failover failover1", "add rsc failover1 exec exec1",
        "add rscparam exec exec1 parameters/act/path start.sh", "add mon userw userw",
        "add monparam userw userw relation/type cls", "add clsparam rstd/use 1",
    ):  # fmt: skip
        assert run(line) == 0

    assert conf() == SMALLEST


@pytest.mark.parametrize("number", ["0", "400"])
def test_device_numbers_are_counted_from_the_first_of_the_kind_or_absolute(run: Run, number: str):
    for line in ("create c ASCII", "add srv a 0", f"add device a mdc {number} 10.0.0.1"):
        assert run(line) == 0

    assert '<device id="400">' in conf()


@pytest.mark.slow
def test_adding_again_replaces(run: Run):
    lines = (
        "create c ASCII", "add srv a 0", "add device a ping 0 1", "add np pingnp 0 0 0 0 10.0.0.1",
        "add device a lan 0 10.0.0.5", "add hb lanhb 0 0", "add grp failover g", "add rsc g fip f", "add rsc g exec e",
        "add rscdep exec e f", "add mon ipw i", "add webmgr clientlist 10.0.0.0/8", "add messages rc 10 1 0 0 0 1",
        "add messages cmdline rc 10 /bin/true", "add smtpsrv 0 mail.example 25 a@b", "add snmpsrv t.example 162 v1 x",
        "add rscparam fip f parameters/ip 10.0.0.9", "add monparam ipw i parameters/list@0/ip 10.0.0.1",
        "add grpparam failover g policy@a/order 0", "add hba a 0 1 2 3", "add alertservice",
        "add alert a 20000 dn1500gl 10.0.0.9 u p 0", "add np majonp 1", "add device a http 0 1",
        "add np httpnp 0 2 w:81",
    )  # fmt: skip
    for line in lines:
        assert run(line) == 0
    once = conf()

    for line in lines[1:]:
        assert run(line) == 0

    assert conf() == once


@pytest.mark.slow
def test_every_word_takes_away_what_it_added(run: Run):
    for line in ("create c ASCII", "add srv a 0", "add grp failover g", "add device a lan 0 10.0.0.5"):
        run(line)
    before = Document.read(Path("clp.conf").read_bytes())
    pairs = (
        ("srv b 1", "srv b"), ("device a lan 1 10.0.1.5", "device a lan 1"), ("hb lankhb 0 0", "hb lankhb 0"),
        ("rsc g exec e", "rsc g exec e"), ("mon userw u", "mon userw u"), ("grp failover h", "grp failover h"),
        ("np majonp 0", "np majonp"), ("webmgr clientlistro 10.0.0.0/8", "webmgr clientlistro 10.0.0.0/8"),
        ("messages rc 10 1 0 0 0 1", "messages rc 10"), ("smtpsrv 0 m 25 a@b", "smtpsrv m"),
        ("snmpsrv t 162", "snmpsrv t"), ("hba a 0 1 2 3", "hba a 0"), ("clsparam pm/exec0/recover 3",
        "clsparam pm/exec0/recover"), ("grpparam failover g start 0", "grpparam failover g start"),
        ("alert a 20000 patlite 10.0.0.9 u p 0", "alert a 20000"), ("alertservice", "alertservice"),
    )  # fmt: skip
    assert {add.split()[0] for add, _ in pairs} | {"rscparam", "rscdep", "monparam"} == set(WORDS)

    for add, delete in pairs:
        assert run(f"add {add}") == 0
        assert diff(before, Document.read(Path("clp.conf").read_bytes()), specs()), add
        assert run(f"del {delete}") == 0

        assert diff(before, Document.read(Path("clp.conf").read_bytes()), specs()) == [], add


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("add", 2, "add what? Known: srv, device"),
        ("add nothing x", 2, "add what?"),
        ("add srv a", 2, "Usage: add srv SERVER PRIORITY"),
        ("add srv a x", 2, '"x" is no priority.'),
        ("add device a lan 300 10.0.0.1", 2, "from 0 to 299"),
        ("add device b lan 0 10.0.0.1", 1, 'There is no server "b"'),
        ("add hb fip 0 0", 2, "Known: bmchb"),
        ("add np pingnp 0 0", 2, "Usage: add np pingnp DEVICE PRIORITY GROUP LIST ADDRESS"),
        ("add rscparam fip f parameters/ip 10.0.0.1", 1, "resource/fip@f: There is nothing"),
        ("del mon userw u", 1, "There is nothing at this path."),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    run: Run, capsys: pytest.CaptureFixture[str], line: str, code: int, said: str
):
    run("create c ASCII")
    run("add srv a 0")
    before = conf()

    assert run(line) == code

    assert said in capsys.readouterr().err
    assert conf() == before


def test_json_says_whether_something_changed(run: Run, capsys: pytest.CaptureFixture[str]):
    run("create c ASCII")
    capsys.readouterr()

    assert (run("--json add srv a 0"), run("--json add srv a 0")) == (0, 0)

    assert [json.loads(line)["changed"] for line in capsys.readouterr().out.splitlines()] == [True, False]


def test_without_a_file_the_remedy_is_named(run: Run, capsys: pytest.CaptureFixture[str]):
    assert run("add srv a 0") == 1
    assert "make one with clpcfset create" in capsys.readouterr().err


def test_permissions_stay_and_the_old_file_is_kept(run: Run):
    run("create old ASCII")
    Path("clp.conf").chmod(0o600)

    assert run("add srv a 0") == 0
    assert Path("clp.conf").stat().st_mode & 0o777 == 0o600
    assert run("create new ASCII") == 0

    assert "<name>old</name>" in Path("clp.conf.bak").read_text()
    assert Path("clp.conf.bak").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", _FILES)
def test_files_of_the_original_tool_come_out_of_its_commands(name: str):
    """The commands are read off the file; what they build has its content."""
    path = _CORPUS / name
    if not path.exists():
        pytest.skip(f"no {name}: set OPENCLP_CLPCONF to a folder of clp.conf files")
    wanted = Document.read(re.sub(rb"%%(\w+)%%", rb"\1", path.read_bytes()))  # Templates that nobody filled in.

    made = create(
        text(wanted.root, "cluster/name"), *(text(wanted.root, f"all/{one}") for one in ("charset", "encode"))
    )
    edit = Edit(made, specs())
    for words in commands(wanted.root):
        do("add", words)(edit)

    assert [str(one) for one in diff(wanted, made, specs())] == []


def text(element: Element, path: str) -> str:
    found = element.find(path)
    return found.value if found is not None else ""


def commands(root: Element) -> Iterator[list[str]]:
    for part in root.children:
        if part.name not in ("all", "webmgr", "server", "heartbeat", "networkpartition", "group", "resource", "monitor",
                             "trekking"):  # fmt: skip
            yield from (["clsparam", f"{part.name}/{path}", value] for path, value in leaves(part))
    for thing in of_kind(root, "server"):
        yield ["srv", thing.name, text(thing.element, "priority")]
        for one in thing.element.named("device"):
            kind, number = text(one, "type"), int(one.identity or 0)
            relative = number - DEVICE_IDS[kind][0]
            yield ["device", thing.name, kind, str(relative), text(one, "info"), text(one, "extend")]
        for path, value in leaves(thing.element):
            if not path.startswith(("device@", "priority")):
                yield ["clsparam", f"server@{thing.name}/{path}", value]
    for thing in of_kind(root, "heartbeat"):
        yield ["hb", thing.type, text(thing.element, "device"), text(thing.element, "priority")]
    for thing in of_kind(root, "partition"):
        base = [thing.type, text(thing.element, "device"), text(thing.element, "priority")]
        for group in thing.element.named("grp"):
            for entry in group.named("list"):
                yield ["np", *base, group.identity or "", entry.identity or "", text(entry, "ip")]
    clients = root.find("webmgr/security/clientlist")
    for one in clients.children if clients is not None else ():
        if one.identity:
            yield ["webmgr", {"ip": "clientlist", "ipro": "clientlistro"}[one.name], one.identity]
    yield from of_groups(root)
    for thing in of_kind(root, "monitor"):
        yield ["mon", thing.type, thing.name]
        yield from (["monparam", thing.type, thing.name, *leaf] for leaf in leaves(thing.element))


def of_groups(root: Element) -> Iterator[list[str]]:
    for thing in of_kind(root, "group"):
        yield ["grp", text(thing.element, "type") or "failover", thing.name]
        for link in thing.element.named("resource"):
            yield ["rsc", thing.name, *(link.identity or "").split("@")]
        for path, value in leaves(thing.element):
            if path.split("/")[0].partition("@")[0] not in ("type", "resource"):
                yield ["grpparam", "failover", thing.name, path, value]
    for thing in of_kind(root, "resource"):
        for path, value in leaves(thing.element):
            name, named, identity = path.partition("@")
            if name != "depend":
                yield ["rscparam", thing.type, thing.name, path, value]
            elif named:  # One of the files has <depend depend="...">, which says nothing.
                yield ["rscdep", thing.type, thing.name, identity]


def leaves(element: Element, base: str = "") -> Iterator[tuple[str, str]]:
    for child in element.children:
        path = base + child.name + (f"@{child.identity}" if child.identity is not None else "")
        if child.children:
            yield from leaves(child, f"{path}/")
        else:
            yield path, child.value
