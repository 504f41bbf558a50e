"""The objects of a configuration as the tree beside every form shows them, and as a search finds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.clpconf.element import Element
from agent.clpconf.objects import KINDS, Thing, things
from agent.clpconf.schema import TypeSpec
from agent.clpconf.sections import INSTANCES, SECTIONS, root_names
from builder import secrets, words

_SHOWN = 60  # rows of one branch: a tree of thousands is no help, and no page under 300 ms
_FOUND = 100
_HIDDEN = frozenset(("root", "trekking", "server", "group", "fence"))


@dataclass
class Node:
    path: str
    name: str
    type: str = ""
    comment: str = ""
    current: bool = False
    children: list[Node] = field(default_factory=list)
    more: int = 0  # children that are not shown


@dataclass
class Branch:
    kind: str
    label: str
    nodes: list[Node]
    count: int
    more: int = 0
    open: bool = False


@dataclass
class Found:
    """One hit of a search: the object, and the value in which the words stand."""

    path: str
    kind: str
    name: str
    type: str
    place: str = ""
    text: str = ""


def by_kind(root: Element) -> dict[str, list[Thing]]:
    found: dict[str, list[Thing]] = {kind: [] for kind in KINDS}
    for thing in things(root):
        found[thing.kind].append(thing)
    return found


def tree(root: Element, at: str, found: Mapping[str, list[Thing]] | None = None) -> list[Branch]:
    """`at`: path of what is shown beside it. `found`: by_kind of the root."""
    found = found or by_kind(root)
    branches = [_settings(root, at)]
    for kind in ("server", "heartbeat", "partition"):
        branches.append(_branch(kind, [_node(thing, at) for thing in found[kind]], at))
    branches.append(_groups(found, at))
    for kind in ("monitor", "fence"):
        branches.append(_branch(kind, [_node(thing, at) for thing in found[kind]], at))
    return branches


def _settings(root: Element, at: str) -> Branch:
    there = {part.name for part in root.children}
    nodes = []
    for name, spec in SECTIONS.items():
        if name in _HIDDEN or name.startswith("device:") or not spec.section:
            continue
        path = f"/root/{spec.section}"
        nodes.append(Node(path, words.said(spec.label), spec.section, current=path == at))
    known = root_names()
    strange = [name for name in dict.fromkeys(part.name for part in root.children) if name not in known]
    nodes += [Node(f"/root/{name}", name, name, current=f"/root/{name}" == at) for name in strange if name in there]
    return Branch("section", str(words.KINDS["section"]), nodes, len(nodes), open=any(n.current for n in nodes))


def _groups(found: Mapping[str, list[Thing]], at: str) -> Branch:
    """Groups with their resources; of many only those of the group that is looked at."""
    resources = {f"{thing.type}@{thing.name}": thing for thing in found["resource"]}
    few = len(resources) <= _SHOWN
    nodes, held = [], set()
    for group in found["group"]:
        node = _node(group, at)
        links = [link.identity for link in group.element.named("resource") if link.identity in resources]
        held.update(links)
        inside = [_node(resources[link], at) for link in dict.fromkeys(links) if link]
        looked_at = node.current or any(child.current for child in inside)
        node.children = inside[:_SHOWN] if few or looked_at else []
        node.more = len(inside) - len(node.children)
        nodes.append(node)
    branch = _branch("group", nodes, at)
    lost = [_node(thing, at) for link, thing in resources.items() if link not in held]
    if lost:
        branch.nodes.append(Node("", str(words.KINDS["resource"]), children=lost[:_SHOWN], more=len(lost) - _SHOWN))
    return branch


def _branch(kind: str, nodes: list[Node], at: str) -> Branch:
    """Of many nodes those around the one that is looked at."""
    current = next((i for i, n in enumerate(nodes) if n.current or any(c.current for c in n.children)), -1)
    first = max(0, min(current - _SHOWN // 2, len(nodes) - _SHOWN))
    shown = nodes[first : first + _SHOWN]
    is_open = current >= 0 or len(nodes) <= _SHOWN // 3 or kind == "group"
    return Branch(kind, str(words.KINDS[kind]), shown, len(nodes), len(nodes) - len(shown), is_open)


def _node(thing: Thing, at: str) -> Node:
    path = thing.element.path
    comment = thing.element.child("comment")
    kind = "" if thing.type == thing.kind else thing.type
    return Node(path, thing.name, kind, comment.value[:80] if comment is not None else "", path == at)


def listed(root: Element, kind: str) -> list[Found]:
    return [Found(thing.element.path, kind, thing.name, thing.type) for thing in by_kind(root)[kind]]


def search(root: Element, text: str, catalog: Mapping[str, TypeSpec]) -> tuple[list[Found], bool]:
    """Objects whose name, type, label or any value holds the words, but no secret; and whether there are more."""
    wanted = text.casefold().strip()
    if not wanted:
        return [], False
    found: list[Found] = []
    for thing in _all(root):
        spec = catalog.get(thing.type)
        label = words.said(spec.label) if spec is not None else ""
        if any(wanted in one.casefold() for one in (thing.name, thing.type, label)):
            found.append(Found(thing.element.path, thing.kind, thing.name, thing.type))
        else:
            hit = _value(thing.element, wanted)
            if hit is not None:
                place = hit.path[len(thing.element.path) + 1 :]
                found.append(Found(thing.element.path, thing.kind, thing.name, thing.type, place, hit.value[:120]))
        if len(found) > _FOUND:
            return found[:_FOUND], True
    return found, False


def _all(root: Element) -> Iterable[Thing]:
    yield from things(root)
    for part in root.children:
        if part.name not in INSTANCES and part.name not in ("server", "group"):
            yield Thing("section", part.name, part.name, part)  # type: ignore[arg-type]


def _value(element: Element, wanted: str) -> Element | None:
    for child in element.children:
        if child.children:
            hit = _value(child, wanted)
            if hit is not None:
                return hit
        elif (wanted in child.value.casefold() or wanted in (child.identity or "").casefold()) and (
            not secrets.is_secret_at(child)
        ):
            return child
    return None
