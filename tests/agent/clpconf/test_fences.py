"""Fence devices of clp.conf: what is read, and what is said of each mistake, with its place and remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.clpconf.fences import FenceAgent, is_secret
from agent.clpconf.kinds import SECRET, TEXT, choice, integer
from agent.clpconf.load import Loaded, load
from agent.clpconf.schema import Param, TypeSpec
from tests.agent.clpconf.conftest import Conf

IPMI = FenceAgent(
    TypeSpec(
        "fence_ipmilan",
        "IPMI",
        (
            Param("parameters/ip", "Ip", TEXT, required=True),
            Param("parameters/username", "Username", TEXT),
            Param("parameters/password", "Password", SECRET),
            Param("parameters/ipport", "Ipport", integer(0, 65535)),
            Param("parameters/action", "Action", choice("off", "reboot")),
        ),
    ),
    {"ipaddr": "ip", "login": "username", "passwd": "password"},
    frozenset(("off", "status")),
)
AGENTS = {"fence_ipmilan": IPMI, "fence_dummy": IPMI}
SECRET_NUMBER = replace(integer(0, 9), secret=True)
TARGETS = "".join(f'<server name="server{n}"><parameters><ip>192.0.2.{n}</ip></parameters></server>' for n in (1, 2))


def loaded(devices: str, agents: dict[str, FenceAgent] | None = AGENTS) -> Loaded:
    conf = Conf()
    conf.more = f"<openclp>{devices}</openclp>"
    return load(conf.write(), {}, agents)


def said(found: Loaded) -> list[tuple[str, str, str]]:
    return [(f.severity, f.code, f.path) for f in found.findings if "openclp" in f.path]


def device(inside: str, name: str = "bmc") -> str:
    return f'<fence name="{name}"><agent>fence_ipmilan</agent>{inside}</fence>'


def test_a_device_has_options_and_targets_with_options_of_their_own() -> None:
    options = "<parameters><username>admin</username><password>sesame</password></parameters>"
    found = loaded(device(f"<level>2</level><delay>1.5</delay><timeout>30</timeout>{options}{TARGETS}"))

    assert said(found) == []
    assert found.cluster is not None
    (one,) = found.cluster.fences
    assert (one.name, one.agent, one.level, one.delay_s, one.timeout_s) == ("bmc", "fence_ipmilan", 2, 1.5, 30.0)
    assert one.on("server2") == {"username": "admin", "password": "sesame", "ip": "192.0.2.2"}


def test_devices_come_by_level_and_old_names_of_options_are_understood() -> None:
    old = "<parameters><ipaddr>192.0.2.9</ipaddr><login>admin</login><passwd>sesame</passwd></parameters>"
    found = loaded(device(f"<level>2</level>{old}", "a") + device(old, "b"))

    assert said(found) == []
    assert found.cluster is not None
    assert [d.name for d in found.cluster.fences] == ["b", "a"]
    assert found.cluster.fences[0].values == {"ip": "192.0.2.9", "username": "admin", "password": "sesame"}
    assert [d.name for d in found.cluster.fences_against("server1")] == ["b", "a"]


BASE = "/root/openclp/fence@bmc"


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        pytest.param(device(""), ("error", "value.missing", f"{BASE}/parameters/ip"), id="required option missing"),
        pytest.param(
            device("<parameters><ip>a</ip><ipport>many</ipport></parameters>"),
            ("error", "value.syntax", f"{BASE}/parameters/ipport"), id="bad option",
        ),
        pytest.param(
            device("<parameters><ip>a</ip><colour>red</colour></parameters>"),
            ("note", "value.unknown", f"{BASE}/parameters/colour"), id="unknown option",
        ),
        pytest.param(
            device(TARGETS + '<server name="server9"><parameters><ip>a</ip></parameters></server>'),
            ("error", "override.server", f"{BASE}/server@server9"), id="unknown server",
        ),
        pytest.param(
            '<fence name="bmc"><agent>fence_nothing</agent></fence>',
            ("error", "fence.agent", f"{BASE}/agent"), id="unknown agent",
        ),
        pytest.param('<fence name="bmc"/>', ("error", "fence.agent", f"{BASE}/agent"), id="no agent"),
        pytest.param(
            '<fence name="bmc"><agent>/bin/sh</agent></fence>',
            ("error", "fence.agent", f"{BASE}/agent"), id="no name of an agent",
        ),
        pytest.param(
            '<fence name="bmc"><agent>fence_watchdog</agent></fence>',
            ("error", "fence.useless", f"{BASE}/agent"), id="agent that does nothing",
        ),
        pytest.param(
            device("<level>12</level><parameters><ip>a</ip></parameters>"),
            ("error", "value.range", f"{BASE}/level"), id="level",
        ),
        pytest.param(
            device("<parameters><ip>a</ip></parameters><port>1</port>"),
            ("note", "value.unknown", f"{BASE}/port"), id="option in the wrong place",
        ),
        pytest.param(
            device('<server name="server1"><parameters><ip>a</ip></parameters></server>'),
            ("warning", "fence.coverage", BASE), id="a server that nobody can force off",
        ),
    ],
)  # fmt: skip
def test_mistake_is_said_with_its_place(devices: str, expected: tuple[str, str, str]) -> None:
    assert expected in said(loaded(devices))


def test_missing_option_of_one_target_names_the_target() -> None:
    found = loaded(device(TARGETS.replace("<ip>192.0.2.2</ip>", "")))

    assert [f.text for f in found.findings if f.code == "value.missing"] == ["Ip is missing (target server2)."]


def test_a_secret_is_never_repeated_in_a_finding() -> None:
    agents = {"fence_ipmilan": FenceAgent(TypeSpec("x", "x", (Param("parameters/password", "P", SECRET_NUMBER),)))}
    found = loaded(device("<parameters><password>sesame</password></parameters>"), agents)

    assert [f.code for f in found.findings if "openclp" in f.path] == ["value.syntax"]
    assert not any("sesame" in str(f) for f in found.findings)


def test_without_the_package_the_options_are_kept_and_not_checked() -> None:
    found = loaded(device("<parameters><anything>1</anything></parameters>"), None)

    assert said(found) == [("note", "fence.unchecked", f"{BASE}/agent")]
    assert found.cluster is not None
    assert found.cluster.fences[0].values == {"anything": "1"}


@pytest.mark.parametrize(
    ("option", "secret"),
    [
        ("passwd", True), ("password", True), ("snmp_priv_passwd", True), ("secret_key", True), ("token", True),
        ("community", True), ("hexadecimal_kg", True), ("apikey", True), ("passwd_script", False), ("ip", False),
        ("token_file", False), ("identity_file", False), ("key_value", False), ("username", False),
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_names(option: str, secret: bool) -> None:
    assert is_secret(option) == secret
