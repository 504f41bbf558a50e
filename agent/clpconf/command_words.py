"""The words of clpcfset, clpcfadm.py and REST: what each of them takes, and what it does to a configuration.

Every word that adds takes again, and then replaces, what is there already; scripts of the original are run twice.
A number of a device is that of the file (300), or counted from the first of its kind (0), as the original's tools do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from agent.clpconf import command_alerts
from agent.clpconf.command_alerts import UsageError
from agent.clpconf.edit import Edit, EditError
from agent.clpconf.findings import Finding
from agent.clpconf.objects import Kind, Thing, find, named, of_kind
from agent.clpconf.sections import DEVICE_IDS

_FIRST_ABSOLUTE = 100  # From here on a number can only be that of the file.
_MOST_ARGUMENTS = 16
# Of the arguments those that name something.
_NAMES = frozenset(("SERVER", "TYPE", "GROUP", "RESOURCE", "MONITOR", "OTHER", "PATH", "NUMBER", "DEVICE", "MODULE"))


class Word(NamedTuple):
    """`adds` and `deletes`: arguments as the help shows them, in brackets those that may be left out."""

    adds: str
    add: Callable[..., None]
    deletes: str
    delete: Callable[..., None]


def do(verb: str, given: Sequence[str]) -> Callable[[Edit], None]:
    """What "add"/"del" with these arguments does. Raises UsageError, also when it is done."""
    if not given or given[0] not in WORDS:
        raise UsageError(f"{verb} what? Known: {', '.join(WORDS)}.")
    word, arguments = WORDS[given[0]], list(given[1:])
    usage, work = (word.adds, word.add) if verb == "add" else (word.deletes, word.delete)
    names = usage.split()
    least = sum(not name.startswith("[") for name in names)
    if not least <= len(arguments) <= (_MOST_ARGUMENTS if names[-1:] == ["[...]"] else len(names)):
        raise UsageError(f"Usage: {verb} {given[0]} {usage}")
    return lambda edit: work(edit, *arguments)


def shown(verb: str, given: Sequence[str]) -> str:
    """The command as far as it names things; values, which may be secrets, are left out."""
    word = WORDS.get(given[0]) if given else None
    usage = (word.adds if verb == "add" else word.deletes).split() if word is not None else []
    told = [text for name, text in zip(usage, given[1:], strict=False) if name.strip("[]") in _NAMES]
    return " ".join([verb, *given[:1], *told])


def whole_number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise UsageError(f'"{text[:40]}" is no {what}. Write a whole number.')
    return int(text)


def device_number(kind: str, text: str) -> int:
    """As the file has it."""
    number = whole_number(text, "number of a device")
    if kind not in DEVICE_IDS:
        raise UsageError(f'"{kind[:40]}" is no kind of device. Known: {", ".join(DEVICE_IDS)}.')
    first, last = DEVICE_IDS[kind]
    number += first if number < _FIRST_ABSOLUTE <= first else 0
    if not first <= number <= last:
        text = f"A device of kind {kind} has a number from {first} to {last}, or from 0 to {min(last - first, 99)}."
        raise UsageError(text)
    return number


def _server(edit: Edit, name: str, priority: str) -> None:
    if named(edit.root, "server", name) is None:
        edit.add_server(name, whole_number(priority, "priority"))
    else:
        edit.set(f"server@{name}/priority", str(whole_number(priority, "priority")), explicit=True)


def _device(edit: Edit, server: str, kind: str, number: str, info: str, extend: str = "") -> None:
    edit.add_device(server, kind, device_number(kind, number), info, extend)


def _no_device(edit: Edit, server: str, kind: str, number: str) -> None:
    edit.remove(f"server@{server}/device@{device_number(kind, number)}")


def _heartbeat(edit: Edit, kind: str, device: str, priority: str, host: str = "") -> None:
    _path(edit, "heartbeat", kind, device, priority, _host_and_port(host))


def _no_heartbeat(edit: Edit, kind: str, device: str) -> None:
    edit.remove(_over(edit, "heartbeat", kind, device).element.path)


def _partition(edit: Edit, kind: str, *given: str) -> None:
    if kind == "majonp":
        _majority(edit, *given)
        return
    if len(given) < 2:
        raise UsageError(f"Usage: add np {kind} DEVICE PRIORITY ...")
    device, priority, *more = given
    if kind != "pingnp":
        if len(more) > 1:
            raise UsageError(f"Usage: add np {kind} DEVICE PRIORITY [HOST:PORT]")
        _path(edit, "partition", kind, device, priority, _host_and_port(more[0] if more else ""))
        return
    if len(more) != 3:
        raise UsageError("Usage: add np pingnp DEVICE PRIORITY GROUP LIST ADDRESS")
    path = _path(edit, "partition", kind, device, priority, {})
    group, entry = (whole_number(one, "number of a list") for one in more[:2])
    edit.set(f"{path}/grp@{group}/list@{entry}/ip", more[2], explicit=True)


def _majority(edit: Edit, *given: str) -> None:
    if len(given) != 1:
        raise UsageError("Usage: add np majonp PRIORITY")
    number = whole_number(given[0], "priority")
    known = next((thing for thing in of_kind(edit.root, "partition") if thing.type == "majonp"), None)
    if known is None:
        edit.add_partition("majonp", None, priority=number)
    else:
        edit.set(f"{known.element.path}/priority", str(number), explicit=True)


def _no_partition(edit: Edit, kind: str, device: str = "") -> None:
    if kind != "majonp":
        edit.remove(_over(edit, "partition", kind, device).element.path)
        return
    known = next((thing for thing in of_kind(edit.root, "partition") if thing.type == kind), None)
    if known is None:
        _missing("/root/networkpartition", "There is no majonp.")
    edit.remove(known.element.path)


def _path(edit: Edit, kind: Kind, type_name: str, device: str, priority: str, values: Mapping[str, str]) -> str:
    """A heartbeat or resolver over a device: its values again where there is one; else named as the original does."""
    number = device_number(_device_kind(edit, kind, type_name), device)
    rank = whole_number(priority, "priority")
    known = _find(edit, kind, type_name, number)
    if known is not None:
        for path, text in {"priority": str(rank), **values}.items():
            edit.set(f"{known.element.path}/{path}", text, explicit=True)
        return known.element.path
    add = edit.add_heartbeat if kind == "heartbeat" else edit.add_partition
    return add(type_name, number, _usual_name(edit, kind, type_name, number), rank, values)


def _usual_name(edit: Edit, kind: Kind, type_name: str, number: int) -> str:
    """LAN heartbeats are counted, the others go by the number of their device; "" lets Edit count."""
    first = DEVICE_IDS[_device_kind(edit, kind, type_name)][0]
    name = f"{type_name}{number - first + 1}"
    return name if first and named(edit.root, kind, name) is None else ""


def _device_kind(edit: Edit, kind: Kind, type_name: str) -> str:
    spec = edit.catalog.get(type_name)
    section = "heartbeat" if kind == "heartbeat" else "networkpartition"
    param = spec.param("device") if spec is not None and spec.section == section else None
    if param is None or not param.refers.startswith("device:"):
        known = [name for name, one in edit.catalog.items() if one.section == section]
        raise UsageError(f'"{type_name[:40]}" is no type here. Known: {", ".join(known)}.')
    return param.refers.removeprefix("device:")


def _find(edit: Edit, kind: Kind, type_name: str, number: int) -> Thing | None:
    for thing in of_kind(edit.root, kind):
        device = thing.element.child("device")
        if thing.type == type_name and device is not None and device.value == str(number):
            return thing
    return None


def _over(edit: Edit, kind: Kind, type_name: str, device: str) -> Thing:
    number = device_number(_device_kind(edit, kind, type_name), device)
    known = _find(edit, kind, type_name, number)
    if known is None:
        section = "heartbeat" if kind == "heartbeat" else "networkpartition"
        _missing(f"/root/{section}", f"There is no {type_name} over device {number}.")
    return known


def _host_and_port(host: str) -> dict[str, str]:
    """The original writes the usual port as well."""
    if not host:
        return {}
    name, _, port = host.rpartition(":") if host.count(":") == 1 else (host, "", "")
    return {"host": name, "port": port or "80"}


def _group(edit: Edit, kind: str, name: str) -> None:
    if named(edit.root, "group", name) is None:
        edit.add_group(name, kind)
    else:
        edit.set(f"group@{name}/type", kind, explicit=True)


def _group_value(edit: Edit, _kind: str, name: str, path: str, value: str) -> None:
    edit.set(f"group@{name}/{path}", value, explicit=True)


def _resource(edit: Edit, group: str, kind: str, name: str) -> None:
    known = named(edit.root, "resource", name)
    if known is None:
        edit.add_resource(group, kind, name, bare=True)
    elif known.type != kind:
        _refuse("name.duplicate", known.element.path, f"{name} is a resource of type {known.type}.", "Remove it first.")
    else:
        edit.move_resource(name, group)


def _no_resource(edit: Edit, group: str, kind: str, name: str) -> None:
    if find(edit.root, f"group@{group}/resource@{kind}@{name}") is None:
        _missing(f"/root/group@{group}", f"{group} has no resource {kind}@{name}.")
    edit.remove(f"resource/{kind}@{name}")


def _depends(edit: Edit, kind: str, name: str, other: str) -> None:
    """`name` starts after `other`; "" says that it waits for nothing."""
    present = _dependencies(edit, kind, name)
    edit.set_depends(name, [*present, other] if other else [])


def _depends_not(edit: Edit, kind: str, name: str, other: str) -> None:
    present = _dependencies(edit, kind, name)
    if other and other not in present:
        _missing(f"/root/resource/{kind}@{name}", f"{name} does not depend on {other}.")
    left = [one for one in present if one != other]
    edit.set_depends(name, left or None)


def _dependencies(edit: Edit, kind: str, name: str) -> list[str]:
    element = find(edit.root, f"resource/{kind}@{name}")
    if element is None:
        _missing(f"/root/resource/{kind}@{name}", "There is no such resource.")
    return [one.identity for one in element.named("depend") if one.identity]


def _monitor(edit: Edit, kind: str, name: str) -> None:
    known = named(edit.root, "monitor", name)
    if known is None:
        edit.add_monitor(kind, name, bare=True)
    elif known.type != kind:
        _refuse("name.duplicate", known.element.path, f"{name} is a monitor of type {known.type}.", "Remove it first.")


def _value_in(section: str) -> Callable[[Edit, str, str, str, str], None]:
    def work(edit: Edit, kind: str, name: str, path: str, value: str) -> None:
        edit.set(f"{section}/{kind}@{name}/{path}", value, explicit=True)

    return work


def _no_value_in(section: str) -> Callable[[Edit, str, str, str], None]:
    return lambda edit, kind, name, path: _unset(edit, f"{section}/{kind}@{name}/{path}")


def _unset(edit: Edit, path: str) -> None:
    if find(edit.root, path) is None:
        _missing(f"/root/{path.removeprefix('/root/')}", "There is nothing at this path.")
    edit.unset(path)


def _missing(path: str, text: str) -> NoReturn:
    _refuse("edit.missing", path, text, "Check the spelling.")


def _refuse(code: str, path: str, text: str, remedy: str) -> NoReturn:
    raise EditError(Finding(code, "error", path, text, remedy))


def usage() -> str:
    """All words with their arguments, for the help."""
    lines = [f"  add {name} {word.adds}" for name, word in WORDS.items()]
    return "\n".join([*lines, *(f"  del {name} {word.deletes}" for name, word in WORDS.items())])


WORDS: Mapping[str, Word] = {
    "srv": Word("SERVER PRIORITY", _server, "SERVER", lambda edit, name: edit.remove(f"server@{name}")),
    "device": Word(
        f"SERVER {'|'.join(DEVICE_IDS)} NUMBER INFO [EXTEND]", _device, "SERVER KIND NUMBER", _no_device
    ),
    "hb": Word("TYPE DEVICE PRIORITY [HOST:PORT]", _heartbeat, "TYPE DEVICE", _no_heartbeat),
    "np": Word(
        "TYPE DEVICE [PRIORITY] [HOST:PORT] [...]", _partition, "TYPE [DEVICE]", _no_partition
    ),
    "grp": Word("TYPE GROUP", _group, "TYPE GROUP", lambda edit, _, name: edit.remove(f"group@{name}")),
    "grpparam": Word(
        "TYPE GROUP PATH VALUE", _group_value, "TYPE GROUP PATH",
        lambda edit, _, name, path: _unset(edit, f"group@{name}/{path}"),
    ),
    "rsc": Word("GROUP TYPE RESOURCE", _resource, "GROUP TYPE RESOURCE", _no_resource),
    "rscparam": Word("TYPE RESOURCE PATH VALUE", _value_in("resource"), "TYPE RESOURCE PATH", _no_value_in("resource")),
    "rscdep": Word("TYPE RESOURCE OTHER", _depends, "TYPE RESOURCE OTHER", _depends_not),
    "mon": Word(
        "TYPE MONITOR", _monitor, "TYPE MONITOR", lambda edit, kind, name: edit.remove(f"monitor/{kind}@{name}")
    ),
    "monparam": Word("TYPE MONITOR PATH VALUE", _value_in("monitor"), "TYPE MONITOR PATH", _no_value_in("monitor")),
    "clsparam": Word("PATH VALUE", lambda edit, path, value: edit.set(path, value, explicit=True), "PATH", _unset),
    **{name: Word(*parts) for name, parts in command_alerts.WORDS.items()},
}  # fmt: skip
