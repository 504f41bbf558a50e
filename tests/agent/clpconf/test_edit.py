"""Objects come and go with everything that belongs to them, and nothing else moves by a byte."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import pytest

from agent.catalog import specs
from agent.clpconf.bookkeeping import OBJECT_NUMBER, object_number
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit, EditError, Move, create
from agent.clpconf.load import load
from agent.clpconf.objects import find, of_kind
from agent.clpconf.scripts import moved
from agent.clpconf.validate import validate

SPECS = specs()
WEBUI = b"""<?xml version="1.0" encoding="ASCII"?>
<root>
  <cluster>
    <name>c</name>
    <comment/>
  </cluster>
  <monitor>
    <types name="userw"/>
    <types name="mdw"/>
    <userw name="userw">
      <comment/>
      <target/>
      <relation>
        <type>cls</type>
        <name>LocalServer</name>
      </relation>
    </userw>
    <mdw name="mdw1">
      <comment/>
      <target/>
      <parameters>
        <object>md1</object>
      </parameters>
    </mdw>
  </monitor>
  <server name="a">
    <priority>0</priority>
    <device id="0">
      <type>lan</type>
      <info>10.0.0.1</info>
    </device>
  </server>
  <server name="b">
    <priority>1</priority>
    <device id="0">
      <type>lan</type>
      <info>10.0.0.2</info>
    </device>
  </server>
  <heartbeat>
    <types name="lankhb"/>
    <lankhb name="lankhb1">
      <priority>0</priority>
      <device>0</device>
    </lankhb>
  </heartbeat>
  <group name="g1">
    <comment/>
    <resource name="md@md1"/>
    <resource name="exec@exec1"/>
    <gid>0</gid>
  </group>
  <resource>
    <types name="md"/>
    <types name="exec"/>
    <md name="md1">
      <comment/>
    </md>
    <exec name="exec1">
      <comment/>
      <depend name="md1"/>
    </exec>
  </resource>
  <trekking>
    <configid>4101100.2129140011621069</configid>
    <savedversion>4.1.1-1</savedversion>
    <savedinnerversion>410110</savedinnerversion>
  </trekking>
  <webmgr>
    <client>
      <objectnumber>13</objectnumber>
    </client>
  </webmgr>
</root>
"""
JAVA = (
    WEBUI.replace(b"  ", b"\t")
    .replace(b"<comment/>", b"<comment> </comment>")
    .replace(b"<target/>", b"<target> </target>")
    .replace(b'\t\t<types name="mdw"/>\n', b"")
    .replace(b"\t\t<mdw name", b'\t\t<types name="mdw"/>\n\t\t<mdw name')
)


def edited(*steps: Callable[[Edit], object], data: bytes = WEBUI) -> Edit:
    edit = Edit(Document.read(data), SPECS)
    for step in steps:
        step(edit)
    # What was written is a document again, with the count that the original would write.
    again = Document.read(edit.document.write())
    assert find(again.root, OBJECT_NUMBER).value == str(object_number(again.root))
    return edit


def new_lines(edit: Edit, data: bytes = WEBUI) -> list[str]:
    """Lines that came (+) and went (-), without the mark of the save."""
    before, after = data.decode().splitlines(), edit.document.write().decode().splitlines()
    lines = difflib.ndiff(before, after)
    return [line[0] + line[2:] for line in lines if line[0] in "+-" and "configid" not in line]


def value(edit: Edit, path: str) -> str | None:
    element = find(edit.root, path)
    return element.value if element is not None else None


def refusal(step: Callable[[Edit], object], data: bytes = WEBUI) -> str:
    edit = Edit(Document.read(data), SPECS)
    with pytest.raises(EditError) as caught:
        step(edit)
    assert edit.document.write() == data, "a refused change left something behind"
    assert edit.moves == []
    assert caught.value.finding.path
    assert caught.value.finding.text
    return caught.value.finding.code


def test_new_resource_stands_with_its_group_type_and_script_names() -> None:
    edit = edited(lambda e: e.add_resource("g1", "exec", "exec2"))

    assert new_lines(edit) == [
        '+    <resource name="exec@exec2"/>',
        '+    <exec name="exec2">', "+      <comment/>", "+      <parameters>", "+        <act>",
        "+          <path>start.sh</path>", "+        </act>", "+        <deact>", "+          <path>stop.sh</path>",
        "+        </deact>", "+      </parameters>", "+    </exec>",
        "-      <objectnumber>13</objectnumber>", "+      <objectnumber>14</objectnumber>",
    ]  # fmt: skip


def test_new_resource_of_a_new_type_is_registered_with_the_other_types() -> None:
    edit = edited(
        lambda e: e.add_resource("g1", "fip", "fip1"), lambda e: e.set("resource/fip@fip1/parameters/ip", "10.0.0.9")
    )

    names = [(child.name, child.identity) for child in edit.root.child("resource").children]
    assert names == [
        ("types", "md"),
        ("types", "exec"),
        ("types", "fip"),
        ("md", "md1"),
        ("exec", "exec1"),
        ("fip", "fip1"),
    ]


def test_java_builder_style_registers_a_type_before_its_first_object_and_keeps_blanks() -> None:
    edit = edited(lambda e: e.add_monitor("genw", "genw1"), data=JAVA)

    assert new_lines(edit, JAVA)[:7] == [
        '+\t\t<types name="genw"/>', '+\t\t<genw name="genw1">', "+\t\t\t<comment> </comment>",
        "+\t\t\t<target> </target>", "+\t\t\t<relation>", "+\t\t\t\t<type>cls</type>",
        "+\t\t\t\t<name>LocalServer</name>",
    ]  # fmt: skip


def test_bare_objects_are_what_the_originals_tools_make() -> None:
    edit = edited(
        lambda e: e.add_monitor("pidw", "p", bare=True), lambda e: e.add_resource("g1", "exec", "x", bare=True)
    )

    assert [child.name for child in find(edit.root, "monitor/pidw@p").children] == ["comment"]
    assert [child.name for child in find(edit.root, "resource/exec@x").children] == ["comment"]


def test_new_server_group_and_section_come_where_their_like_stand() -> None:
    edit = edited(
        lambda e: e.add_server("c"),
        lambda e: e.add_group("g2", "failover"),
        lambda e: e.add_partition("pingnp", 10200, values={"grp@0/list@0/ip": "10.0.0.254"}),
    )

    assert [child.name for child in edit.root.children] == [
        "cluster", "monitor", "server", "server", "server", "heartbeat", "networkpartition", "group", "group",
        "resource", "trekking", "webmgr",
    ]  # fmt: skip
    assert (value(edit, "server@c/priority"), value(edit, "group@g2/gid"), value(edit, "group@g2/type")) == (
        "2",
        "1",
        "failover",
    )
    assert value(edit, "networkpartition/pingnp@pingnp1/grp@0/list@0/ip") == "10.0.0.254"


def test_heartbeats_are_named_by_type_and_numbered_over_all_types() -> None:
    edit = edited(
        lambda e: e.add_heartbeat("lankhb", 1),
        lambda e: e.add_heartbeat("diskhb", 300),
        lambda e: e.add_heartbeat("witnesshb", 700, values={"host": "w", "port": "80"}),
    )

    found = [(t.name, t.element.find("priority").value) for t in of_kind(edit.root, "heartbeat")]
    assert found == [("lankhb1", "0"), ("lankhb2", "1"), ("diskhb1", "2"), ("witnesshb1", "3")]


def test_devices_are_written_as_the_original_writes_them() -> None:
    edit = edited(
        lambda e: e.add_device("a", "mdc", 400, "10.0.1.1"),
        lambda e: e.add_device("a", "disk", 300, "/dev/sdc1"),
        lambda e: e.add_device("a", "mdc", 400, "10.0.1.9"),
    )

    device = "server@a/device@"
    assert (value(edit, f"{device}400/info"), value(edit, f"{device}400/mdc/info")) == ("10.0.1.9", "10.0.1.9")
    assert (value(edit, f"{device}300/disk/info"), value(edit, f"{device}300/disk/extend")) == ("/dev/sdc1", "")
    assert len(find(edit.root, "server@a").named("device")) == 3


def test_default_is_not_written_but_a_value_that_stands_there_is_kept() -> None:
    edit = edited(
        lambda e: e.set("resource/exec@exec1/parameters/timeout/start", "1800"),
        lambda e: e.set("cluster/heartbeat/timeout", "90000", explicit=True),
    )

    assert value(edit, "resource/exec@exec1/parameters/timeout/start") is None
    assert value(edit, "cluster/heartbeat/timeout") == "90000"
    edit.set("cluster/heartbeat/timeout", "50000")
    edit.set("cluster/heartbeat/timeout", "90000")
    assert value(edit, "cluster/heartbeat/timeout") == "90000"
    edit.unset("cluster/heartbeat/timeout")
    assert value(edit, "cluster/heartbeat") is None


def test_unchanged_value_moves_no_byte() -> None:
    edit = edited(
        lambda e: e.set("cluster/name", "c"), lambda e: e.set_depends("exec1", ["md1"]), lambda e: e.unset("rc/x")
    )

    assert edit.document.write() == WEBUI


def test_timeout_of_a_step_follows_the_scripts_until_somebody_writes_his_own() -> None:
    start, step = "resource/exec@exec1/parameters/timeout/start", "resource/exec@exec1/act/timeout"
    edit = edited(lambda e: e.set(start, "300"))
    assert value(edit, step) == "480"
    edit.set(start, "180")
    assert value(edit, step) == "360"
    edit.set(step, "999")
    edit.set(start, "300")
    assert value(edit, step) == "999"


def test_mirror_without_a_file_system_gets_the_short_timeouts() -> None:
    edit = edited(lambda e: e.set("resource/md@md1/parameters/fs", "none"))

    assert (value(edit, "resource/md@md1/act/timeout"), value(edit, "resource/md@md1/deact/timeout")) == ("190", "190")


def test_renamed_resource_is_followed_by_every_mention_and_its_scripts() -> None:
    edit = edited(lambda e: e.rename("resource/md@md1", "data"))

    assert new_lines(edit) == [
        "-        <object>md1</object>", "+        <object>data</object>",
        '-    <resource name="md@md1"/>', '+    <resource name="md@data"/>',
        '-    <md name="md1">', '+    <md name="data">',
        '-      <depend name="md1"/>', '+      <depend name="data"/>',
    ]  # fmt: skip
    assert edit.moves == [Move("g1/md1", "g1/data")]


def test_renamed_server_is_followed_by_policies_lists_overrides_and_fences() -> None:
    edit = edited(
        lambda e: e.set_policy("g1", ["b", "a"]),
        lambda e: e.set_servers("mdw1", ["a"]),
        lambda e: e.set("resource/md@md1/server@a/parameters/mount/point", "/mnt"),
        lambda e: e.add_fence("f", "fence_ipmilan"),
        lambda e: e.set("openclp/fence@f/server@a/parameters/ip", "10.0.0.7"),
        lambda e: e.rename("server@a", "alpha"),
    )

    assert b'name="a"' not in edit.document.write()
    assert value(edit, "group@g1/policy@alpha/order") == "1"
    assert value(edit, "monitor/mdw@mdw1/polling/servers@0/name") == "alpha"
    assert value(edit, "resource/md@md1/server@alpha/parameters/mount/point") == "/mnt"
    assert value(edit, "openclp/fence@f/server@alpha/parameters/ip") == "10.0.0.7"


def test_renamed_group_is_followed_by_orders_recovery_targets_and_scripts() -> None:
    edit = edited(
        lambda e: e.add_group("g2"),
        lambda e: e.set_group_depends("g2", "act", ["g1"]),
        lambda e: e.set("monitor/mdw@mdw1/relation/type", "grp"),
        lambda e: e.set("monitor/mdw@mdw1/relation/name", "g1"),
        lambda e: e.rename("group@g1", "sales"),
    )

    assert find(edit.root, "group@g2/depend/act/depend@sales") is not None
    assert value(edit, "monitor/mdw@mdw1/relation/name") == "sales"
    assert moved({"g1/exec1/start.sh": 1, "g10/x": 2}, edit.moves) == {"g10/x": 2, "sales/exec1/start.sh": 1}


def test_renumbered_device_changes_on_every_server_and_in_its_heartbeat() -> None:
    edit = edited(lambda e: e.rename("server@a/device@0", "7"))

    assert [d.identity for s in ("a", "b") for d in find(edit.root, f"server@{s}").named("device")] == ["7", "7"]
    assert value(edit, "heartbeat/lankhb@lankhb1/device") == "7"


def test_removed_resource_takes_its_monitor_along_and_leaves_no_mention() -> None:
    edit = Edit(Document.read(WEBUI), SPECS)
    expected = ["/root/monitor/mdw@mdw1", "/root/group@g1/resource@md@md1", "/root/resource/exec@exec1/depend@md1"]
    assert sorted(edit.consequences("resource/md@md1")) == sorted(expected)

    gone = edit.remove("resource/md@md1")

    assert gone == ["/root/resource/md@md1", "/root/monitor/mdw@mdw1"]
    assert b"md1" not in edit.document.write()
    assert [entry.identity for entry in find(edit.root, "monitor").named("types")] == ["userw"]
    # Without any <depend> the default of the type would hold: nothing was meant to hold but md1.
    assert [d.attributes for d in find(edit.root, "resource/exec@exec1").named("depend")] == [{"name": ""}]
    assert edit.moves == [Move("g1/md1", None), Move("monitor.s/mdw1", None)]
    assert value(edit, OBJECT_NUMBER) == "11"


def test_removed_group_takes_its_resources_along_and_the_others_are_renumbered() -> None:
    edit = edited(lambda e: e.add_group("g2"), lambda e: e.add_group("g3"), lambda e: e.remove("group@g1"))

    assert [(t.name, t.element.find("gid").value) for t in of_kind(edit.root, "group")] == [("g2", "0"), ("g3", "1")]
    assert find(edit.root, "resource").children == []


def test_removed_server_leaves_policies_and_takes_what_was_for_it_alone() -> None:
    edit = edited(
        lambda e: e.set_policy("g1", ["a", "b"]),
        lambda e: e.set_servers("userw", ["a"]),
        lambda e: e.set_servers("mdw1", ["a", "b"]),
        lambda e: e.add_device("a", "lan", 1, "10.0.1.1"),
        lambda e: e.add_heartbeat("lankhb", 1),
        lambda e: e.remove("server@a"),
    )

    assert [p.identity for p in find(edit.root, "group@g1").named("policy")] == ["b"]
    assert [t.name for t in of_kind(edit.root, "monitor")] == ["mdw1"]
    assert [e.child("name").value for e in find(edit.root, "monitor/mdw@mdw1/polling").named("servers")] == ["b"]
    assert [t.name for t in of_kind(edit.root, "heartbeat")] == ["lankhb1"]
    assert value(edit, "server@b/priority") == "0"


def test_server_that_a_group_needs_is_not_removed() -> None:
    data = edited(lambda e: e.set_policy("g1", ["a"])).document.write()

    assert refusal(lambda e: e.remove("server@a"), data) == "edit.policy"
    assert refusal(lambda e: e.consequences("server@a"), data) == "edit.policy"


def test_removed_heartbeat_leaves_priorities_without_gaps() -> None:
    edit = edited(
        lambda e: e.add_heartbeat("lankhb", 1),
        lambda e: e.add_heartbeat("lanhb", 2),
        lambda e: e.remove("heartbeat/lankhb@lankhb1"),
    )

    found = [(t.name, t.element.find("priority").value) for t in of_kind(edit.root, "heartbeat")]
    assert found == [("lankhb2", "0"), ("lanhb1", "1")]


def test_dependencies_have_three_meanings() -> None:
    edit = edited(lambda e: e.set_depends("exec1", ()))
    depends = find(edit.root, "resource/exec@exec1").named("depend")
    assert [d.attributes for d in depends] == [{"name": ""}]
    edit.set_depends("exec1", ["md1"])
    assert [d.identity for d in find(edit.root, "resource/exec@exec1").named("depend")] == ["md1"]
    edit.set_depends("exec1", None)
    assert find(edit.root, "resource/exec@exec1").named("depend") == []


def test_list_is_written_with_numbers_from_zero() -> None:
    pattern = "monitor/ipw@i/parameters/list@*/ip"
    edit = edited(
        lambda e: e.add_monitor("ipw", "i"), lambda e: e.set_list(pattern, ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    )
    edit.set_list(pattern, ["10.0.0.9", "10.0.0.2"])

    entries = find(edit.root, "monitor/ipw@i/parameters").named("list")
    assert [(e.identity, e.child("ip").value) for e in entries] == [("0", "10.0.0.9"), ("1", "10.0.0.2")]
    edit.set_list(pattern, [])
    assert find(edit.root, "monitor/ipw@i/parameters") is None


def test_resource_moves_with_its_scripts_and_without_dependencies_on_what_stays() -> None:
    edit = edited(lambda e: e.add_group("g2"), lambda e: e.move_resource("exec1", "g2"))

    assert [link.identity for link in find(edit.root, "group@g2").named("resource")] == ["exec@exec1"]
    assert [link.identity for link in find(edit.root, "group@g1").named("resource")] == ["md@md1"]
    assert [d.attributes for d in find(edit.root, "resource/exec@exec1").named("depend")] == [{"name": ""}]
    assert edit.moves == [Move("g1/exec1", "g2/exec1")]


def test_servers_are_put_in_another_order() -> None:
    edit = edited(lambda e: e.order("server", ["b"]))

    assert (value(edit, "server@b/priority"), value(edit, "server@a/priority")) == ("0", "1")


def test_configid_changes_with_each_change_and_keeps_its_form() -> None:
    first = value(edited(lambda e: e.set("cluster/name", "x")), "trekking/configid")
    second = value(edited(lambda e: e.set("cluster/comment", "x")), "trekking/configid")

    assert len({first, second, "4101100.2129140011621069"}) == 3
    assert first.startswith("4101100.")
    assert first == value(edited(lambda e: e.set("cluster/name", "x")), "trekking/configid")


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (lambda e: e.add_server("a"), "name.duplicate"),
        (lambda e: e.add_server("a b"), "name.syntax"),
        (lambda e: e.add_resource("nowhere", "fip", "fip1"), "edit.missing"),
        (lambda e: e.add_resource("g1", "<x>", "fip1"), "edit.type"),
        (lambda e: e.add_heartbeat("witnesshb", 700, values={"host": "Höhe"}), "text.encoding"),
        (lambda e: e.add_device("a", "lan", 3, "\x00"), "text.character"),
        (lambda e: e.set("resource/fip@fip9/parameters/ip", "10.0.0.1"), "edit.missing"),
        (lambda e: e.set("server/priority", "1"), "edit.path"),
        (lambda e: e.set("resource/exec@exec1/act/timeout", "ö"), "text.encoding"),
        (lambda e: e.set("cluster", "x"), "edit.container"),
        (lambda e: e.unset("server@a"), "edit.object"),
        (lambda e: e.rename("resource/md@md1", "exec1"), "name.duplicate"),
        (lambda e: e.rename("resource/md@nothing", "x"), "edit.missing"),
        (lambda e: e.rename("server@a/device@0", "x"), "device.id"),
        (lambda e: e.remove("/root"), "edit.root"),
        (lambda e: e.set_policy("g1", ["a", "nobody"]), "edit.missing"),
        (lambda e: e.set_depends("exec1", ["nothing"]), "edit.missing"),
        (lambda e: e.set_list("monitor/mdw@mdw1/parameters/list@*/ip", ["10.0.0.1", "ö"]), "text.encoding"),
    ],
)  # fmt: skip
def test_change_that_cannot_be_made_is_refused_and_leaves_nothing(step: Callable[[Edit], object], code: str) -> None:
    assert refusal(step) == code


def test_new_cluster_from_nothing_is_correct() -> None:
    document = create("demo", "EUC-JP")
    edit = Edit(document, SPECS)
    for number, name in enumerate(("server1", "server2")):
        edit.add_server(name)
        for lan in range(2):
            edit.add_device(name, "lan", lan, f"10.0.{lan}.{number + 1}")
    edit.add_heartbeat("lankhb", 0)
    edit.add_heartbeat("lankhb", 1)
    edit.add_partition("majonp", None)
    edit.add_group("failover1")
    edit.add_resource("failover1", "fip", "fip1")
    edit.set("resource/fip@fip1/parameters/ip", "10.0.0.100")
    edit.add_resource("failover1", "exec", "exec1")
    edit.add_monitor("userw", "userw1")
    edit.set("cluster/comment", "構成")

    data = document.write()
    assert data.startswith(b'<?xml version="1.0" encoding="EUC-JP"?>')
    assert "構成".encode("euc_jp") in data
    assert load(data, SPECS).errors == []
    assert [f for f in validate(data, SPECS) if f.severity == "error"] == []
    assert find(Document.read(data).root, OBJECT_NUMBER).value == str(object_number(Document.read(data).root))


@pytest.mark.parametrize(("charset", "system"), [("KLINGON", "linux"), ("ASCII", "beos")])
def test_new_cluster_in_an_unknown_language_is_refused(charset: str, system: str) -> None:
    with pytest.raises(EditError):
        create("x", charset, system=system)
