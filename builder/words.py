"""Sentences of the vocabulary and of findings in the reader's language; names of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import get_language, gettext, gettext_lazy

from agent.clpconf.findings import Finding
from agent.clpconf.kinds import Kind
from agent.clpconf.plan import Line, Plan
from builder.locale import sentences

_NAMED = 10
KINDS: Mapping[str, Any] = {
    "section": gettext_lazy("Settings"),
    "server": gettext_lazy("Servers"),
    "heartbeat": gettext_lazy("Heartbeats"),
    "partition": gettext_lazy("Partition resolution"),
    "group": gettext_lazy("Groups"),
    "resource": gettext_lazy("Resources"),
    "monitor": gettext_lazy("Monitors"),
    "fence": gettext_lazy("Fence devices"),
}
ONE: Mapping[str, Any] = {
    "section": gettext_lazy("Settings"),
    "server": gettext_lazy("Server"),
    "heartbeat": gettext_lazy("Heartbeat"),
    "partition": gettext_lazy("Partition resolution resource"),
    "group": gettext_lazy("Failover group"),
    "resource": gettext_lazy("Group resource"),
    "monitor": gettext_lazy("Monitor resource"),
    "fence": gettext_lazy("Fence device"),
    "device": gettext_lazy("Device"),
    "script": gettext_lazy("Script"),
}
CHANGES: Mapping[str, Any] = {
    "added": gettext_lazy("Added"),
    "removed": gettext_lazy("Removed"),
    "changed": gettext_lazy("Changed"),
    "renamed": gettext_lazy("Renamed"),
    "moved": gettext_lazy("Moved"),
}
SEVERITIES: Mapping[str, Any] = {
    "error": gettext_lazy("Error"),
    "warning": gettext_lazy("Warning"),
    "note": gettext_lazy("Note"),
}
APPLIES: Mapping[str, Any] = {
    "noted": gettext_lazy("read at once, nothing restarts"),
    "monitor": gettext_lazy("the monitor restarts"),
    "group": gettext_lazy("the group restarts"),
    "suspend": gettext_lazy("the cluster is suspended meanwhile"),
    "stop": gettext_lazy("the cluster is stopped meanwhile"),
}
LOOKS = {"error": "bad", "warning": "warn", "note": "note"}


def said(text: str) -> str:
    """A word of the vocabulary; gettext("") would be the head of the catalogue."""
    return gettext(text) if text else ""


def hint(kind: Kind) -> str:
    """How a value has to look."""
    if not kind.template:
        return said(kind.help)
    return gettext(kind.template).format(**dict(kind.values))


def reason(finding: Finding) -> tuple[str, str]:
    """(what is wrong, what would be right)."""
    known = finding.said
    if (get_language() or "en").startswith("en"):
        return finding.text, finding.remedy
    if known is None:
        return _parted(finding.text), _parted(finding.remedy)
    values = dict(known.values)
    return _filled(known.text, values) or finding.text, _filled(known.remedy, values) or finding.remedy


def _parted(text: str) -> str:
    """Of a sentence that has its values in it already."""
    whole = said(text)
    template, values = sentences.parted(text) if whole == text else ("", ())
    return (
        gettext(template).format(*(str(ONE[one]) if one in ONE else _parted(one) for one in values))
        if values
        else whole
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    """ "" where the words and the values do not fit: the finding's own sentence is right then."""
    try:
        return said(text).format(**values)
    except (KeyError, IndexError, ValueError):
        return ""


def on_server(server: str) -> str:
    return gettext("On %(server)s only") % {"server": server}


def counts_only(label: str, values: str) -> str:
    return gettext("It counts only where “%(label)s” is: %(values)s.") % {"label": label, "values": values}


def unused() -> str:
    return gettext("Kept, but this version does not act on it.")


def too_long(limit: int) -> str:
    return gettext("This is longer than %(limit)d characters.") % {"limit": limit}


LEVELS: Mapping[str, Any] = {
    "nothing": gettext_lazy("Nothing changes."),
    "noted": gettext_lazy("Nothing restarts."),
    "monitor": gettext_lazy("Only monitors restart; services go on."),
    "group": gettext_lazy("Groups stop and start again."),
    "suspend": gettext_lazy("The cluster is suspended meanwhile; services go on, nothing is recovered."),
    "stop": gettext_lazy("The cluster has to be stopped meanwhile."),
}


def answer(made: Plan) -> str:
    """The whole plan in a sentence. A suspension alone stops no service; groups that are changed do stop."""
    stopped = [group.name for group in made.groups if group.step != "starts"]
    if made.level == "suspend" and stopped:
        names = {"names": ", ".join(stopped[:_NAMED]) + (" …" if len(stopped) > _NAMED else "")}
        return gettext("The cluster is suspended meanwhile, and these groups stop: %(names)s.") % names
    return str(LEVELS[made.level])


def line(one: Line) -> str:
    """A line of a plan."""
    values = {key: listed(str(value)) if key == "why" else value for key, value in one.values.items()}
    return gettext(one.template).format(**values)


def listed(text: str) -> str:
    """ "fip1: IP address, Comment" with its labels in the reader's language."""
    parts = (part.rpartition(": ") for part in text.split(", "))
    return ", ".join(f"{name}{colon}{said(label)}" for name, colon, label in parts)
