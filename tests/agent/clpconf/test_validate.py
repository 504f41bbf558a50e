"""All findings of a configuration: the real files' defects are found, and a correct file gets no noise."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.catalog import specs
from agent.clpconf.document import Document
from agent.clpconf.findings import Finding
from agent.clpconf.load import load
from agent.clpconf.validate import validate
from tests.bench.configuration import large_conf

if TYPE_CHECKING:
    from conftest import Conf

CATALOG = specs()

# What an administrator would act upon in each real file, without types whose driver comes later. All else is noise.
EXPECTED = {
    "linux-01.conf": {"server.none"},
    "linux-02.conf": {"heartbeat.none"},
    **{f"linux-{n:02}.conf": {"monitor.target"} for n in (4, 6, 7, 8)},
    "linux-05.conf": {"monitor.target", "value.missing", "value.unknown"},
    "linux-19.conf": {"value.placeholder", "resource.final_action"},
    "linux-20.conf": {"heartbeat.single"},
    "linux-21.conf": {"heartbeat.single"},
    **{f"linux-{n:02}.conf": {"value.placeholder"} for n in (22, 23, 24, 25, 26, 27, 29, 30, 32, 33, 34)},
    "linux-31.conf": {"value.placeholder", "depend.name"},
    "windows-02.conf": {"value.unknown"},
    "windows-03.conf": {"heartbeat.single"},
    "windows-04.conf": {"heartbeat.single"},
    "windows-05.conf": {"heartbeat.single", "value.placeholder"},
}
_LATER = ("type.not_ready", "type.unknown")


@cache
def of_file(file: Path) -> tuple[Finding, ...]:
    return tuple(validate(file.read_bytes(), CATALOG))


def test_real_file_gets_what_one_would_act_upon_and_nothing_else(real_conf: Path):
    findings = of_file(real_conf)

    acted = {f.code for f in findings if f.severity != "note" and f.code not in _LATER}
    assert acted == EXPECTED.get(real_conf.name, set())


def test_notes_of_a_real_file_are_few(real_conf: Path):
    notes = Counter(f.code for f in of_file(real_conf) if f.severity == "note")

    known = {"quorum.none", "group.gid", "types.register", "cluster.windows", "heartbeat.kernel", "value.unknown"}
    assert set(notes) <= known
    assert max(notes.values(), default=0) <= 2


# The defects that the reference names, found by searching the text: (pattern, code).
DEFECTS = [
    (r"<depend depend=", "depend.name"),
    (r"<fip name=\"[^\"]*\">\s*(<comment ?/>\s*|<comment> *</comment>\s*)?<ip>", "value.unknown"),
    (r"<tarrget ?/>", "value.unknown"),
    (r"<encode>Japanese</encode>", "all.encode"),
    (r"<target>fip</target>", "monitor.target"),
]


def test_defects_are_found_wherever_the_text_has_them(real_conf: Path):
    text = real_conf.read_text("latin-1")
    there = Counter(code for pattern, code in DEFECTS for _ in re.finditer(pattern, text))
    if '<fip name="fip"' in text:
        del there["monitor.target"]

    found = Counter(f.code for f in of_file(real_conf) if f.severity != "note")

    assert {code: found[code] for _, code in DEFECTS} == {code: there[code] for _, code in DEFECTS}


def test_every_group_without_a_number_is_noted(real_conf: Path):
    groups = re.findall(r"(?s)<group name=.*?</group>|<group name=[^>]*/>", real_conf.read_text("latin-1"))
    without = sum("<gid>" not in group for group in groups)

    findings = [f for f in of_file(real_conf) if f.code == "group.gid"]

    assert len(findings) == without


def test_every_place_holder_is_found_at_its_place(real_conf: Path):
    lines = real_conf.read_text("latin-1").splitlines()
    there = {n for n, line in enumerate(lines, 1) if re.search(r"%%\w+%%|__[A-Z]\w*__|INPUT_\w+", line)}

    findings = {f.line for f in of_file(real_conf) if f.code == "value.placeholder"}

    assert findings == there


def test_number_of_objects_is_right_in_every_real_file(real_conf: Path):
    assert [f for f in of_file(real_conf) if f.code == "webmgr.objectnumber"] == []


def test_broken_file_brings_errors_with_their_place(broken_conf: Path):
    findings = validate(broken_conf.read_bytes(), CATALOG)

    assert findings
    assert all(f.severity == "error" and f.line for f in findings)


def test_correct_file_gets_no_finding(conf: Conf):
    conf.group = '<group name="failover1"><resource name="fip@fip1"/><resource name="exec@exec1"/><gid>0</gid></group>'
    conf.heartbeat = conf.heartbeat.replace("lanhb", "lankhb")
    conf.more = (
        '<networkpartition><types name="httpnp"/><httpnp name="httpnp1"><priority>0</priority><device>10700</device>'
        "<host>192.0.2.9</host></httpnp></networkpartition>"
    )
    conf.servers = conf.servers.replace(
        "</server>", '<device id="10700"><type>http</type><info>1</info></device></server>'
    )
    conf.monitor = (
        '<types name="userw"/><userw name="userw"><relation><type>cls</type><name>LocalServer</name></relation></userw>'
    )

    assert validate(conf.write(), CATALOG) == []


@pytest.mark.slow
def test_large_correct_file_gets_no_finding():
    assert [f for f in validate(large_conf(8, 40), CATALOG) if f.severity != "note"] == []


def test_findings_come_in_the_order_of_the_file_and_once(real_conf: Path):
    findings = of_file(real_conf)

    places = [(f.line, f.column) for f in findings]
    assert places == sorted(places)
    assert len(set(findings)) == len(findings)


def test_every_rule_finding_has_a_place_a_reason_and_a_remedy(real_conf: Path):
    for finding in of_file(real_conf):
        assert finding.path.startswith("/root")
        assert finding.line
        assert finding.text.endswith(".")
        assert finding.remedy.endswith((".", "?"))


def test_words_can_be_filled_in_for_another_language(real_conf: Path):
    for finding in of_file(real_conf):
        if finding.said is not None:
            values = dict(finding.said.values)
            assert finding.said.text.format(**values).endswith(".")
            assert finding.said.remedy.format(**values).endswith((".", "?"))


def test_everything_that_load_refuses_is_an_error_here_as_well(real_conf: Path):
    data = real_conf.read_bytes()
    usable = load(data, CATALOG).cluster is not None
    windows = b"<serveros>windows" in data

    refused = any(f.severity == "error" for f in of_file(real_conf))

    assert usable or refused or windows


def test_document_is_judged_as_its_bytes_are(conf: Conf):
    data = conf.write()

    assert validate(Document.read(data), CATALOG) == validate(data, CATALOG)


def test_password_is_never_repeated(conf: Conf):
    conf.monitor = (
        '<types name="mysqlw"/><mysqlw name="mysqlw1"><target>exec1</target><parameters><password>%%SECRET%%x9Kq'
        "</password></parameters><relation><type>rsc</type><name>exec1</name></relation></mysqlw>"
    )

    findings = validate(conf.write(), CATALOG)

    assert "value.placeholder" in {f.code for f in findings}
    assert all("x9Kq" not in str(f) for f in findings)
