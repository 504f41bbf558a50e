"""The vocabulary of the file: every path of the real ones is declared, and readers take their defaults from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.catalog import specs
from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.load import load
from agent.clpconf.model import Cluster, Monitor, Preaction
from agent.clpconf.schema import TEXT, Param, TypeSpec, pattern_of
from agent.clpconf.sections import (
    COMMON,
    DEVICE_IDS,
    DEVICES,
    INSTANCES,
    SECTIONS,
    by_path,
    declared,
    root_names,
    whole,
)

# What is wrong in the real files: a value at the wrong place, an attribute and an element of another name.
SLIPS = {"/root/resource/fip/ip", "/root/resource/md/depend", "/root/monitor/userw/tarrget"}


def _leaves(element: Element) -> list[Element]:
    if not element.children:
        return [element]
    return [leaf for child in element.children for leaf in _leaves(child)]


def _unknown(root: Element) -> set[str]:
    """Paths of leaves that nothing declares, without names."""
    found = set()
    for section in root.children:
        assert section.name in root_names()
        for leaf in _leaves(section):
            known = declared(leaf.path, specs())
            if leaf.name == "types" or leaf is section:
                continue
            if known is None or not (known.path == "" or known.spec.knows(known.path)):
                found.add("/".join(segment.partition("@")[0] for segment in leaf.path.split("/")))
    return found


def test_every_path_of_the_real_files_is_declared(real_conf: Path) -> None:
    assert _unknown(Document.read(real_conf.read_bytes()).root) - SLIPS == set()


def test_no_type_of_the_real_files_is_unknown(real_conf: Path) -> None:
    findings = load(real_conf.read_bytes(), specs()).findings

    assert [str(f) for f in findings if f.code == "type.unknown"] == []
    unknown = {pattern_of(f.path) for f in findings if f.code == "value.unknown"}
    assert unknown <= {"/root/resource/fip@*/ip", "/root/monitor/userw@*/tarrget"}


def test_misspelled_words_are_unknown() -> None:
    text = (
        "<root><cluster><nme>x</nme><haltp>1</haltp></cluster><resource><fip name='fip1'>"
        "<paramters><ip>1</ip></paramters>"
        "<act><retri>1</retri></act></fip></resource><monitor><ipw name='i'><tarrget/><polling><intervall>3</intervall>"
        "</polling></ipw></monitor><group name='g'><plicy name='s'/></group></root>"
    )
    assert _unknown(Document.read(text.encode()).root) == {
        "/root/cluster/nme", "/root/resource/fip/paramters/ip", "/root/resource/fip/act/retri",
        "/root/monitor/ipw/tarrget", "/root/monitor/ipw/polling/intervall", "/root/group/plicy",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/root/resource/fip@fip1/parameters/ip", ("fip", "parameters/ip", "IP address", "")),
        ("resource/fip@fip1/server@s1/parameters/ip", ("fip", "parameters/ip", "IP address", "s1")),
        ("/root/monitor/ipw@ipw1/polling/servers@0/name", ("ipw", "polling/servers@0/name", "Servers", "")),
        ("/root/resource/unheard@x/act/retry", ("", "act/retry", "Activation retries", "")),
        ("/root/cluster/mail/smtp/smtpsrv@0/passwd", ("mail", "smtp/smtpsrv@0/passwd", "Password", "")),
        ("/root/cluster/heartbeat/timeout", ("cluster", "heartbeat/timeout", "Heartbeat timeout", "")),
        ("/root/server@s1/device@0/mdc/info", ("server", "device@0/mdc/info", "Device", "")),
        ("/root/group@g/depend/act/depend@h/sameserver",
         ("group", "depend/act/depend@h/sameserver", "Only on the same server", "")),
        ("/root/messages/rc@32/mail", ("messages", "rc@32/mail", "Mail", "")),
        ("/root/webmgr/security/clientlist/ip@192.0.2.0/24",
         ("webmgr", "security/clientlist/ip@192.0.2.0/24", "Clients that may operate", "")),
        ("/root/openclp/fence@bmc1/delay", ("fence", "delay", "Delay", "")),
        ("/root/openclp/grace", ("openclp", "grace", "Grace of a dead daemon", "")),
        ("/root/dummyconf", ("root", "dummyconf", "Placeholder configuration", "")),
    ],
)  # fmt: skip
def test_path_of_the_file_finds_its_declaration(path: str, expected: tuple[str, str, str, str]) -> None:
    found = declared(path, specs())

    assert found is not None
    assert found.param is not None
    assert (found.spec.name, found.path, found.param.label, found.server) == expected


@pytest.mark.parametrize("path", ["/root/nonsense/x", "/root", "", "/root/resource"])
def test_section_that_does_not_exist_has_no_declaration(path: str) -> None:
    assert declared(path, specs()) is None


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("/root/monitor/mysqlw@m/parameters/password", True),
        ("/root/resource/ocf@o/parameters/options/passwd", True),
        ("/root/resource/ocf@o/parameters/options/ip", False),
        ("/root/resource/unheard@x/parameters/secret_key", True),
        ("/root/openclp/fence@bmc1/server@s1/parameters/password", True),
        ("/root/openclp/fence@bmc1/parameters/username", False),
        ("/root/resource/fip@fip1/parameters/ip", False),
    ],
)
def test_secret_is_known_by_declaration_or_name(path: str, secret: bool) -> None:
    found = declared(path, specs())

    assert found is not None
    assert found.secret is secret


def test_whole_type_has_what_its_kind_has_with_its_own_defaults() -> None:
    exec_type, fip = by_path(whole(specs()["exec"]).params), by_path(whole(specs()["fip"]).params)

    assert (exec_type["act/timeout"].default, exec_type["deact/timeout"].default) == (1980, 1980)
    assert (fip["act/timeout"].default, fip["act/retry"].default) == (180, 5)
    assert whole(specs()["exec"]) is whole(specs()["exec"])
    assert whole(specs()["diskhb"]).params[-1].path == "device"


def test_type_may_say_more_of_a_common_parameter() -> None:
    slow = Param("polling/interval", "Interval", TEXT, default="600")
    spec = whole(TypeSpec("slow", "Slow", params=(slow,), section="monitor"))

    assert [param for param in spec.params if param.path == "polling/interval"] == [slow]
    assert spec.knows("polling/timeout")


def test_what_a_change_needs_is_resolved_by_its_section() -> None:
    catalog = specs()

    def applies(path: str) -> str:
        found = declared(path, catalog)
        assert found is not None
        assert found.param is not None
        return found.spec.applies(found.param)

    assert applies("/root/resource/fip@f/parameters/ip") == "group"
    assert applies("/root/resource/fip@f/comment") == "noted"
    assert applies("/root/monitor/ipw@i/parameters/list@0/ip") == "monitor"
    assert applies("/root/heartbeat/lanhb@l/device") == "suspend"
    assert applies("/root/server@s/priority") == "stop"


def test_field_counts_only_where_others_let_it() -> None:
    disk = whole(specs()["disk"])
    point = by_path(disk.params)["parameters/mount/point"]

    assert disk.counts(point, {})
    assert not disk.counts(point, {"parameters/disktype": "raw"})
    missing = [f.path for f in disk.check("/d", {"parameters/device": "/dev/sdb1", "parameters/disktype": "raw"})]
    assert missing == []
    assert [f.path for f in disk.check("/d", {"parameters/device": "/dev/sdb1"})] == ["/d/parameters/mount/point"]


def test_numbers_of_devices_are_those_that_heartbeats_and_resolvers_take() -> None:
    assert set(DEVICE_IDS) == set(DEVICES)
    for spec in specs().values():
        for param in spec.params:
            if param.refers.startswith("device:") and spec.name != "disknp":
                first, last = DEVICE_IDS[param.refers.partition(":")[2]]
                assert (param.kind.minimum, param.kind.maximum) == (first, last), spec.name


def test_readers_and_the_model_have_the_same_defaults() -> None:
    """The engine's tests build models by hand: they must mean what an empty file means."""
    data = b"<root><cluster><name>c</name></cluster><server name='s1'/><monitor><userw name='u'/></monitor></root>"
    cluster = load(data, specs()).cluster

    assert cluster is not None
    bare = Cluster(name="c", servers=cluster.servers, monitors=cluster.monitors, self_fencing=True)
    assert cluster == bare
    assert cluster.monitors == (Monitor(name="u", type="userw"),)
    monitor = by_path(COMMON["monitor"])
    assert monitor["emergency/preaction/path"].default == Preaction().path
    assert monitor["emergency/preaction/timeout"].default == Preaction().timeout_s


def test_bad_value_of_a_section_nobody_acts_upon_is_a_warning(conf) -> None:  # type: ignore[no-untyped-def]
    conf.more = (
        "<pm><exec0><recover>99</recover></exec0></pm>"
        "<webmgr><client><pollinginterval>x</pollinginterval></client></webmgr>"
    )
    loaded = load(conf.write(), specs())

    assert loaded.cluster is not None
    assert [(f.severity, f.code, f.path) for f in loaded.findings if f.severity != "note"] == [
        ("warning", "value.syntax", "/root/pm/exec0/recover"),
        ("warning", "value.syntax", "/root/webmgr/client/pollinginterval"),
    ]


def test_types_of_windows_servers_say_so(conf) -> None:  # type: ignore[no-untyped-def]
    conf.resource += '<types name="sd"/><sd name="sd1"/>'
    conf.group = conf.group.replace("</group>", '<resource name="sd@sd1"/></group>')

    (finding,) = [f for f in load(conf.write(), specs()).findings if f.code == "type.not_ready"]

    assert "Windows" in finding.text


def test_fault_of_a_type_that_does_not_run_yet_is_a_warning(conf) -> None:  # type: ignore[no-untyped-def]
    conf.monitor = '<psw name="p"><parameters><processnum>many</processnum></parameters></psw>'
    loaded = load(conf.write(), specs())

    assert loaded.cluster is not None
    assert [(f.code, f.path) for f in loaded.findings if f.severity == "warning"] == [
        ("type.not_ready", "/root/monitor/psw@p"),
        ("value.missing", "/root/monitor/psw@p/parameters/processname"),
        ("value.syntax", "/root/monitor/psw@p/parameters/processnum"),
    ]


def test_sections_stand_where_their_name_says() -> None:
    assert {spec.section for spec in SECTIONS.values()} >= {"cluster", "cluster/mail", "server/device", "openclp/fence"}
    assert set(INSTANCES) <= root_names()
    assert set(COMMON) == {*INSTANCES, "server", "group", "openclp/fence"}
