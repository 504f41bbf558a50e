"""Changes to a configuration as people mean them: whole objects, with everything that goes with them.

Each method either does all of it, or raises EditError and leaves the document as it was. What was not named keeps
every byte; what is new looks like its surroundings (layout.py). Register of types, numbers of groups, priorities, the
count of objects and the mark of the last save stay true (bookkeeping.py). To take a change back, keep the bytes from
before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from agent.clpconf import bookkeeping
from agent.clpconf.document import Document
from agent.clpconf.edit_parts import EditError, refuse
from agent.clpconf.edit_values import Values
from agent.clpconf.element import Element
from agent.clpconf.kinds import SCRIPT
from agent.clpconf.layout import blank_text, writes_blank
from agent.clpconf.objects import SECTION_OF, Kind, Thing, find_all, of_kind, thing_at
from agent.clpconf.references import ATTRIBUTE, LINK, TEXT, Reference, of_thing, to
from agent.clpconf.removal import RefusedError, Removal, remove_mention, remove_with_empty
from agent.clpconf.scripts import Move, folders

__all__ = ["Edit", "EditError", "Move", "create"]

_CHARSETS = ("ASCII", "EUC-JP", "GB2312", "SJIS", "UTF-8")
_NEW = """<?xml version="1.0" encoding="{charset}"?>
<root>
  <all>
    <charset>{charset}</charset>
    <serveros>{system}</serveros>
    <encode>{encode}</encode>
  </all>
  <cluster>
    <name/>
    <comment/>
  </cluster>
  <webmgr>
    <client>
      <objectnumber>4</objectnumber>
    </client>
  </webmgr>
</root>
"""
_RENUMBERED: tuple[tuple[Kind, str], ...] = (
    ("group", "gid"), ("server", "priority"), ("heartbeat", "priority"), ("partition", "priority"),
)  # fmt: skip
_TWICE = {"disk": ("info", "extend"), "mdc": ("info",)}  # What the original writes below <TYPE> of a device as well.


def create(name: str, charset: str = "ASCII", encode: str = "", system: str = "linux") -> Document:
    """A cluster without servers in the language `charset`; `encode` is the code page of the editing machine."""
    for word in (charset, encode or charset):
        if word not in _CHARSETS:
            refuse("edit.charset", "/root/all/charset", f'"{word[:20]}" is no language of the format.',
                   f"Use one of {', '.join(_CHARSETS)}.")  # fmt: skip
    if system not in ("linux", "windows"):
        refuse("edit.system", "/root/all/serveros", f'"{system[:20]}" is no system of the format.', "Use linux.")
    document = Document.read(_NEW.format(charset=charset, system=system, encode=encode or charset).encode())
    Edit(document).set("cluster/name", name)
    return document


class Edit(Values):
    """`catalog`: what is known of types; without it neither defaults nor references of parameters are known.

    `moves` collects which folders of scripts have to follow (scripts.moved).
    """

    def add_server(self, name: str, priority: int | None = None) -> str:
        """With the next priority. All of these return the path of what they made."""
        with self.change(f"add server {name}", counted=True):
            self._new_name("server", name)
            if priority is None:
                priority = bookkeeping.next_number(self.root, ("server",), "priority")
            server = self._append_to_root("server", name)
            self._leaf(server, "priority", str(priority))
        return server.path

    def add_device(self, server: str, kind: str, number: int, info: str, extend: str = "") -> str:
        """`number` is absolute (0 lan, 300 disk, 400 mdc ...). One that is there already gets the new values."""
        with self.change(f"device {server} {kind} {number} {info} {extend}"):
            holder = self._named("server", server).element
            device = holder.child("device", str(number)) or self._append_named(holder, "device", str(number))
            values = {"type": kind, "info": info, "extend": extend}
            for path, text in values.items():
                if path != "extend" or text or kind == "disk" or device.child(path) is not None:
                    self._leaf(device, path, text)
            for path in _TWICE.get(kind, ()):
                self._leaf(device, f"{kind}/{path}", values[path])
        return device.path

    def add_heartbeat(
        self, kind: str, device: int, name: str = "", priority: int | None = None,
        values: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Named and numbered as the original does it, unless told otherwise. `values`: further ones ("host")."""
        return self._add_path("heartbeat", kind, device, name, priority, values or {})

    def add_partition(
        self, kind: str, device: int | None, name: str = "", priority: int | None = None,
        values: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """A network partition resolution resource; `device` is None where the type has none (majonp)."""
        return self._add_path("partition", kind, device, name, priority, values or {})

    def add_group(self, name: str, kind: str = "") -> str:
        """`kind` is written when it is given: the Cluster WebUI leaves "failover" out, the original's tools do not."""
        with self.change(f"add group {name}", counted=True):
            self._new_name("group", name)
            number = bookkeeping.next_number(self.root, ("group",), "gid")
            group = self._append_to_root("group", name)
            if kind:
                self._leaf(group, "type", kind)
            self._leaf(group, "comment", blank_text(self.root, "comment"))
            self._leaf(group, "gid", str(number))
        return group.path

    def add_resource(self, group: str, kind: str, name: str, *, bare: bool = False) -> str:
        """`bare`: without the names of scripts, which the original's console writes though they are the default."""
        with self.change(f"add resource {group} {kind} {name}", counted=True):
            holder = self._named("group", group).element
            self._new_name("resource", name)
            element = self._append_instance("resource", kind, name)
            self._leaf(element, "comment", blank_text(self.root, "comment"))
            self._append_named(holder, "resource", f"{kind}@{name}")
            if not bare:
                self._write_scripts(element)
        return element.path

    def add_monitor(self, kind: str, name: str, *, bare: bool = False) -> str:
        """`bare`: without a recovery target; else it is this server, as the original's console begins."""
        with self.change(f"add monitor {kind} {name}", counted=True):
            self._new_name("monitor", name)
            targeted = writes_blank(self._section("monitor"), "target")
            element = self._append_instance("monitor", kind, name)
            self._leaf(element, "comment", blank_text(self.root, "comment"))
            if targeted and not bare:
                self._leaf(element, "target", blank_text(self.root, "target"))
            if not bare:
                self._leaf(element, "relation/type", "cls")
                self._leaf(element, "relation/name", "LocalServer")
                self._write_scripts(element)
        return element.path

    def add_fence(self, name: str, agent: str) -> str:
        with self.change(f"add fence {name} {agent}"):
            self._new_name("fence", name)
            element = self._append_named(self._section("openclp"), "fence", name)
            self._leaf(element, "agent", agent)
        return element.path

    def consequences(self, path: str) -> list[str]:
        """Paths of what the removal of `path` would take along, then of what would lose a mention of it."""
        try:
            removal = self._removal(path)
        except RefusedError as error:
            raise EditError(error.finding) from error
        return [element.path for element in removal.gone[1:]] + [one.element.path for one in removal.mentions()]

    def remove(self, path: str) -> list[str]:
        """With everything that `consequences` names; the paths of what went."""
        with self.change(f"remove {path}", counted=True):
            removal = self._removal(path)
            gone = [(element.path, thing_at(element)) for element in removal.gone]
            self.moves += [Move(folder, None) for one in removal.gone for folder in folders(self.root, one)]
            sections = [element.parent for element in removal.gone]
            for mention in removal.mentions():
                remove_mention(self.document, mention)
            for element in removal.gone:
                self._take_out(element)
            for section in {id(one): one for one in sections if one is not None}.values():
                if section.name in SECTION_OF.values():
                    bookkeeping.unregister_types(self.document, section)
            for kind, number in _RENUMBERED:
                if any(thing is not None and thing.kind == kind for _, thing in gone):
                    bookkeeping.renumber(self.document, kind, number)
        return [path for path, _ in gone]

    def rename(self, path: str, new: str) -> list[str]:
        """Every mention follows; the paths, as they are then, of what changed."""
        element = self._existing(path)
        if element.identity == new:
            return []
        thing = thing_at(element)
        with self.change(f"rename {path} {new}"):
            return self._rename_entry(element, new) if thing is None else self._rename_thing(thing, new)

    def move_resource(self, resource: str, group: str) -> None:
        """Into another group. Dependencies between it and what stays behind go."""
        thing = self._named("resource", resource)
        holder = self._named("group", group).element
        if holder.child("resource", f"{thing.type}@{resource}") is not None:
            return
        with self.change(f"move {resource} {group}"):
            before = folders(self.root, thing.element)
            members = {link.identity.partition("@")[2] for link in holder.named("resource") if link.identity}
            for one in to(self.root, self.catalog, "resource", resource):
                if one.how == LINK or one.element.name == "depend":
                    remove_mention(self.document, one)
            for one in list(of_thing(thing, {})):
                if one.kind == "resource" and one.name not in members:
                    remove_mention(self.document, one)
            self._append_named(holder, "resource", f"{thing.type}@{resource}")
            self.moves += [Move(folder, f"{group}/{resource}") for folder in before]

    def _add_path(
        self, kind: Kind, type_name: str, device: int | None, name: str, priority: int | None,
        values: Mapping[str, str],
    ) -> str:  # fmt: skip
        with self.change(f"add {kind} {type_name} {device} {name}", counted=True):
            name = name or self._free_name(kind, type_name)
            self._new_name(kind, name)
            if priority is None:
                priority = bookkeeping.next_number(self.root, (kind,), "priority")
            element = self._append_instance(kind, type_name, name)
            self._leaf(element, "priority", str(priority))
            if device is not None:
                self._leaf(element, "device", str(device))
            for path, text in values.items():
                self._leaf(element, path, text)
        return element.path

    def _free_name(self, kind: Kind, type_name: str) -> str:
        """As the original counts: by how many of the type there are."""
        present = of_kind(self.root, kind)
        taken, first = {thing.name for thing in present}, sum(thing.type == type_name for thing in present) + 1
        return next(name for at in range(first, first + len(taken) + 1) if (name := f"{type_name}{at}") not in taken)

    def _write_scripts(self, element: Element) -> None:
        spec = self.catalog.get(element.name)
        for param in spec.params if spec is not None else ():
            if param.kind is SCRIPT and param.default:
                self._leaf(element, param.path, str(param.default))

    def _removal(self, path: str) -> Removal:
        element = self._existing(path)
        if element.parent is None:
            refuse("edit.root", element.path, "The root element cannot be removed.")
        return Removal(self.root, element, self.catalog)

    def _take_out(self, element: Element) -> None:
        """An object leaves its section behind; a value goes with the elements that held nothing else."""
        if element.parent is None:
            return  # With what held it.
        if thing_at(element) is not None:
            self.document.remove(element)
        else:
            remove_with_empty(self.document, element)

    def _rename_thing(self, thing: Thing, new: str) -> list[str]:
        self._new_name(thing.kind, new)
        before = folders(self.root, thing.element)
        mentions = to(self.root, self.catalog, thing.kind, thing.name)
        self.document.set_attribute(thing.element, "name", new)
        for one in mentions:
            self._point(one, thing.type, new)
        self.moves += [Move(*pair) for pair in zip(before, folders(self.root, thing.element), strict=True)]
        return [thing.element.path, *(one.element.path for one in mentions)]

    def _rename_entry(self, element: Element, new: str) -> list[str]:
        """An entry of a list; or a device, on every server, since heartbeats go by one number."""
        old, mentions, same = element.identity, list[Reference](), [element]
        if old is None or element.parent is None:
            refuse("edit.path", element.path, "This has no name.", "Name an object, or an entry of a list.")
        if element.name == "device" and element.parent.name == "server":
            if not (new.isascii() and new.isdigit() and len(new) < 7):
                refuse(
                    "device.id", element.path, f'"{new[:40]}" cannot be the id of a device.', "Write a whole number."
                )
            same = find_all(self.root, f"server/device@{old}")
            mentions = to(self.root, self.catalog, "device", old)
        for one in same:
            if cast(Element, one.parent).child(one.name, new) is not None:
                refuse("name.duplicate", one.path, f"There is a {one.name} {new[:60]} already.", "Choose another one.")
            self.document.set_attribute(one, "name" if "name" in one.attributes else "id", new)
        for mention in mentions:
            self.document.set_text(mention.element, new)
        return [*(one.path for one in same), *(one.element.path for one in mentions)]

    def _point(self, one: Reference, type_name: str, new: str) -> None:
        if one.how == LINK:
            self.document.set_attribute(one.element, "name", f"{type_name}@{new}")
        elif one.how == ATTRIBUTE:
            self.document.set_attribute(one.element, "name", new)
        elif one.how == TEXT:
            self.document.set_text(one.element, new)
