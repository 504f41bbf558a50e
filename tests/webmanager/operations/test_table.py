"""Every operation of every command: the page, its preview, REST, and who may; docs/operations.md holds to it."""

from __future__ import annotations

import importlib
import re
import shlex
import uuid
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from django.urls import Resolver404, resolve

from agent.wire.peer import Request
from webmanager import parts, words

_KEY = uuid.UUID("00000000-0000-4000-8000-000000000001")
DOCUMENT = Path(__file__).parents[3] / "docs/operations.md"
# What is asked elsewhere or by the manager itself.
NOT_ASKED = {
    "inventory", "request_cancel", "config_apply", "config_confirm", "config_return",
    "drill_check", "drill_start", "drill_end",
    # By hand on a server, outside of the group; and what one server asks of the other in a forced recovery.
    "mirror_activate", "mirror_deactivate", "mirror_discard",
}  # fmt: skip
STATUS: dict[str, Any] = {
    "cluster": {"name": "c", "coordinator": "server1"},
    "servers": {
        "server1": {"name": "server1", "status": "Online", "incarnation": 7},
        "server2": {"name": "server2", "status": "Offline", "incarnation": 3},
    },
    "groups": {
        "g1": {"name": "g1", "active_on": ["server1"], "policy": ["server1", "server2"]},
        "g2": {"name": "g2", "active_on": [], "policy": ["server2"]},
    },
    "monitors": {
        "m1": {"name": "m1", "servers": {"server1": {}}},
        "m2": {"name": "m2", "servers": {"server2": {}}},
    },
    "fences": {"bmc1": {"name": "bmc1"}},
    "mirrors": {"md1": {"name": "md1", "servers": {
        "server1": {"active": True, "relation": "source", "verify": {}}, "server2": None,
    }}},
}  # fmt: skip
TARGETS = {"servers": "server1", "groups": "g1", "monitors": "m1", "fences": "bmc1", "mirrors": "md1", "": ""}
ALL = [
    (op, TARGETS[words.KINDS.get(op, "")], server)
    for op in words.OPS
    for server in (("", "server2") if op in words.WITH_SERVER else ("",))
    if server or op not in words.NEEDS_SERVER
]


def rows() -> dict[str, list[str]]:
    found = re.findall(
        r"^\| `(\w+)` \|(.*)\|$", DOCUMENT.read_text("utf-8").partition("## What happens")[0], re.MULTILINE
    )
    return {op: [cell.strip() for cell in rest.split(" | ")] for op, rest in found}


def test_everything_that_the_servers_understand_can_be_asked_on_a_page():
    understood = set(get_args(get_type_hints(Request)["op"])) - NOT_ASKED
    asked = {
        part.op
        for op, target, server in ALL
        for stage in parts.stages(_KEY, op, target, server, STATUS)
        for part in stage
    }
    assert understood - asked - {op for op in words.OPS if op in understood} == set()
    assert asked <= understood


def test_the_document_names_every_operation_as_it_is():
    assert list(rows()) == list(words.OPS)
    for op, (title, command, rest, preview, role, typed) in rows().items():
        target, server = TARGETS[words.KINDS.get(op, "")], "server2" if op in words.NEEDS_SERVER else ""
        assert title == words.named(op), op
        assert command == f"`{words.command(op, _shown(target), server and 'SERVER')}`", op
        told = words.rest(op, _shown(target), server and "SERVER")
        body = (
            " " + ", ".join(f'"{k}": "{v}"' for k, v in told["body"].items())
            if told["path"].startswith("/api/v2")
            else ""
        )
        assert rest == f"`{told['path']}{body}`", op
        assert preview == ("told" if words.effect(op, "x") else "simulated"), op
        assert role == ("administrator" if op in words.ADMINISTRATORS else "operator"), op
        assert typed == ("yes" if op in words.TYPED else ""), op


def _shown(target: str) -> str:
    return {"server1": "SERVER", "g1": "GROUP", "m1": "MONITOR", "bmc1": "DEVICE", "md1": "MIRROR"}.get(target, "")


@pytest.mark.parametrize(("op", "target", "server"), ALL)
def test_each_command_that_is_shown_is_one_that_the_command_takes(op, target, server):
    name, *arguments = shlex.split(words.command(op, target, server))
    module = importlib.import_module(f"agent.cli.{name}")

    parsed = vars(module._parse(arguments))

    named = {value for value in parsed.values() if isinstance(value, str)}
    named |= {*(parsed.get("monitors") or ()), *(parsed.get("names") or ())}
    assert {target, server} - {""} <= named, arguments


@pytest.mark.parametrize("name", ["failover 1", "a'b", "-x", "名前"])
def test_names_are_quoted_for_the_shell(name):
    assert shlex.split(words.command("group_stop", name, ""))[-1] == name


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiYamlRenderer

    return yaml.safe_load(OpenApiYamlRenderer().render(SchemaGenerator().get_schema(request=None, public=True), {}))


@pytest.mark.slow
@pytest.mark.parametrize(("op", "target", "server"), ALL)
def test_each_rest_line_that_is_shown_is_one_that_the_interface_takes(schema, op, target, server):
    shown = words.rest(op, target, server, "c")
    path = shown["path"].partition("?")[0]

    try:
        resolve(path)
    except Resolver404:
        pytest.fail(f"{path} does not exist")
    (described,) = [
        item["post"] for route, item in schema["paths"].items()
        if "post" in item and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path)
        and not re.search(r"\{\w+\}", route.rpartition("/")[2])
    ]  # fmt: skip
    reference = described["requestBody"]["content"]["application/json"]["schema"] if "requestBody" in described else {}
    shape = schema["components"]["schemas"].get(reference.get("$ref", "").rpartition("/")[2], reference)
    assert set(shown["body"]) <= set(shape.get("properties", {})), (op, shape)
    if "op" in shown["body"]:
        assert op in words.OPS


@pytest.mark.parametrize("op", words.OPS)
def test_each_operation_has_all_its_words(op):
    target, server = TARGETS[words.KINDS.get(op, "")], "server2" if op in words.WITH_SERVER else ""
    assert target in words.operation_title(op, target, server)
    assert not server or server in words.operation_title(op, target, server)
    assert words.named(op)
    assert "%(" not in words.named(op)
    assert words.cancelling(op)
    assert bool(words.word_to_type(op, target, server, "c")) == (op in words.TYPED)
    assert not words.TYPED - words.DANGEROUS


def asked(op: str, target: str = "", server: str = "") -> list[list[tuple[str, str, str, str]]]:
    found = parts.stages(_KEY, op, target, server, STATUS)
    return [[(part.op, part.target, part.server, part.node) for part in stage] for stage in found]


def test_parts_of_operations_about_several():
    assert asked("cluster_start") == [[("server_start", "server2", "", "")]]
    assert asked("cluster_restart") == [
        [("cluster_stop", "", "", "")],
        [("server_start", "server1", "", ""), ("server_start", "server2", "", "")],
    ]
    assert asked("server_restart", "server2") == [[("server_start", "server2", "", "")]]
    assert asked("groups_move", server="server1") == [[("group_move", "g1", "", "")]]
    assert asked("groups_start", server="server2") == [[("group_start", "g2", "server2", "")]]
    assert asked("groups_stop", server="server2") == [[]]
    assert asked("monitors_suspend") == [[("monitor_suspend", "m1", "", ""), ("monitor_suspend", "m2", "", "")]]
    assert asked("fence_test", "bmc1") == [[("fence_test", "bmc1", "", "server1")]]
    assert asked("fence_off", "server2") == [[("fence_off", "server2", "", "server1")]]
    assert asked("mirror_verify", "md1") == [[("mirror_verify", "md1", "server1", "")]]
    assert asked("mirror_slow", "md1") == [[("mirror_pace", "md1", "server1", "")]]


@pytest.mark.parametrize(("op", "bytes_s"), [("mirror_slow", 10 << 20), ("mirror_fast", 0)])
def test_pace_of_a_recovery_travels_with_the_request(op: str, bytes_s: int) -> None:
    (part,) = parts.stages(_KEY, op, "md1", "", STATUS)[0]
    assert part.bytes_s == bytes_s


def test_comparison_that_repairs_says_so_in_its_request() -> None:
    asked = {op: parts.stages(_KEY, op, "md1", "", STATUS)[0][0] for op in ("mirror_verify", "mirror_repair")}
    assert [(part.op, part.force) for part in asked.values()] == [("mirror_verify", False), ("mirror_verify", True)]


def test_what_ends_a_life_names_the_one_that_is_meant():
    (part,) = parts.stages(_KEY, "server_reboot", "server1", "", STATUS)[0]
    assert (part.id, part.lives) == (str(_KEY), {"server1": 7})
    (part,) = parts.stages(_KEY, "cluster_reboot", "", "", STATUS)[0]
    assert part.lives == {"server1": 7, "server2": 3}
    (part,) = parts.stages(_KEY, "group_move", "g1", "", STATUS)[0]
    assert part.lives == {}


def test_ids_of_parts_follow_from_the_operation():
    first = [part.id for stage in parts.stages(_KEY, "cluster_restart", "", "", STATUS) for part in stage]
    assert first == [part.id for stage in parts.stages(_KEY, "cluster_restart", "", "", STATUS) for part in stage]
    assert len(set(first)) == 3


def test_state_proves_what_it_can_and_no_more():
    def part(op: str, target: str = "") -> parts.Part:
        return parts.stages(_KEY, op, target, "", STATUS)[0][0]

    assert parts.happened(part("server_stop", "server2"), STATUS, current=False)
    assert parts.happened(part("server_stop", "server1"), STATUS, current=True) is None
    reboot = part("server_reboot", "server1")
    assert parts.happened(reboot, STATUS, current=True) is None
    anew = {**STATUS, "servers": {**STATUS["servers"], "server1": {"status": "Online", "incarnation": 8}}}
    assert parts.happened(reboot, anew, current=False)
    assert parts.happened(part("group_move", "g1"), STATUS, current=True) is None
    # What may have been so before it was asked for.
    on = {**STATUS, "cluster": {"suspended": False}}
    assert parts.happened(part("cluster_resume"), on, current=True)
    assert parts.happened(part("cluster_resume"), on, current=False) is None
