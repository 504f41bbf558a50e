"""Where something new stands in a clp.conf, so that it looks as if the file's own author had put it there.

The order carries no meaning, but people compare files. The Cluster WebUI writes one order of sections, the original's
tools another one, and the Java Builder puts whatever is new at the end.
"""

from __future__ import annotations

from agent.clpconf.element import Element

_WEBUI = ("cluster", "all", "monitor", "server", "heartbeat", "networkpartition", "group", "resource", "trekking",
          "webmgr")  # fmt: skip
_TOOLS = ("all", "cluster", "webmgr", "server", "heartbeat", "networkpartition", "group", "resource", "monitor")


def place_in_root(root: Element, name: str) -> Element | None:
    """The child after which a new one of this name comes; None at the end."""
    children = root.children
    same = [child for child in children if child.name == name]
    if same:
        return same[-1]
    order = _WEBUI if children and children[0].name == "cluster" else _TOOLS
    present = [child for child in children if child.name in order]
    ranks = [order.index(child.name) for child in present]
    if name not in order or ranks != sorted(ranks):
        return None
    before = [child for child, rank in zip(present, ranks, strict=True) if rank < order.index(name)]
    return before[-1] if before else None


def place_of_type(section: Element) -> Element | None:
    """All types first, or each right before its first object (which comes next then)."""
    types = section.named("types")
    return types[-1] if types and _types_first(section) else None


def place_of_object(section: Element, name: str) -> Element | None:
    """Behind the last of its type where the section is sorted so; else at the end."""
    same = section.named(name)
    return same[-1] if same and _types_first(section) else None


def _types_first(section: Element) -> bool:
    """With a single type nobody can tell; both ways give the same file then."""
    names = [child.name for child in section.children]
    last = max((at for at, name in enumerate(names) if name == "types"), default=-1)
    return last >= 0 and all(name == "types" for name in names[:last])


def blank_text(root: Element, name: str) -> str:
    """What this author writes into an empty <comment> or <target>: nothing, or one blank."""
    for part in root.children:
        for element in (part, *part.children):
            leaf = element.child(name)
            if leaf is not None and not leaf.value:
                return leaf.text
    return ""


def writes_blank(section: Element, name: str) -> bool:
    """Do the other objects of this section carry the element even when it is empty?"""
    objects = [child for child in section.children if child.name != "types"]
    return bool(objects) and all(child.child(name) is not None for child in objects)
