"""The demo's configuration: a clp.conf as the original writes it, the scripts of its groups, and the cluster key."""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from webmanager.demo import database
from webmanager.demo.arbiters import devices_xml, resolvers_xml
from webmanager.demo.machine import DISK

SERVICE = Path(__file__).with_name("service.py")
MDC = 400  # number of the first mirror connect
COUNTS = {2: "Two", 3: "Three", 4: "Four"}


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A failover group: a floating address and, with `port` above 0, a small web service behind it."""

    name: str
    address: str
    policy: tuple[str, ...]
    port: int = 0


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror disk md1 on files of the two servers, which the first LANs connect."""

    size_mib: int = 48
    connects: int = 2
    fs: str = "ext4"
    options: str = "rw"  # of the mount
    point: str = "/run/md1"
    data: str = f"{DISK}/md1.data"
    partition: str = f"{DISK}/md1.cluster"
    # Every server of the bed has a directory of its own there, unlike in /dev.
    device: str = "/dev/shm/NMP1"  # noqa: S108
    more: str = ""  # XML below <parameters>


@dataclass(frozen=True, slots=True)
class Plan:
    """`addresses`: server -> its address on each LAN, in the order of the heartbeats; `ping`: what ipw pings."""

    addresses: dict[str, tuple[str, ...]]
    groups: tuple[GroupPlan, ...]
    interval_ms: int = 200
    timeout_ms: int = 1000
    ping: str = ""
    name: str = "demo"
    startup_wait_s: int = 5
    grace_s: int = 3
    script_s: int = 20  # timeout of start.sh and stop.sh
    waited: bool = False  # start.sh starts the service and ends, and stop.sh ends it; else start.sh is the service
    extra_monitors: str = ""  # more XML below <monitor>
    majority: bool = True
    resolvers: tuple[str, ...] = ()  # of arbiters.RESOLVERS, instead of `majority`
    witness: str = ""  # address of the witness
    npaction: int = 0  # the losing side of a cut only stops its groups, and is back when the cut is healed
    own: str = ""  # more XML below <openclp>
    self_fencing: bool = False  # a server that lost its lease is reset
    mirror: Mirror | None = None  # of the first group, which then has two servers
    database: bool = False  # PostgreSQL on that mirror


def resolvers_of(plan: Plan) -> tuple[str, ...]:
    return plan.resolvers or (("majority",) if plan.majority else ())


def clp_conf(plan: Plan) -> bytes:
    """Root order and indentation as the Cluster WebUI saves them."""
    parts = [
        _cluster(plan), "<all><charset>ASCII</charset><serveros>linux</serveros><encode>ASCII</encode></all>",
        _monitors(plan), _servers(plan), _heartbeats(plan),
        resolvers_xml(resolvers_of(plan), plan.ping, plan.witness), *_groups(plan), _resources(plan),
        f"<openclp>{_leaf('startupwait', plan.startup_wait_s)}{_leaf('grace', plan.grace_s)}{plan.own}</openclp>",
        f"<webmgr><client>{_leaf('objectnumber', _object_number(plan))}</client></webmgr>",
    ]  # fmt: skip
    return ('<?xml version="1.0" encoding="ASCII"?>\n' + _indent(f"<root>{''.join(parts)}</root>")).encode("ascii")


def scripts(plan: Plan) -> dict[str, str]:
    """Path below scripts/ -> content."""
    files: dict[str, str] = {}
    for number, group in enumerate(plan.groups, 1):
        if group.port:
            counter = [_counter(plan)] if plan.mirror is not None and number == 1 else []
            # Without site-packages it starts in half the time; the way to a database is one of those.
            bare = [] if counter == [database.LOCAL] else ["-S"]
            command = shlex.join([sys.executable, "-I", *bare, str(SERVICE), group.name, str(group.port), *counter])
            place = f"{group.name}/exec{number}"
            if plan.waited:
                files[f"{place}/start.sh"] = f"#!/bin/sh\n{command} &\necho $! >/run/{group.name}.pid\n"
                files[f"{place}/stop.sh"] = f"#!/bin/sh\nkill $(cat /run/{group.name}.pid)\nexit 0\n"
                continue
            files[f"{place}/start.sh"] = f"#!/bin/sh\n# It runs until it is stopped.\nexec {command}\n"
            files[f"{place}/stop.sh"] = "#!/bin/sh\n# The agent stops the service itself.\nexit 0\n"
    if plan.database and plan.mirror is not None:
        place = f"{plan.groups[0].name}/{database.NAME}"
        files |= {f"{place}/{name}": content for name, content in database.scripts(plan.mirror.point).items()}
    return files


def _counter(plan: Plan) -> str:
    """Where the web service of the first group counts its requests."""
    assert plan.mirror is not None
    return database.LOCAL if plan.database else f"{plan.mirror.point}/count"


def cluster_key() -> str:
    return secrets.token_hex(32)


# ---- sections ----
def _cluster(plan: Plan) -> str:
    count = len(plan.addresses)
    comment = f"{COUNTS.get(count, count)} servers on one machine"
    return (
        f"<cluster>{_leaf('name', plan.name)}{_leaf('comment', comment)}"
        f"<heartbeat>{_leaf('interval', plan.interval_ms)}{_leaf('timeout', plan.timeout_ms)}</heartbeat>"
        f"{_leaf('haltp', 1) if plan.self_fencing else ''}"
        f"<networkpartition>{_leaf('npaction', plan.npaction)}</networkpartition></cluster>"
    )


def _servers(plan: Plan) -> str:
    out = ""
    for priority, (name, addresses) in enumerate(plan.addresses.items()):
        devices = "".join(
            f'<device id="{number}">{_leaf("type", "lan")}{_leaf("info", address)}</device>'
            for number, address in enumerate(addresses)
        )
        devices += devices_xml(resolvers_of(plan)) + _mirror_devices(plan, addresses)
        out += f'<server name="{name}">{_leaf("priority", priority)}{_leaf("comment", "")}{devices}</server>'
    return out


def _heartbeats(plan: Plan) -> str:
    count = len(next(iter(plan.addresses.values())))
    rows = "".join(
        f'<lanhb name="lanhb{number + 1}">{_leaf("priority", number)}{_leaf("device", number)}</lanhb>'
        for number in range(count)
    )
    return f'<heartbeat><types name="lanhb"/>{rows}</heartbeat>'


def _groups(plan: Plan) -> list[str]:
    out = []
    for number, group in enumerate(plan.groups):
        members = f'<resource name="fip@fip{number + 1}"/>' + (
            f'<resource name="exec@exec{number + 1}"/>' if group.port else ""
        )
        if plan.mirror is not None and number == 0:
            stored = f'<resource name="exec@{database.NAME}"/>' if plan.database else ""
            members = f'<resource name="md@md1"/>{members}{stored}'
        policy = "".join(
            f'<policy name="{server}">{_leaf("order", order)}</policy>' for order, server in enumerate(group.policy)
        )
        out.append(
            f'<group name="{group.name}">{_leaf("type", "failover")}{_leaf("comment", "")}{_leaf("gid", number)}'
            f"{members}{policy}</group>"
        )
    return out


def _resources(plan: Plan) -> str:
    fips = "".join(
        f'<fip name="fip{number}">{_leaf("comment", "")}<parameters>{_leaf("ip", group.address)}</parameters></fip>'
        for number, group in enumerate(plan.groups, 1)
    )
    execs = "".join(
        _exec(f"exec{number}", "Web service", plan, waited=plan.waited)
        for number, group in enumerate(plan.groups, 1)
        if group.port
    )
    if plan.database:
        execs += _exec(database.NAME, "PostgreSQL on the mirror disk", plan, waited=False)
    mirror = _mirror_resource(plan.mirror) if plan.mirror is not None else ""
    types = '<types name="fip"/>' + ('<types name="exec"/>' if execs else "") + ('<types name="md"/>' if mirror else "")
    return f"<resource>{types}{fips}{execs}{mirror}</resource>"


def _exec(name: str, comment: str, plan: Plan, *, waited: bool) -> str:
    """`waited`: its start script ends; else it is the program."""
    return (
        f'<exec name="{name}">{_leaf("comment", comment)}<parameters>'
        f"<act>{_leaf('path', 'start.sh')}{_leaf('sync', int(waited))}</act>"
        f"<deact>{_leaf('path', 'stop.sh')}</deact>"
        f"<timeout>{_leaf('start', plan.script_s)}{_leaf('stop', plan.script_s)}</timeout></parameters>"
        f"<act>{_leaf('timeout', 200)}</act><deact>{_leaf('timeout', 200)}</deact></exec>"
    )


def _mirror_devices(plan: Plan, addresses: tuple[str, ...]) -> str:
    connects = addresses[: plan.mirror.connects] if plan.mirror is not None else ()
    return "".join(
        f'<device id="{MDC + number}">{_leaf("type", "mdc")}{_leaf("info", address)}</device>'
        for number, address in enumerate(connects)
    )


def _mirror_resource(mirror: Mirror) -> str:
    connects = "".join(
        f'<netdev id="{number}">{_leaf("priority", number)}{_leaf("device", MDC + number)}'
        f"{_leaf('mdcname', f'mdc{number + 1}')}</netdev>"
        for number in range(mirror.connects)
    )
    mount = f"<mount>{_leaf('point', mirror.point)}{_leaf('option', mirror.options)}</mount>"
    return (
        f'<md name="md1">{_leaf("comment", "Data")}<parameters>{_leaf("nmppath", mirror.device)}'
        f"<diskdev>{_leaf('dppath', mirror.data)}{_leaf('cppath', mirror.partition)}</diskdev>"
        f"{_leaf('fs', mirror.fs)}{mount}{connects}"
        f"{_leaf('mkfs', 1)}{_leaf('fullcopy', 0)}{mirror.more}</parameters>"
        f"<act>{_leaf('timeout', 120)}</act><deact>{_leaf('timeout', 60)}</deact></md>"
    )


def _monitors(plan: Plan) -> str:
    rows = ""
    for number, group in enumerate(plan.groups, 1):
        if group.port and not plan.waited:
            rows += _monitor("pidw", number, f"exec{number}", "", ("rsc", f"exec{number}"), restart=1)
        if plan.ping:
            target = f'<parameters><list id="0">{_leaf("ip", plan.ping)}</list></parameters>'
            rows += _monitor("ipw", number, f"fip{number}", target, ("grp", group.name), restart=0)
    if plan.database:
        number = len(plan.groups) + 1
        rows += _monitor("pidw", number, database.NAME, "", ("rsc", database.NAME), restart=1)
    types = "".join(f'<types name="{name}"/>' for name in ("pidw", "ipw") if f"<{name} " in rows)
    return f"<monitor>{types}{rows}{plan.extra_monitors}</monitor>"


def _monitor(kind: str, number: int, target: str, parameters: str, relation: tuple[str, str], restart: int) -> str:
    """While its group is active: each second, once more to be sure, then recovery."""
    return (
        f'<{kind} name="{kind}{number}">{_leaf("comment", "")}{_leaf("target", target)}{parameters}'
        f"<polling>{_leaf('timing', 1)}{_leaf('interval', 1)}"
        f"{_leaf('timeout', 2)}{_leaf('reconfirmation', 1)}</polling>"
        f"<relation>{_leaf('type', relation[0])}{_leaf('name', relation[1])}</relation>"
        f"<emergency><threshold>{_leaf('restart', restart)}{_leaf('fo', 1)}</threshold>{_leaf('action', 1)}</emergency>"
        f"</{kind}>"
    )


def _object_number(plan: Plan) -> int:
    """4 + servers + groups + resources + monitors + heartbeats and resolvers on each server, as the Builder counts."""
    servers = len(plan.addresses)
    services = sum(1 for group in plan.groups if group.port)
    watched = 0 if plan.waited else services
    monitors = watched + (len(plan.groups) if plan.ping else 0) + plan.extra_monitors.count("<polling>")
    paths = len(next(iter(plan.addresses.values()))) + len(resolvers_of(plan))
    mirrors = 0 if plan.mirror is None else 1
    databases = 2 if plan.database else 0  # with its monitor
    return (
        databases + 4 + servers + len(plan.groups) + len(plan.groups) + services + mirrors + monitors + paths * servers
    )


def _leaf(name: str, value: object) -> str:
    text = escape(str(value))
    return f"<{name}>{text}</{name}>" if text else f"<{name}/>"


def _indent(xml: str) -> str:
    """Two blanks a level; a leaf stays on one line."""
    out: list[str] = []
    depth = 0
    tags: Sequence[str] = xml.replace(">", ">\n").replace("<", "\n<").split("\n")
    pieces = [piece for piece in tags if piece]
    for number, piece in enumerate(pieces):
        if piece.startswith("</"):
            depth -= 1
            leaf = pieces[number - 1][0] != "<"
            out.append(f"{piece}\n" if leaf else f"{'  ' * depth}{piece}\n")
        elif piece.startswith("<"):
            text_follows = not piece.endswith("/>") and pieces[number + 1][0] != "<"
            out.append(f"{'  ' * depth}{piece}" + ("" if text_follows else "\n"))
            depth += 0 if piece.endswith("/>") else 1
        else:
            out.append(piece)
    return "".join(out)
