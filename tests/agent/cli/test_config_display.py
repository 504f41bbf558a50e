"""clpstat -i: the configuration, by the labels of the types, without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli import clpstat

CONF = """\
<?xml version="1.0" encoding="ASCII"?>
<root>
  <cluster><name>demo</name><heartbeat><interval>200</interval><timeout>1000</timeout></heartbeat></cluster>
  <all><charset>ASCII</charset><serveros>linux</serveros><encode>ASCII</encode></all>
  <server name="server1"><priority>0</priority><device id="0"><type>lan</type><info>10.0.0.1</info></device></server>
  <server name="server2"><priority>1</priority><device id="0"><type>lan</type><info>10.0.0.2</info></device></server>
  <heartbeat><types name="lanhb"/><lanhb name="lanhb1"><priority>0</priority><device>0</device></lanhb></heartbeat>
  <group name="failover1"><type>failover</type><comment>web</comment><gid>0</gid><resource name="fip@fip1"/></group>
  <resource><types name="fip"/>
    <fip name="fip1"><comment/><parameters><ip>10.0.0.9</ip></parameters></fip>
  </resource>
  <monitor><types name="mysqlw"/>
    <mysqlw name="mysqlw1"><comment/><target/><parameters><password>hunter2</password></parameters>
    <relation><type>cls</type><name>LocalServer</name></relation></mysqlw>
  </monitor>
</root>
"""


@pytest.fixture(autouse=True)
def conf(home: Path) -> Path:
    path = home / "etc" / "clp.conf"
    path.write_text(CONF)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = clpstat.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_one_heartbeat_looks_as_in_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--hb", "lanhb1")

    assert code == 0
    assert out == (
        " =======================  CLUSTER INFORMATION  =======================\n"
        "  [HB0 : lanhb1]\n"
        "    Type                                                   : lanhb\n"
        "    Comment                                                : LAN Heartbeat\n"
        " =====================================================================\n"
    )


def test_all_objects_are_listed_by_their_labels(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "-i")[1]

    titles = [line.strip() for line in out.splitlines() if line.startswith("  [")]
    assert titles == [
        "[Cluster : demo]", "[Server0 : server1]", "[Server1 : server2]", "[HB0 : lanhb1]", "[Group0 : failover1]",
        "[Resource0 : fip1]", "[Monitor0 : mysqlw1]",
    ]  # fmt: skip
    assert "    Heartbeat Timeout                                      : 1 s\n" in out
    assert "    IP address                                             : 10.0.0.9\n" in out
    assert "      Type                                                     : mysqlw\n" in out


@pytest.mark.parametrize("arguments", [("-i",), ("--mon", "mysqlw1", "--detail"), ("-i", "--json")])
def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, err = run(capsys, *arguments)

    assert code == 0
    assert "hunter2" not in out + err
    assert "********" in out


def test_json_is_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(run(capsys, "-i", "--json")[1])

    assert [server["name"] for server in shown["servers"]] == ["server1", "server2"]
    assert shown["timeout_s"] == 1.0


def test_unknown_object_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--grp", "failover9") == (
        1, "", "clpstat: There is no group failover9 in the configuration. Known: failover1.\n",
    )  # fmt: skip


def test_bad_file_tells_place_and_remedy(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf.write_text(CONF.replace("</root>", ""))

    code, out, err = run(capsys, "-i")

    assert (code, out) == (1, "")
    assert err.startswith(f"clpstat: {conf} has errors:\nerror xml.")


def test_missing_file_is_told(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf.unlink()

    assert run(capsys, "-i") == (
        1, "", f"clpstat: {conf} cannot be read: No such file or directory. Check OPENCLP_ETC.\n",
    )  # fmt: skip
