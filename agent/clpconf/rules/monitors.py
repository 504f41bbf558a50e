"""Rules for monitors: what they watch, where they run, and what they recover."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.clpconf.findings import Finding
from agent.clpconf.model import Monitor
from agent.clpconf.rules.subject import Rule, Subject, finding

#: Type of monitor -> type of the resource that it watches as its target.
TARGETS = {
    "pidw": "exec", "fipw": "fip", "volmgrw": "volmgr", "vmw": "vm", "awsvipw": "awsvip", "azureppw": "azurepp",
    "awsdnsw": "awsdns",
}  # fmt: skip
#: Type of monitor -> (path of the name, type of the resource that it names).
OBJECTS = {"mdw": ("parameters/object", "md"), "mdnw": ("parameters/object", "md")}
# Test Unit Ready is a SCSI command: volumes, NVMe and virtio disks have none.
_NO_SCSI = re.compile(r"/dev/(mapper/|dm-|md[0-9]|nvme|vd[a-z]|xvd[a-z]|hd[a-z]|mmcblk|loop|[^/]+/)")
_NIC_MONITORS = ("miiw",)
#: Number of floating addresses, and the longest name of a NIC with so many in the original.
_NIC_NAMES = ((10, 7), (100, 6))
_SHORTEST_LIMIT = 5


def watched_type(subject: Subject) -> Iterator[Finding]:
    for monitor in subject.monitors_of(*TARGETS):
        wanted, target = TARGETS[monitor.type], subject.resources.get(monitor.target)
        place = subject.at("monitor", monitor.name, "target")
        if not monitor.target:
            yield finding(
                "monitor.target", "error", place, "Monitor {name} watches a resource of type {wanted}, but names none.",
                "Write its name in <target>.", name=monitor.name, wanted=wanted,
            )  # fmt: skip
        elif target is not None and target.type != wanted:
            yield finding(
                "monitor.target_type", "error", place,
                "Monitor {name} can watch resources of type {wanted} only; {target} is of type {type}.",
                "Name a resource of type {wanted}.",
                name=monitor.name, wanted=wanted, target=target.name, type=target.type,
            )  # fmt: skip


def watched_object(subject: Subject) -> Iterator[Finding]:
    for monitor in subject.monitors_of(*OBJECTS):
        path, wanted = OBJECTS[monitor.type]
        name = subject.text(monitor, path)
        found = subject.resources.get(name)
        if name and (found is None or found.type != wanted):
            yield finding(
                "monitor.object", "error", subject.at("monitor", monitor.name, path),
                'Monitor {name} watches "{object}", which is no resource of type {wanted}.',
                "Name a resource of type {wanted}.", name=monitor.name, object=name[:60], wanted=wanted,
            )  # fmt: skip


def synchronous_program(subject: Subject) -> Iterator[Finding]:
    for monitor in subject.monitors_of("pidw"):
        target = subject.resources.get(monitor.target)
        if target is not None and target.type == "exec" and subject.text(target, "parameters/act/sync") != "0":
            yield finding(
                "pidw.synchronous", "warning", subject.at("monitor", monitor.name, "target"),
                "{name} watches the process of {target}, whose start script is waited for: no process is left then.",
                "Let {target} start asynchronously (parameters/act/sync 0), or use a genw monitor.",
                name=monitor.name, target=target.name,
            )  # fmt: skip


def recovery_elsewhere(subject: Subject) -> Iterator[Finding]:
    """It watches one group and recovers another: the error stays, and healthy programs are moved."""
    for monitor in subject.cluster.monitors:
        if monitor.recovery_type not in ("rsc", "grp") or not monitor.target:
            continue
        watched = subject.group_of.get(monitor.target)
        name = monitor.recovery_name
        recovered = subject.groups.get(name) if monitor.recovery_type == "grp" else subject.group_of.get(name)
        if watched is not None and recovered is not None and watched is not recovered:
            yield finding(
                "monitor.other_group", "warning", subject.at("monitor", monitor.name, "relation/name"),
                "Monitor {name} watches {target} of group {watched}, but recovers group {recovered}.",
                "Name {watched}, or one of its resources, as the recovery target.",
                name=monitor.name, target=monitor.target, watched=watched.name, recovered=recovered.name,
            )  # fmt: skip


def unused_recovery(subject: Subject) -> Iterator[Finding]:
    """The recovery target is in no group, so that nothing can be restarted or moved."""
    for monitor in subject.cluster.monitors:
        known = monitor.recovery_type == "rsc" and monitor.recovery_name in subject.resources
        if known and monitor.recovery_name not in subject.group_of:
            yield finding(
                "monitor.recovery", "warning", subject.at("monitor", monitor.name, "relation/name"),
                "Monitor {name} recovers {target}, which belongs to no group.", "Add {target} to a group.",
                name=monitor.name, target=monitor.recovery_name,
            )  # fmt: skip


def monitor_servers(subject: Subject) -> Iterator[Finding]:
    """A monitor that runs where its target never does."""
    for monitor in subject.cluster.monitors:
        group = subject.group_of.get(monitor.target) if monitor.timing == "active" else None
        if group is None or not monitor.servers:
            continue
        missing = [name for name in group.policy if name not in monitor.servers]
        if len(missing) == len(group.policy):
            yield finding(
                "monitor.servers", "error", subject.at("monitor", monitor.name, "polling"),
                "Monitor {name} runs on {servers} only, where {target} never does: it never watches it.",
                "Let it run on {policy}.", name=monitor.name, servers=monitor.servers, target=monitor.target,
                policy=group.policy,
            )  # fmt: skip
        elif missing:
            yield finding(
                "monitor.servers", "warning", subject.at("monitor", monitor.name, "polling"),
                "Monitor {name} does not run on {servers}: there nobody watches {target}.",
                "Let it run on all servers of group {group}.",
                name=monitor.name, servers=missing, target=monitor.target, group=group.name,
            )  # fmt: skip


def one_user_mode_monitor(subject: Subject) -> Iterator[Finding]:
    watchers = subject.monitors_of("userw")
    for monitor in watchers[1:]:
        yield finding(
            "userw.count", "warning", subject.at("monitor", monitor.name),
            "{name} is a second user mode monitor beside {first}; one watchdog ends the server.", "Remove one of them.",
            name=monitor.name, first=watchers[0].name,
        )  # fmt: skip
    method = subject.document.root.find("haltp/method")
    if not watchers or method is None or not method.value:
        return
    own = subject.text(watchers[0], "parameters/method") or "keepalive"
    if method.value != own and {method.value, own} >= {"softdog", "ipmi"}:
        yield finding(
            "watchdog.methods", "warning", subject.root("haltp/method"),
            "The shutdown monitoring uses {method}, and {name} uses {own}: one server has one watchdog.",
            "Use the same method for both.", method=method.value, name=watchers[0].name, own=own,
        )  # fmt: skip


def disk_method(subject: Subject) -> Iterator[Finding]:
    for monitor in subject.monitors_of("diskw"):
        method = subject.text(monitor, "parameters/method").upper()
        path = subject.text(monitor, "parameters/object")
        if "TUR" in method and _NO_SCSI.match(path):
            yield finding(
                "diskw.tur", "warning", subject.at("monitor", monitor.name, "parameters/method"),
                "{name} asks {path} by {method}, a SCSI command that this kind of device does not have.",
                "Use the method READ, or name the SCSI disk below it.", name=monitor.name, path=path, method=method,
            )  # fmt: skip


def listed_monitors(subject: Subject) -> Iterator[Finding]:
    """mtw judges by other monitors; they exist, and it is not one of them."""
    names = {monitor.name for monitor in subject.cluster.monitors}
    for monitor in subject.monitors_of("mtw"):
        element = subject.element("monitor", monitor.name)
        for part in element.named("parameters") if element is not None else ():
            for member in part.named("monitor"):
                name = member.identity or ""
                if name not in names or name == monitor.name:
                    yield finding(
                        "mtw.object", "error", member,
                        'Monitor {name} judges by "{object}", which is no other monitor.', "Name another monitor.",
                        name=monitor.name, object=name[:60],
                    )  # fmt: skip


def longest_nic_name(subject: Subject) -> tuple[int, int]:
    """(characters that the original allows, number of floating addresses)."""
    addresses = len(subject.resources_of("fip"))
    return next((length for most, length in _NIC_NAMES if addresses <= most), _SHORTEST_LIMIT), addresses


def nic_names(subject: Subject) -> Iterator[Finding]:
    """A limit of the original, which gives each floating address a label made of the NIC's name."""
    limit, addresses = longest_nic_name(subject)
    for monitor in subject.monitors_of(*_NIC_MONITORS):
        for server in ("", *monitor.overrides):
            nic = subject.text(monitor, "parameters/object", server)
            if len(nic) > limit:
                yield from _long_name(subject, monitor, nic, limit, addresses)
                break


def _long_name(subject: Subject, monitor: Monitor, nic: str, limit: int, addresses: int) -> Iterator[Finding]:
    yield finding(
        "nic.name", "note", subject.at("monitor", monitor.name, "parameters/object"),
        "The NIC name {nic} has {length} characters; the original allows {limit} with {addresses} floating addresses.",
        "Rename the NIC only if the original shall use this file; here any name works.",
        nic=nic, length=str(len(nic)), limit=str(limit), addresses=str(addresses),
    )  # fmt: skip


RULES: tuple[Rule, ...] = (
    watched_type,
    watched_object,
    synchronous_program,
    recovery_elsewhere,
    unused_recovery,
    monitor_servers,
    one_user_mode_monitor,
    disk_method,
    listed_monitors,
    nic_names,
)
