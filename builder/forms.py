"""Forms made from declarations: one generic form for every object and section, whatever its type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.entry import Entry
from agent.clpconf.objects import Thing, find, owner_of, thing_at
from agent.clpconf.schema import LINK, Param, TypeSpec
from agent.clpconf.sections import DEVICE_IDS as DEVICE_IDS
from agent.clpconf.sections import DEVICES as DEVICES
from agent.clpconf.sections import SECTIONS, declared, whole
from agent.clpconf.statements import Names as NoNames
from agent.clpconf.statements import members
from builder import secrets, words
from builder.tree import by_kind

NO_DEPENDENCY = "-"  # of a resource: an empty <depend>, as against none at all
_CHECKBOXES = 40  # more candidates than these are typed
# What other controls of the page change (order, devices, members), or what is only bookkeeping.
_ELSEWHERE: Mapping[str, frozenset[str]] = {
    "group": frozenset(("policy@*", "policy@*/order", "resource@*", "gid")),
    "server": frozenset(("priority",)),
    "heartbeat": frozenset(("priority",)),
    "networkpartition": frozenset(("priority",)),
}
_DEVICE = re.compile(r"device@[0-9]+/(type|info|extend)")


@dataclass
class Field:
    """One control. `path` is below the object; the control's name is made from it."""

    path: str
    param: Param
    value: str
    label: str
    was: str = ""  # what is stored; it differs from the value in a form that was refused
    help: str = ""
    unit: str = ""
    default: str = ""
    widget: str = "text"  # text, select, secret, links, lines, depend
    choices: list[tuple[str, str]] = field(default_factory=list)
    picked: frozenset[str] = frozenset()
    idle: str = ""  # why it does not count now
    error: str = ""
    applies: str = ""
    server: str = ""

    @property
    def key(self) -> str:
        return anchor(self.path)

    @property
    def required(self) -> bool:
        return self.param.required

    @property
    def stated(self) -> bool:
        return bool(self.value)

    @property
    def numeric(self) -> bool:
        return self.param.kind.minimum is not None


@dataclass
class FieldSet:
    heading: str
    fields: list[Field] = field(default_factory=list)
    advanced: list[Field] = field(default_factory=list)

    @property
    def opened(self) -> bool:
        """What is set, or wrong, is not hidden."""
        return any(one.stated or one.error for one in self.advanced)


@dataclass
class Form:
    path: str
    kind: str  # of objects.KINDS, or "section"
    type: str
    name: str
    label: str
    spec: TypeSpec
    sets: list[FieldSet]
    unknown: list[tuple[str, str]]  # (path, value) that nothing declares
    exists: bool = True
    group: str = ""  # of a resource

    @property
    def help(self) -> str:
        return words.said(self.spec.help)

    @property
    def known(self) -> bool:
        return bool(self.spec.name)

    @property
    def ready(self) -> bool:
        return self.spec.ready

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(one.path for one in self.fields())

    def fields(self) -> Iterator[Field]:
        for one in self.sets:
            yield from one.fields
            yield from one.advanced


class NoSuchObjectError(Exception):
    """Nothing stands at this path, and no section is declared there."""


def anchor(path: str) -> str:
    """Fit for an id of HTML."""
    return "f-" + re.sub(r"[^A-Za-z0-9_-]", "-", path)


def spec_of(path: str, catalog: Mapping[str, TypeSpec]) -> TypeSpec | None:
    """The declaration of the object or section that a path names."""
    found = declared(f"{path}/comment", catalog)
    if found is not None and found.base == path:
        return found.spec
    return next((s for n, s in SECTIONS.items() if s.section and f"/root/{s.section}" == path and n != "fence"), None)


def bare(document: Document, path: str, catalog: Mapping[str, TypeSpec]) -> Form:
    """Without fields: what a form that was sent is read by. Raises NoSuchObjectError."""
    element, spec = find(document.root, path), spec_of(path, catalog)
    thing = thing_at(element) if element is not None else None
    if (element is None and spec is None) or (element is not None and owner_of(element) not in (None, thing)):
        raise NoSuchObjectError(path)
    spec = whole(spec) if spec is not None else TypeSpec("", "")
    name = thing.name if thing else words.said(spec.label) or path.rpartition("/")[2]
    return Form(
        path, thing.kind if thing else "section", thing.type if thing else spec.name, name, words.said(spec.label),
        spec, sets=[], unknown=[], exists=element is not None,
    )  # fmt: skip


def build(
    document: Document, path: str, catalog: Mapping[str, TypeSpec],
    typed: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None,
    found: Mapping[str, list[Thing]] | None = None,
) -> Form:  # fmt: skip
    """`typed`, `errors`: what was sent for a field and why it was refused. `found`: by_kind of the document."""
    form = bare(document, path, catalog)
    maker = _Maker(document, form, found or by_kind(document.root), typed or {}, errors or {})
    form.sets, form.unknown = maker.sets(), maker.unknown()
    form.group = maker.groups.get(form.name, "") if form.kind == "resource" else ""
    return form


class _Maker:
    def __init__(
        self, document: Document, form: Form, found: Mapping[str, list[Thing]], typed: Mapping[str, str],
        errors: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.spec, self.typed, self.errors = form.spec, typed, errors
        self.root, self.element = document.root, find(document.root, form.path)
        self.name = form.name if form.kind != "section" else ""
        leaves = Entry(self.element, []).leaves if self.element is not None else {}
        self.leaves = {path: leaf for path, leaf in leaves.items() if not self._of_another_section(leaf)}
        self.raw = {path: leaf.value for path, leaf in self.leaves.items()}
        self.elsewhere = _ELSEWHERE.get(form.spec.section, frozenset())
        self.things = found

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Resource -> its group."""
        return members(self.root, NoNames())

    def _of_another_section(self, leaf: Element) -> bool:
        """The mail settings stand below the cluster's, but have a form of their own."""
        above, path = self.spec.section, leaf.path.removeprefix("/root/")
        inner = (s.section for s in SECTIONS.values() if s.section.startswith(f"{above}/")) if above else ()
        return any(path == one or path.startswith((f"{one}/", f"{one}@")) for one in inner)

    def sets(self) -> list[FieldSet]:
        found: dict[str, FieldSet] = {}
        for param in self.spec.params:
            if param.path in self.elsewhere:
                continue
            into = found.setdefault(param.section, FieldSet(words.said(param.section)))
            if not param.is_list or param.kind is LINK:
                (into.advanced if param.advanced else into.fields).append(self._field(param, param.path))
        self._lists(found)
        self._overrides(found)
        return [one for one in found.values() if one.fields or one.advanced]

    def _lists(self, found: dict[str, FieldSet]) -> None:
        """Entry by entry, its fields side by side, and one empty entry at the end for a new one."""
        for head, params in self._heads():
            for number, entry in enumerate(self._entries(head)):
                which = entry.partition("@")[2] if head.startswith("device@") else number + 1
                shared = found[params[0].section].fields or found[params[0].section].advanced
                named = f"{words.said('' if shared else params[0].section) or words.said(params[0].label)} {which}"
                place = found.setdefault(f"{head}#{number}", FieldSet(named))
                for param in params:
                    path = entry + param.path[len(head) :]
                    if path in self.raw or not (param.advanced and _doubled(param.path)):
                        (place.advanced if param.advanced else place.fields).append(self._field(param, path))

    def _heads(self) -> Iterable[tuple[str, list[Param]]]:
        heads: dict[str, list[Param]] = {}
        for param in self.spec.params:
            if param.is_list and param.kind is not LINK and param.path not in self.elsewhere:
                heads.setdefault(param.path[: param.path.rindex("*") + 1], []).append(param)
        return heads.items()

    def _entries(self, head: str) -> list[str]:
        """Those that are there, then a new one where new ones are numbered here."""
        pattern = re.compile(re.escape(head).replace(r"\*", "[^/@]+"))
        there = {match[0] for path in (*self.raw, *self.typed) if (match := pattern.match(path))}
        entries = sorted(there, key=lambda one: [int(n) if n.isdigit() else 0 for n in re.findall(r"[0-9]+", one)])
        if head.startswith(("device@", "hba@", "*", "depend/")) or not head.endswith("@*"):
            return entries
        return entries + self._new(head, there)

    def _new(self, head: str, there: set[str]) -> list[str]:
        above = head[: -len("*")]
        if "*" not in above:
            parents = {above}
        else:  # pingnp: one more address of each set of targets, and a further set.
            parents = {entry[: entry.rindex("@") + 1] for entry in there}
            parents |= {above.replace("*", str(_next({p.partition("@")[2].partition("/")[0] for p in parents})))}
        return [f"{p}{_next({e[len(p) :] for e in there if e.startswith(p)})}" for p in sorted(parents)]

    def _overrides(self, found: dict[str, FieldSet]) -> None:
        """Values that hold on one server only."""
        for path in (*self.raw, *(p for p in self.typed if p not in self.raw)):
            if not path.startswith("server@") or "/" not in path or self.spec.section not in ("resource", "monitor"):
                continue
            server, _slash, below = path.removeprefix("server@").partition("/")
            param = self.spec.param(below)
            if param is not None:
                place = found.setdefault(f"server@{server}", FieldSet(words.on_server(server)))
                place.fields.append(self._field(param, path, server))

    def unknown(self) -> list[tuple[str, str]]:
        return [
            (path, secrets.MASK if secrets.is_secret_at(leaf) and leaf.value else leaf.value[:200])
            for path, leaf in self.leaves.items()
            if self.spec.param(path.partition("/")[2] if path.startswith("server@") else path) is None
            and not path.startswith("server@") and path.partition("@")[0] not in ("policy", "resource", "types")
        ]  # fmt: skip

    def _field(self, param: Param, path: str, server: str = "") -> Field:
        kind = param.kind
        stored = self._value(param, path)
        made = Field(
            path, param, self.typed.get(path, stored), words.said(param.label), was=stored,
            help=words.said(param.help), unit=words.said(param.unit), default=self._default(param),
            error=self.errors.get(path, ""), idle=self._idle(param), server=server,
            applies=self._applies(param),
        )  # fmt: skip
        if kind.secret:
            made.widget, made.picked = "secret", frozenset(("set",) if self.raw.get(path) else ())
            made.value = made.was = ""
        elif kind is LINK and param.is_list:
            self._links(made)
        elif kind.choices:
            made.widget = "select"
            made.choices = [(value, words.said(label)) for value, label in kind.choices]
            if made.value and made.value not in dict(made.choices):
                made.choices.append((made.value, made.value))
        elif param.refers:
            made.choices = [(name, "") for name in self._candidates(param.refers)][:500]
        return made

    def _value(self, param: Param, path: str) -> str:
        if param.kind is not LINK or not path.endswith("*"):
            return self.raw.get(path, "")
        head = path[:-1]
        names = [p[len(head) :].partition("/")[0] for p in self.raw if p.startswith(head)]
        if param.path == "depend@*" and names and not any(names):
            return NO_DEPENDENCY
        return "\n".join(dict.fromkeys(name for name in names if name))

    def _links(self, made: Field) -> None:
        names = [name for name in self._candidates(made.param.refers) if name != self.name]
        made.picked = frozenset(made.value.split("\n")) - {""}
        known = list(dict.fromkeys((*names, *(made.picked - {NO_DEPENDENCY}))))
        made.widget = "lines" if not made.param.refers or len(known) > _CHECKBOXES else "links"
        if made.param.path == "depend@*":
            made.widget = "depend"
        made.choices = [(name, name) for name in known]

    def _candidates(self, refers: str) -> list[str]:
        found: list[str] = []
        for kind in refers.split():
            if kind.startswith("device:"):
                found += self._devices(kind.partition(":")[2])
            elif kind == "resource" and self.spec.section == "resource":
                found += self._neighbours()
            else:
                found += [thing.name for thing in self.things.get(kind, ())]
        return list(dict.fromkeys(found))

    def _neighbours(self) -> list[str]:
        """A resource depends on others of its group only."""
        mine = self.groups.get(self.name)
        return [name for name, group in self.groups.items() if group == mine]

    def _devices(self, kind: str) -> list[str]:
        parts = (part for server in self.things["server"] for part in server.element.named("device"))
        return [part.identity or "" for part in parts if (one := part.child("type")) is not None and one.value == kind]

    def _default(self, param: Param) -> str:
        text = param.default_text
        return words.said(dict(param.kind.choices).get(text, text)) if text else ""

    def _applies(self, param: Param) -> str:
        """Said only where it costs something."""
        needs = self.spec.applies(param)
        return "" if needs == "noted" else str(words.APPLIES[needs])

    def _idle(self, param: Param) -> str:
        if param.unused:
            return words.unused()
        if self.spec.counts(param, self.raw):
            return ""
        path, values = param.only_when[0]
        other = self.spec.param(path)
        if other is None:
            return ""
        names = (words.said(dict(other.kind.choices).get(value, value)) for value in values)
        return words.counts_only(words.said(other.label), ", ".join(names))


def _doubled(path: str) -> bool:
    """device@*/lan/info says the same once more, as older files do."""
    return path.startswith("device@*/") and path.count("/") == 2


def _next(numbers: set[str]) -> int:
    return max((int(n) for n in numbers if n.isdigit()), default=-1) + 1


def is_device(path: str) -> bool:
    return _DEVICE.fullmatch(path) is not None
