"""The words of clpcfset for who may look and who is told: WebManager clients, alerts, mail, SNMP, lights, HBAs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.clpconf import editing
from agent.clpconf.edit import Edit, EditError
from agent.clpconf.element import Element
from agent.clpconf.findings import Finding
from agent.clpconf.objects import find, find_all
from agent.clpconf.removal import remove_with_empty

_CLIENTS = {"clientlist": "ip", "clientlistro": "ipro"}
_SMTP = ("priority", "srvname", "port", "senderaddress", "auth", "authmethod", "username", "passwd")
_SNMP = ("srvname", "port", "snmpver", "snmpcom")
_MESSAGE = ("alert", "altexec", "mail", "trap", "syslog")
_LIGHTS = ("dn1000s", "dn1500gl", "patlite", "nhfv1")
_USUAL_VOICES = {"dn1500gl": ("01", "02"), "nhfv1": ("65", "66")}  # What these say without other files.


class UsageError(ValueError):
    """Words that are none, or too few or many of them; a sentence."""


def _client(edit: Edit, which: str, address: str) -> None:
    """An entry is its name alone, which may be a network with a slash: no path leads there."""
    tag = _client_tag(which)
    with edit.change(f"client {which} {address}"):
        holder = editing.make(edit.root, "webmgr/security/clientlist")
        if holder.child(tag, address) is None:
            edit.document.append(holder, tag, {"name": address})


def _no_client(edit: Edit, which: str, address: str) -> None:
    tag = _client_tag(which)
    holder = find(edit.root, "webmgr/security/clientlist")
    _take(edit, holder.child(tag, address) if holder is not None else None, f"client {address}")


def _client_tag(which: str) -> str:
    if which not in _CLIENTS:
        raise UsageError(f"webmgr takes {' or '.join(_CLIENTS)}.")
    return _CLIENTS[which]


def _messages(edit: Edit, module: str, number: str, *values: str) -> None:
    """`cmdline MODULE NUMBER COMMAND` adds one more command to an alert."""
    if module == "cmdline":
        if len(values) != 2:
            raise UsageError("Usage: add messages cmdline MODULE NUMBER COMMAND")
        _command_line(edit, number, *values)
        return
    if len(values) != len(_MESSAGE):
        raise UsageError(f"Usage: add messages MODULE NUMBER {' '.join(_MESSAGE).upper()}")
    _values(edit, "messages", {f"types@{module}": ""})
    _values(edit, f"messages/{module}@{number}", dict(zip(_MESSAGE, values, strict=True)))


def _command_line(edit: Edit, module: str, number: str, command: str) -> None:
    present = find_all(edit.root, f"messages/{module}@{number}/cmd")
    for one in present:
        line = one.child("cmdline")
        if line is not None and line.value == command.strip():
            return
    _values(edit, f"messages/{module}@{number}/cmd@{_free(present)}", {"cmdline": command})


def _no_messages(edit: Edit, module: str, number: str) -> None:
    _take(edit, find(edit.root, f"messages/{module}@{number}"), f"alert {module} {number}")
    if not find_all(edit.root, f"messages/{module}"):
        edit.unset(f"messages/types@{module}")


def _smtp(edit: Edit, *values: str) -> None:
    _numbered(edit, "cluster/mail/smtp/smtpsrv", dict(zip(_SMTP, values, strict=False)))


def _snmp(edit: Edit, *values: str) -> None:
    _numbered(edit, "cluster/trap/snmpsrv", dict(zip(_SNMP, values, strict=False)))


def _numbered(edit: Edit, path: str, values: Mapping[str, str]) -> None:
    """The entry of that server, or the next one."""
    present = find_all(edit.root, path)
    same = [one for one in present if (name := one.child("srvname")) is not None and name.value == values["srvname"]]
    number = same[0].identity if same else str(_free(present))
    _values(edit, f"{path}@{number}", values)


def _no_numbered(path: str) -> Callable[[Edit, str], None]:
    def work(edit: Edit, server: str) -> None:
        known = [one for one in find_all(edit.root, path) if _names(one, server)]
        _take(edit, known[0] if known else None, f"server {server} at /root/{path}")

    return work


def _names(element: Element, server: str) -> bool:
    name = element.child("srvname")
    return name is not None and name.value == server


def _light(
    edit: Edit, server: str, number: str, kind: str, address: str, user: str, password: str, rsh: str,
    start: str = "0", stop: str = "0",
) -> None:  # fmt: skip
    """RSH "0": the light is spoken to without it. START and STOP: files of voices, "0" for the usual ones."""
    if kind not in _LIGHTS:
        raise UsageError(f"{kind[:40]} is no warning light. Known: {', '.join(_LIGHTS)}.")
    voices = [("", ""), ("", "")]
    if kind in _USUAL_VOICES:
        given = zip((start, stop), _USUAL_VOICES[kind], strict=True)
        voices = [("0", usual) if one == "0" else ("1", one) for one, usual in given]
    _values(edit, f"server@{server}/device@{number}", {
        "type": kind, "info": address, "user": user, "password": password,
        "rsh": "0" if rsh == "0" else "1", "rshpath": "" if rsh == "0" else rsh,
        "normal/voice": voices[0][0], "normal/voicefile": voices[0][1],
        "error/voice": voices[1][0], "error/voicefile": voices[1][1],
    })  # fmt: skip


def _lights_on(edit: Edit) -> None:
    _values(edit, "cluster/dn1000s", {"use": "1"})
    _values(edit, "alertservice", {"types@dn1000s": ""})
    _values(edit, "alertservice/dn1000s@dn1000s1", {"priority": "0", "device": "20000", "kind": "nm"})


def _lights_off(edit: Edit) -> None:
    edit.unset("cluster/dn1000s")
    _take(edit, find(edit.root, "alertservice"), "alertservice")


def _adapter(edit: Edit, server: str, number: str, port: str, device: str, instance: str) -> None:
    values = {"portnumber": port, "deviceid": device, "instanceid": instance}
    _values(edit, f"server@{server}/hba@{number}", values)


def _values(edit: Edit, path: str, values: Mapping[str, str]) -> None:
    for below, text in values.items():
        edit.set(f"{path}/{below}", text, explicit=True)


def _take(edit: Edit, element: Element | None, what: str) -> None:
    if element is None:
        raise EditError(Finding("edit.missing", "error", "", f"There is no {what[:200]}.", "Check the spelling."))
    with edit.change(f"remove {element.path}"):
        remove_with_empty(edit.document, element)


def _free(entries: list[Element]) -> int:
    taken = {one.identity for one in entries}
    return next(number for number in range(len(entries) + 1) if str(number) not in taken)


def _no_part(name: str) -> Callable[[Edit, str, str], None]:
    def work(edit: Edit, server: str, number: str) -> None:
        _take(edit, find(edit.root, f"server@{server}/{name}@{number}"), f"{name} {number} of {server}")

    return work


#: Word -> arguments and work of "add", then of "del".
WORDS: Mapping[str, tuple[str, Callable[..., None], str, Callable[..., None]]] = {
    "webmgr": ("clientlist|clientlistro ADDRESS", _client, "clientlist|clientlistro ADDRESS", _no_client),
    "messages": ("MODULE|cmdline NUMBER ALERT [ALTEXEC] [MAIL] [TRAP] [SYSLOG]", _messages, "MODULE NUMBER",
                 _no_messages),
    "alert": ("SERVER NUMBER KIND ADDRESS USER PASSWORD RSH [START] [STOP]", _light, "SERVER NUMBER",
              _no_part("device")),
    "alertservice": ("", _lights_on, "", _lights_off),
    "smtpsrv": ("PRIORITY SERVER PORT SENDER [AUTH] [METHOD] [USER] [PASSWORD]", _smtp, "SERVER",
                _no_numbered("cluster/mail/smtp/smtpsrv")),
    "snmpsrv": ("SERVER PORT [VERSION] [COMMUNITY]", _snmp, "SERVER", _no_numbered("cluster/trap/snmpsrv")),
    "hba": ("SERVER NUMBER PORT DEVICE INSTANCE", _adapter, "SERVER NUMBER", _no_part("hba")),
}  # fmt: skip
