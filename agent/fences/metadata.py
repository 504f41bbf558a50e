"""From what `fence_x -o metadata` prints to the declaration that forms, checks and commands are made of.

The text comes from a program of the system; it is read without a document type and without entities all the same, and
with bounds on its size and depth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from agent.clpconf.fences import PARAMETERS, FenceAgent, option_kind
from agent.clpconf.kinds import TEXT, Kind, choice, integer, seconds
from agent.clpconf.schema import Param, TypeSpec

LIMIT_BYTES = 1 << 20
_DEEPEST = 16
_OPTIONS = 500
# Ours to say (action), or of no use to a cluster; what they write might hold secrets.
_OURS = frozenset(
    ("help", "version", "quiet", "verbose", "verbose_level", "debug", "debug_file", "manpage", "list", "separator",
     "plug_separator", "nodename_list")
)  # fmt: skip
_BOOLEAN_WORDS = ("0", "1", "true", "false", "yes", "no", "on", "off")


class MetadataError(ValueError):
    """The program printed something else; the sentence says what."""


@dataclass(slots=True)
class _Option:
    name: str
    required: bool
    deprecated: bool
    obsoletes: str
    kind: str = "string"
    default: str = ""
    choices: list[str] = field(default_factory=list)
    help: str = ""


class _Reader:
    """Collects what matters while expat walks through the text."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.text: list[str] = []
        self.label = ""
        self.description = ""
        self.options: list[_Option] = []
        self.actions: set[str] = set()

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if not self.path and name != "resource-agent":
            raise MetadataError(f"its root element is <{name[:40]}>")
        if len(self.path) >= _DEEPEST or len(self.options) > _OPTIONS:
            raise MetadataError("it is too large or too deep")
        self.path.append(name)
        self.text.clear()
        if name == "resource-agent":
            self.label = attributes.get("shortdesc", "")
        elif name == "parameter":
            required = attributes.get("required") == "1"
            old = attributes.get("deprecated") == "1"
            option = attributes.get("name", "")
            self.options.append(_Option(option, required, old, attributes.get("obsoletes", "")))
        elif name == "content" and self.options:
            self.options[-1].kind = attributes.get("type", "string")
            self.options[-1].default = attributes.get("default", "")
        elif name == "option" and self.options:
            self.options[-1].choices.append(attributes.get("value", ""))
        elif name == "action" and self.path[-2:-1] == ["actions"]:
            self.actions.add(attributes.get("name", ""))

    def end(self, name: str) -> None:
        text = " ".join("".join(self.text).split())
        if name == "shortdesc" and "parameter" in self.path and self.options:
            self.options[-1].help = text
        elif name == "longdesc" and len(self.path) == 2:
            self.description = text
        self.path.pop()
        self.text.clear()

    def data(self, text: str) -> None:
        self.text.append(text)


def read_metadata(agent: str, data: bytes) -> FenceAgent:
    """Raises MetadataError."""
    if len(data) > LIMIT_BYTES:
        raise MetadataError(f"{agent} printed more than {LIMIT_BYTES} bytes of metadata.")
    start = data.find(b"<")
    reader, parser = _Reader(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.EntityDeclHandler = _no_doctype
    try:
        parser.Parse(data[max(start, 0) :], True)
    except (expat.ExpatError, MetadataError) as error:
        raise MetadataError(f"What {agent} prints as its metadata cannot be read: {error}.") from error
    return _agent_of(agent, reader)


def _no_doctype(*_: object) -> None:
    raise MetadataError("it has a document type, which metadata of fence agents never has")


def _agent_of(agent: str, reader: _Reader) -> FenceAgent:
    by_name = {option.name: option for option in reader.options if option.name}
    aliases = {o.obsoletes: o.name for o in by_name.values() if o.obsoletes in by_name}
    params = tuple(
        _param(option)
        for option in by_name.values()
        if not option.deprecated and option.name not in aliases and option.name not in _OURS
    )
    spec = TypeSpec(agent, reader.label or agent, params, help=reader.description)
    return FenceAgent(spec, aliases, frozenset(reader.actions), reader.description)


def _param(option: _Option) -> Param:
    kind = option_kind(option.name, _kind(option))
    default: object = "off" if option.name == "action" else option.default or None
    if default is not None:
        try:
            default = kind.parse(str(default))
        except ValueError:
            default = None  # A default outside of its own type is the agent's business: it uses it.
    # The action is ours: every agent calls it required.
    required = option.required and option.name != "action" and not option.default
    label = option.name.replace("_", " ").capitalize()
    return Param(PARAMETERS + option.name, label, kind, required=required, default=default, help=option.help)


def _kind(option: _Option) -> Kind:
    if option.name == "action":
        return choice("off", "reboot")
    if option.choices:
        return choice(*option.choices)
    if option.kind == "boolean":
        return choice(*_BOOLEAN_WORDS)
    if option.kind == "integer":
        return integer(-(2**31), 2**31 - 1)
    if option.kind == "second":
        return seconds(0, 999_999)
    return TEXT
