"""Metadata of fence agents: what becomes a parameter, what is refused, and that every agent installed here is read."""

from __future__ import annotations

import pytest

from agent.drivers.fence import InstalledAgents
from agent.fences.metadata import MetadataError, read_metadata

TEXT = b"""noise of the interpreter
<?xml version="1.0" ?>
<resource-agent name="fence_x" shortdesc="Fence agent for X">
<longdesc>Cuts the
 power.</longdesc>
<parameters>
<parameter name="action" unique="0" required="1"><content type="string" default="reboot"/></parameter>
<parameter name="ip" required="1" obsoletes="ipaddr"><content type="string"/>
 <shortdesc lang="en">Address</shortdesc></parameter>
<parameter name="ipaddr" required="1" deprecated="1"><content type="string"/></parameter>
<parameter name="password" required="0"><content type="string"/></parameter>
<parameter name="power_wait" required="0"><content type="second" default="5"/></parameter>
<parameter name="tries" required="1"><content type="integer" default="3"/></parameter>
<parameter name="mode" required="0"><content type="select"><option value="a"/><option value="b"/></content></parameter>
<parameter name="ssl" required="0"><content type="boolean"/></parameter>
<parameter name="verbose" required="0"><content type="boolean"/></parameter>
</parameters>
<actions><action name="on"/><action name="off"/><action name="status"/></actions>
</resource-agent>"""


def test_options_become_parameters_with_kind_default_and_help() -> None:
    agent = read_metadata("fence_x", TEXT)

    params = {p.path.removeprefix("parameters/"): p for p in agent.spec.params}
    assert list(params) == ["action", "ip", "password", "power_wait", "tries", "mode", "ssl"]
    assert (agent.spec.label, agent.description) == ("Fence agent for X", "Cuts the power.")
    assert agent.aliases == {"ipaddr": "ip"}
    assert agent.actions == {"on", "off", "status"}
    assert (params["ip"].required, params["ip"].help) == (True, "Address")
    assert not params["action"].required
    assert not params["tries"].required
    assert params["tries"].default == 3
    assert params["password"].kind.secret
    assert not params["ip"].kind.secret
    assert [word for word, _ in params["mode"].kind.choices] == ["a", "b"]
    assert params["power_wait"].kind.parse("1.5") == 1.5
    assert params["ssl"].kind.parse("yes") == "yes"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no element found"),
        (b"usage: fence_x", "cannot be read"),
        (b"<html/>", "its root element is <html>"),
        (b"<resource-agent>", "no element found"),
        (b'<!DOCTYPE resource-agent [<!ENTITY a "b">]><resource-agent>&a;</resource-agent>', "document type"),
        (b"<resource-agent>" + b"<a>" * 40, "too deep"),
        (b"<resource-agent>" + b"<parameter/>" * 600 + b"</resource-agent>", "too large"),
        (b"<resource-agent>" + b" " * (1 << 20), "more than 1048576 bytes"),
    ],
)
def test_what_is_no_metadata_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(MetadataError, match=words):
        read_metadata("fence_x", data)


@pytest.mark.slow
def test_every_agent_of_the_package_is_understood() -> None:
    agents = InstalledAgents()
    if "fence_ipmilan" not in agents:
        pytest.skip("needs fence agents: apt-get install fence-agents")

    refused = []
    for name in ("fence_ipmilan", "fence_dummy", "fence_virsh", "fence_apc", "fence_scsi", "fence_aws"):
        try:
            agents[name]
        except (KeyError, MetadataError) as error:
            refused.append(str(error))

    assert refused == []
    options = {p.path for p in agents["fence_ipmilan"].spec.params}
    assert {"parameters/ip", "parameters/username", "parameters/password", "parameters/lanplus"} <= options
    assert agents["fence_ipmilan"].aliases["login"] == "username"
