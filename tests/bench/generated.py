"""Configurations that nobody thought of: drawn from the declarations of all types, and broken in all kinds of ways."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape, quoteattr

from agent.catalog import specs
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.element import Element, Piece
from agent.clpconf.kinds import Kind
from agent.clpconf.schema import Param, TypeSpec
from agent.clpconf.sections import SECTIONS, whole

_CODECS = {"ASCII": "ascii", "EUC-JP": "euc_jp", "SJIS": "cp932", "GB2312": "gb2312", "UTF-8": "utf-8"}
_WORDS = (
    "x",
    "構成",
    "ソ能",
    "中文",
    "a b",
    "é",
    "<&>",
    "%%FIP%%",
    "]]",
    "10.0.0.1",
    "eth0",
    "/dev/sdb1",
    "0",
    "00",
    "-1",
)
_STYLES = (("\n", "  "), ("\n", "\t"), ("\r\n", "  "), ("", ""), ("\n", "        "), ("\n\n", " "))
_KINDS = {"resource": "resource", "monitor": "monitor", "heartbeat": "heartbeat", "networkpartition": "partition"}

Node = tuple[str, dict[str, str], "list[Node] | str"]


@functools.lru_cache(64)
def conf(seed: int) -> bytes:
    """The same for the same seed."""
    return _Author(random.Random(seed)).write()


class _Author:
    """One way to write a file: encoding, indentation, order, blanks and comments."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.declared = chance.choice(sorted(_CODECS))
        self.newline, self.step = chance.choice(_STYLES)
        self.catalog = specs()
        self.names = [f"n{at}" for at in range(chance.randint(1, 4))]
        self.sloppy = chance.random() < 0.3

    def write(self) -> bytes:
        sections = [*self._settings(), *self._servers(), *self._groups()]
        sections += [self._instances(section) for section in _KINDS if self.chance.random() < 0.9]
        if self.sloppy:
            self.chance.shuffle(sections)
        text = f'<?xml version="1.0" encoding="{self.declared}"?>{self.newline}' + self._text(
            ("root", {}, sections), ""
        )
        return text.encode(_CODECS[self.declared], "xmlcharrefreplace")

    def _settings(self) -> Iterator[Node]:
        for name in (
            "all",
            "cluster",
            "webmgr",
            "trekking",
            "pm",
            "rc",
            "rm",
            "haltp",
            "openclp",
            "messages",
            "statsd",
        ):
            if self.chance.random() < 0.6 or name == "cluster":
                yield name, {}, self._params(SECTIONS[name], "")

    def _servers(self) -> Iterator[Node]:
        for number, name in enumerate(self.names):
            devices: list[Node] = [
                ("device", {"id": str(at)}, [("type", {}, "lan"), ("info", {}, f"10.0.{at}.{number}")])
                for at in range(2)
            ]
            yield "server", {"name": name}, [("priority", {}, str(number)), *devices]

    def _groups(self) -> Iterator[Node]:
        for number in range(self.chance.randint(0, 3)):
            links: list[Node] = [("resource", {"name": f"exec@exec{number}"}, "")]
            policy: list[Node] = [
                ("policy", {"name": name}, [("order", {}, str(at))]) for at, name in enumerate(self.names)
            ]
            yield "group", {"name": f"g{number}"}, [*links, *policy, *self._params(SECTIONS["group"], "depend")]

    def _instances(self, section: str) -> Node:
        types = [spec for spec in self.catalog.values() if spec.section == section]
        children: list[Node] = []
        for number in range(self.chance.randint(0, 4)):
            spec = self.chance.choice(types)
            if self.chance.random() < 0.8:
                children.append(("types", {"name": spec.name}, ""))
            children.append((spec.name, {"name": f"{spec.name}{number}"}, self._params(whole(spec), "")))
        return section, {}, children

    def _params(self, spec: TypeSpec, without: str) -> list[Node]:
        tree: dict[str, object] = {}
        for param in spec.params:
            if self.chance.random() < 0.3 and not (without and param.path.startswith(without)):
                path = param.path.replace("@*", f"@{self.chance.randint(0, 2)}").replace("*", "rc")
                _put(tree, path, self._value(param))
        return self._nodes(tree)

    def _nodes(self, tree: dict[str, object]) -> list[Node]:
        nodes: list[Node] = []
        for word, held in tree.items():
            name, at, identity = word.partition("@")
            attribute = (
                "id" if name in ("device", "list", "grp", "netdev", "servers", "smtpsrv", "snmpsrv", "hba") else "name"
            )
            attributes = {attribute: identity} if at else {}
            nodes.append((name, attributes, self._nodes(held) if isinstance(held, dict) else str(held)))
        if self.sloppy:
            self.chance.shuffle(nodes)
        return nodes

    def _value(self, param: Param) -> str:
        kind: Kind = param.kind
        if self.chance.random() < 0.15:
            return self.chance.choice(_WORDS)
        if self.chance.random() < 0.3:
            return param.default_text
        if kind.choices:
            return self.chance.choice(kind.choices)[0]
        if kind.minimum is not None and kind.maximum is not None:
            return str(self.chance.randint(int(kind.minimum), int(kind.maximum)))
        return self.chance.choice(_WORDS)

    def _text(self, node: Node, indent: str) -> str:
        name, attributes, held = node
        tag = name + "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
        if not held:
            return self.chance.choice((f"<{tag}/>", f"<{tag} />", f"<{tag}></{name}>", f"<{tag}> </{name}>"))
        if isinstance(held, str):
            return f"<{tag}>{self._blank()}{escape(held)}{self._blank()}</{name}>"
        inner = indent + self.step
        parts = "".join(f"{self.newline}{inner}{self._aside()}{self._text(child, inner)}" for child in held)
        return f"<{tag}>{parts}{self.newline}{indent}</{name}>"

    def _blank(self) -> str:
        return self.chance.choice(("", "", "", " ", "\n\t")) if self.sloppy else ""

    def _aside(self) -> str:
        return (
            self.chance.choice(("<!-- why -->", "<?p x?>", "\n")) if self.sloppy and self.chance.random() < 0.1 else ""
        )


def _put(tree: dict[str, object], path: str, text: str) -> None:
    *above, last = path.split("/")
    for word in above:
        held = tree.setdefault(word, {})
        if not isinstance(held, dict):
            return
        tree = held
    tree.setdefault(last, text)


def mutated(data: bytes, seed: int) -> bytes:
    """One to four wounds; the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_WOUNDS)(data, chance)
    return data


def _flip(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(1, 80) :]


def _double(data: bytes, chance: random.Random) -> bytes:
    at, size = chance.randrange(len(data) + 1), chance.randrange(1, 400)
    return data[: at + size] + data[at : at + size] * chance.choice((1, 1, 2, 50)) + data[at + size :]


def _end(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _word(data: bytes, chance: random.Random) -> bytes:
    """Something else for one of its words: a name of an element, of an object, a value."""
    words = [
        b"resource",
        b"name",
        b"types",
        b"group",
        b"id=",
        b"exec",
        b"server",
        b"0",
        b"1",
        b">",
        b"depend",
        b"</",
        b'"',
    ]
    others = [*words, b"", b"@", b"a/b", b"9" * 40, b"-1", b"\xff", b"&#0;", b"&#x10FFFF;", b"<!DOCTYPE a>", b"%%X%%",
              b"<![CDATA[", b"x" * 5000, b"../..", b"1e999", "９".encode(), b"root"]  # fmt: skip
    return data.replace(chance.choice(words), chance.choice(others), chance.choice((1, 1, 5, -1)))


def _deep(data: bytes, chance: random.Random) -> bytes:
    depth = chance.choice((10, 60, 70, 5000))
    at = data.find(b">", chance.randrange(len(data) + 1)) + 1
    return data[:at] + b"<a>" * depth + b"</a>" * depth + data[at:]


def _many(data: bytes, chance: random.Random) -> bytes:
    at = data.find(b">", chance.randrange(len(data) + 1)) + 1
    piece = chance.choice(
        (b"<a/>", b'<group name="g0"/>', b'<list id="0"><ip>x</ip></list>', b'<exec name="e"/>', b"\n")
    )
    return data[:at] + piece * chance.choice((2, 30, 2000)) + data[at:]


def _encoding(data: bytes, chance: random.Random) -> bytes:
    old, new = (chance.choice([*_CODECS, "UTF-16", "x", ""]).encode() for _ in range(2))
    return data.replace(b'encoding="' + old, b'encoding="' + new, 1)


def _tree(data: bytes, chance: random.Random) -> bytes:
    """One element elsewhere, twice, gone, under another name, or with another text: the file stays well-formed."""
    try:
        document = Document.read(data)
    except DocumentError:
        return data
    elements = list(_all(document.root))
    one, other = chance.choice(elements), chance.choice(elements)
    raw = b"".join(_written(other))
    what = chance.randrange(6)
    if what == 0 and one.parent is not None:
        document.remove(one)
    elif what == 1:
        one.content.insert(chance.randint(0, len(one.content)), Piece("text", raw * chance.choice((1, 1, 2, 40))))
        one.end_tag = one.end_tag or f"</{one.name}>".encode()
        one.start_tag = one.start_tag.removesuffix(b"/>").removesuffix(b">") + b">"
    elif what == 2:
        one.start_tag = one.start_tag.replace(one.name.encode(), other.name.encode(), 1)
        one.end_tag = one.end_tag.replace(one.name.encode(), other.name.encode(), 1)
    elif what == 3 and one.attributes:
        name = chance.choice(("name", "id", "depend"))
        one.start_tag = f'<{one.name} {name}="{chance.choice(_NAMES)}">'.encode()
        one.end_tag = f"</{one.name}>".encode()
    else:
        one.content = [Piece("text", chance.choice(_NAMES).encode())]
        one.end_tag = one.end_tag or f"</{one.name}>".encode()
        one.start_tag = one.start_tag.removesuffix(b"/>").removesuffix(b">") + b">"
    return document.write()


_NAMES = (
    "",
    "n0",
    "n1",
    "exec0",
    "a/b",
    "@",
    "x@y",
    "fip@fip1",
    "..",
    "0",
    "-1",
    "400",
    "1" * 30,
    "*",
    "9",
    "g0",
    "types",
    "#",
)


def _all(element: Element) -> Iterator[Element]:
    yield element
    for child in element.children:
        yield from _all(child)


def _written(element: Element) -> list[bytes]:
    out: list[bytes] = []
    element.write(out)
    return out


_WOUNDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _cut, _double, _end, _word, _word, _deep, _many, _encoding, *[_tree] * 36,
)  # fmt: skip
