"""A new cluster from a few answers: servers and networks, who decides in a partition, and the service with its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from agent.catalog import specs
from agent.clpconf.archive import Bundle, Script
from agent.clpconf.edit import Edit, EditError, create
from agent.clpconf.entry import NAME
from agent.clpconf.kinds import DEVICE, HOST, IP, PATH, Kind
from builder import words

KINDS: Mapping[str, Any] = {
    "service": gettext_lazy("A service with a floating address"),
    "mirror": gettext_lazy("Two servers with a mirrored disk"),
    "shared": gettext_lazy("Servers with a shared disk"),
    "spare": gettext_lazy("N + 1: each server has its service, one stands by for all"),
}
RESOLVERS: Mapping[str, Any] = {
    "majonp": gettext_lazy("Majority: more than half of the servers act (three servers or more)"),
    "pingnp": gettext_lazy("Ping: who reaches an address acts"),
    "httpnp": gettext_lazy("Witness: a small program on a third machine"),
    "none": gettext_lazy("Nobody: both sides may act"),
}
FILE_SYSTEMS = ("ext4", "xfs", "ext3")
FEWEST, MOST = 2, 32
_START = "#!/bin/sh\n# Starts the service. It must return 0, and be harmless when it runs already.\n{command}\n"
_STOP = "#!/bin/sh\n# Stops the service. It must return 0, and be harmless when it is stopped already.\n{command}\n"
_Answers = Mapping[str, str]


def initial(kind: str, count: int) -> dict[str, str]:
    answers = {"cluster": "cluster1", "group": "failover1", "fs": FILE_SYSTEMS[0], "witness_port": "80"}
    answers["resolver"] = "majonp" if count > 2 else "pingnp"
    return answers | {f"name{n}": f"server{n}" for n in range(1, count + 1)}


def groups(kind: str, count: int, answers: _Answers) -> list[str]:
    if kind != "spare":
        return [answers.get("group", "")]
    return [f"{answers.get('group', '').rstrip('0123456789')}{n}" for n in range(1, count)]


def errors(kind: str, count: int, answers: _Answers) -> dict[str, str]:
    """field -> what is wrong with it."""
    return dict(_errors(kind, count, answers))


def _errors(kind: str, count: int, answers: _Answers) -> Iterator[tuple[str, str]]:
    names = [answers.get(f"name{n}", "") for n in range(1, count + 1)]
    for field in ("cluster", "group", *(f"name{n}" for n in range(1, count + 1))):
        if not NAME.fullmatch(answers.get(field, "")):
            yield field, _("Use letters, digits, “_”, “-” and “.”, at most 63.")
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            yield f"name{number}", _("Two servers have this name.")
    for field, value_kind, needed in _values(kind, count, answers):
        text = answers.get(field, "")
        if text or needed:
            yield from _error(field, text, value_kind)
    if any(answers.get(f"second{n}") for n in range(1, count + 1)):
        for n in range(1, count + 1):
            if not answers.get(f"second{n}"):
                yield f"second{n}", _("Give every server an address on the second network, or none.")
    if answers.get("resolver") == "majonp" and count < 3:
        yield "resolver", _("A majority of two servers is both of them. Choose ping or a witness.")


def _values(kind: str, count: int, answers: _Answers) -> Iterator[tuple[str, Kind, bool]]:
    for n in range(1, count + 1):
        yield f"first{n}", IP, True
        yield f"second{n}", IP, False
    for number, _group in enumerate(groups(kind, count, answers), 1):
        yield f"address{number}", IP, kind in ("service", "spare")
    if kind == "mirror":
        yield from (("data", DEVICE, True), ("control", DEVICE, True), ("mount", PATH, True))
    if kind == "shared":
        yield from (("device", DEVICE, True), ("mount", PATH, True))
    if answers.get("resolver") == "pingnp":
        yield "ping", IP, True
    if answers.get("resolver") == "httpnp":
        yield "witness", HOST, True


def _error(field: str, text: str, kind: Kind) -> Iterator[tuple[str, str]]:
    try:
        kind.parse(text)
    except ValueError:
        yield field, words.hint(kind)


def build(kind: str, count: int, answers: _Answers) -> Bundle:
    """Raises EditError where the format does not allow an answer."""
    # As the original's console writes it in this language; UTF-8 is none of the format's.
    document = create(answers["cluster"], "EUC-JP" if (get_language() or "en").startswith("ja") else "ASCII")
    edit = Edit(document, specs())
    servers = [answers[f"name{n}"] for n in range(1, count + 1)]
    _servers(edit, servers, answers)
    if kind == "mirror":
        for n, server in enumerate(servers, 1):
            edit.add_device(server, "mdc", 400, answers.get(f"second{n}") or answers[f"first{n}"])
    _resolver(edit, servers, answers)
    scripts: dict[str, Script] = {}
    for number, group in enumerate(groups(kind, count, answers), 1):
        edit.add_group(group)
        if kind == "spare":
            edit.set_policy(group, [servers[number - 1], servers[-1]])
        _disks(edit, kind, group, answers)
        _service(edit, group, number, answers, scripts)
    return Bundle(document.write(), scripts)


def _servers(edit: Edit, servers: list[str], answers: _Answers) -> None:
    for n, server in enumerate(servers, 1):
        edit.add_server(server)
        edit.add_device(server, "lan", 0, answers[f"first{n}"])
        if answers.get(f"second{n}"):
            edit.add_device(server, "lan", 1, answers[f"second{n}"])
    edit.add_heartbeat("lanhb", 0)
    if answers.get("second1"):
        edit.add_heartbeat("lanhb", 1)


def _resolver(edit: Edit, servers: list[str], answers: _Answers) -> None:
    chosen = answers.get("resolver")
    if chosen == "majonp":
        edit.add_partition("majonp", None)
    elif chosen == "pingnp":
        for server in servers:
            edit.add_device(server, "ping", 10200, "1")
        path = edit.add_partition("pingnp", 10200)
        edit.set(f"{path}/grp@0/list@0/ip", answers["ping"])
    elif chosen == "httpnp":
        for server in servers:
            edit.add_device(server, "http", 10700, "1")
        path = edit.add_partition("httpnp", 10700)
        edit.set(f"{path}/host", answers["witness"])
        edit.set(f"{path}/port", answers.get("witness_port", ""))


def _disks(edit: Edit, kind: str, group: str, answers: _Answers) -> None:
    if kind == "mirror":
        path = edit.add_resource(group, "md", "md1")
        values = {"nmppath": "/dev/NMP1", "diskdev/dppath": answers["data"], "diskdev/cppath": answers["control"],
                  "mount/point": answers["mount"], "fs": answers["fs"], "netdev@0/device": "400"}  # fmt: skip
    elif kind == "shared":
        path = edit.add_resource(group, "disk", "disk1")
        values = {"device": answers["device"], "mount/point": answers["mount"], "fs": answers["fs"]}
    else:
        return
    for below, text in values.items():
        edit.set(f"{path}/parameters/{below}", text)


def _service(edit: Edit, group: str, number: int, answers: _Answers, scripts: dict[str, Script]) -> None:
    if answers.get(f"address{number}"):
        path = edit.add_resource(group, "fip", f"fip{number}")
        edit.set(f"{path}/parameters/ip", answers[f"address{number}"])
    if answers.get("start"):
        name = f"exec{number}"
        edit.add_resource(group, "exec", name)
        scripts[f"{group}/{name}/start.sh"] = Script(_START.format(command=answers["start"]).encode())
        scripts[f"{group}/{name}/stop.sh"] = Script(_STOP.format(command=answers.get("stop") or "exit 0").encode())


__all__ = ["FEWEST", "FILE_SYSTEMS", "KINDS", "MOST", "RESOLVERS", "EditError", "build", "errors", "groups",
           "initial"]  # fmt: skip
