"""Files of version 3 mean today what they meant then, and say what was changed."""

from __future__ import annotations

from pathlib import Path

from agent.catalog import specs
from agent.clpconf.convert import convert, needs_conversion
from agent.clpconf.diff import diff
from agent.clpconf.document import Document
from agent.clpconf.objects import find
from tests.agent.clpconf.conftest import Conf

OLD = "<trekking><configid>3331020.5</configid><savedversion>3.3.3-1</savedversion><savedinnerversion>333102</savedinnerversion></trekking>"  # noqa: E501
WELL = "<all><charset>ASCII</charset><serveros>linux</serveros><encode>ASCII</encode></all>"


def converted(conf: Conf) -> tuple[Document, list[str]]:
    document = Document.read(conf.write())
    return document, [finding.code for finding in convert(document)]


def test_watchdog_of_version_3_stays_softdog(conf: Conf) -> None:
    conf.monitor = '<types name="userw"/><userw name="userw"/>'
    conf.cluster += "<haltp>1</haltp>"
    conf.group = conf.group.replace("</group>", "<gid>0</gid><exclusive>1</exclusive></group>")
    conf.more = WELL + OLD

    document, codes = converted(conf)

    assert codes == ["convert.userw", "convert.haltp", "convert.exclusive", "convert.version"]
    assert find(document.root, "monitor/userw@userw/parameters/method").value == "softdog"
    assert find(document.root, "haltp/method").value == "softdog"
    assert find(document.root, "trekking/savedversion").value == "5.3.1-1"
    assert find(document.root, "trekking/configid").value.startswith("5311010.")
    assert not needs_conversion(document)


def test_method_that_was_written_is_not_touched(conf: Conf) -> None:
    conf.monitor = '<types name="userw"/><userw name="userw"><parameters><method>ipmi</method></parameters></userw>'
    conf.group = conf.group.replace("</group>", "<gid>0</gid></group>")
    conf.more = WELL + OLD

    assert converted(conf)[1] == ["convert.version"]


def test_what_early_tools_left_out_is_added(conf: Conf) -> None:
    conf.resource = conf.resource.replace('<types name="fip"/>', "")
    conf.group += '<group name="g2"/>'
    conf.more = "<webmgr><client><objectnumber>1</objectnumber></client></webmgr>"

    document, codes = converted(conf)

    assert codes == [*["convert.language"] * 3, *["convert.gid"] * 2, "convert.types", "convert.objectnumber"]
    assert [find(document.root, f"group@{name}/gid").value for name in ("failover1", "g2")] == ["0", "1"]


def test_file_of_today_is_not_touched(conf: Conf) -> None:
    conf.group = conf.group.replace("</group>", "<gid>0</gid></group>")
    conf.more = WELL + OLD.replace("3.3.3-1", "5.3.1-1")
    data = conf.write()
    document = Document.read(data)

    assert convert(document) == []
    assert document.write() == data


def test_second_conversion_of_a_real_file_finds_nothing(real_conf: Path) -> None:
    document = Document.read(real_conf.read_bytes())
    findings = convert(document)
    once = document.write()

    assert all(finding.text and finding.path.startswith("/root") for finding in findings)
    assert convert(document) == []
    assert document.write() == once
    if not findings:
        assert once == real_conf.read_bytes()


def test_conversion_of_a_real_file_is_what_its_report_says(real_conf: Path) -> None:
    document = Document.read(real_conf.read_bytes())
    findings = convert(document)
    changed = {one.path for one in diff(Document.read(real_conf.read_bytes()), document, specs())}

    assert changed <= {finding.path for finding in findings}
