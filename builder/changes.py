"""What a form sent, as changes to a draft: which fields differ, whether they can be read, how each is carried out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.clpconf.edit import Edit
from agent.clpconf.objects import find, thing_at
from agent.clpconf.schema import LINK, Param, bad_value
from builder import forms, words
from builder.forms import NO_DEPENDENCY, Form

_LONGEST = 64 * 1024  # of one value


class Fields(Protocol):
    """request.POST"""

    def get(self, key: str, default: str = "") -> Any: ...
    def getlist(self, key: str) -> Sequence[str]: ...
    def __iter__(self) -> Iterator[str]: ...


@dataclass(frozen=True)
class Sent:
    """One field that somebody changed. `value` "": back to the default."""

    path: str
    param: Param
    was: str
    value: str

    @property
    def secret(self) -> bool:
        return self.param.kind.secret


def sent(fields: Fields, form: Form) -> list[Sent]:
    """What differs from what the page showed; fields that the form does not have are left out."""
    found = []
    for key in fields:
        path = key.removeprefix("was:")
        param = param_of(form, path) if path != key else None
        if param is None:
            continue
        was, value = str(fields.get(key)), _value(fields, path, param)
        if param.kind.secret:
            if value or fields.get(f"clear:{path}"):
                found.append(Sent(path, param, "", value))
        elif _canonical(param, was) != _canonical(param, value):
            found.append(Sent(path, param, was, value))
    return found


def param_of(form: Form, path: str) -> Param | None:
    below = path.partition("/")[2] if path.startswith("server@") and "/" in path else path
    return form.spec.param(below)


def _value(fields: Fields, path: str, param: Param) -> str:
    if param.kind is LINK and param.is_list:
        mode = fields.get(f"mode:{path}")
        if mode in ("default", "none"):
            return "" if mode == "default" else NO_DEPENDENCY
        names = [line.strip() for text in fields.getlist(f"value:{path}") for line in text.splitlines()]
        return "\n".join(dict.fromkeys(name for name in names if name))
    text = str(fields.get(f"value:{path}", "")).replace("\r\n", "\n")
    return text if param.kind.secret else text.strip()


def _canonical(param: Param, text: str) -> Any:
    return frozenset(text.split()) if param.kind is LINK else text.replace("\r\n", "\n").strip()


def refused(changes: Iterable[Sent], form: Form) -> dict[str, str]:
    """path -> sentence, of every value that cannot be read."""
    errors: dict[str, str] = {}
    for one in changes:
        if len(one.value) > _LONGEST:
            errors[one.path] = words.too_long(_LONGEST)
        elif one.value and not (one.param.kind is LINK and one.param.is_list):
            try:
                one.param.kind.parse(one.value)
            except ValueError as error:
                finding = bad_value(f"{form.path}/{one.path}", one.value, one.param.kind, error)
                errors[one.path] = " ".join(words.reason(finding))
    return errors


def carry_out(edit: Edit, base: str, changes: Sequence[Sent]) -> None:
    """All of them; what stays equal keeps every byte."""
    devices: dict[str, dict[str, str]] = {}
    for one in changes:
        if one.param.kind is LINK and one.param.is_list:
            _set_links(edit, base, one)
        elif forms.is_device(one.path) and base.startswith("/root/server@"):
            number, _slash, word = one.path.partition("/")
            devices.setdefault(number, {})[word] = one.value
        elif one.value:
            edit.set(f"{base}/{one.path}", one.value)
        else:
            edit.unset(f"{base}/{one.path}")
    for number, values in devices.items():
        _set_device(edit, base, number, values)


def _set_device(edit: Edit, base: str, number: str, values: Mapping[str, str]) -> None:
    """Through the one way that keeps the doubled values of older files true."""

    def text(word: str) -> str:
        element = find(edit.root, f"{base}/{number}/{word}")
        return values.get(word, element.value if element is not None else "")

    server = base.partition("@")[2]
    edit.add_device(server, text("type"), int(number.partition("@")[2]), text("info"), text("extend"))


def _set_links(edit: Edit, base: str, one: Sent) -> None:
    names = [] if one.value == NO_DEPENDENCY else one.value.split()
    element = find(edit.root, base)
    thing = thing_at(element) if element is not None else None
    if thing is not None and thing.kind == "resource" and one.path == "depend@*":
        edit.set_depends(thing.name, None if not one.value else names)
        return
    if thing is not None and thing.kind == "group" and one.path in ("depend/act/depend@*", "depend/deact/depend@*"):
        edit.set_group_depends(thing.name, one.path.split("/")[1], names)
        return
    head, before = one.path[:-1], one.was.split()
    for name in before:
        if name not in names:
            edit.unset(f"{base}/{head}{name}")
    for name in names:
        if name not in before:
            edit.set(f"{base}/{head}{name}", "", explicit=True)
