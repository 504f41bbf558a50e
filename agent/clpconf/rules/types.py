"""Rules for types that this version does not run: each type is told once, with what that means for its objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.clpconf.findings import Finding
from agent.clpconf.rules.subject import Rule, Subject, Thing, finding
from agent.clpconf.schema import TypeSpec

NOT_READY = "type.not_ready"


def types_that_do_not_run(subject: Subject) -> Iterator[Finding]:
    """Of a hundred monitors of one type, one line is enough. Of Windows' own types in a file for Windows, none: that
    they do not run here is said of the whole file."""
    windows = subject.document.find("all/serveros")
    for_windows = windows is not None and windows.value == "windows"
    cluster = subject.cluster
    for section, things in (
        ("resource", cluster.resources), ("monitor", cluster.monitors), ("heartbeat", cluster.heartbeats),
        ("networkpartition", cluster.resolvers),
    ):  # fmt: skip
        of_type: dict[str, list[Thing]] = {}
        for thing in things:
            of_type.setdefault(thing.type, []).append(thing)
        for name, some in of_type.items():
            spec = subject.catalog.get(name)
            if spec is not None and not spec.ready and not (for_windows and spec.platform == "windows"):
                yield _told(subject, section, spec, some)


def _told(subject: Subject, section: str, spec: TypeSpec, things: Sequence[Thing]) -> Finding:
    names, place = [thing.name for thing in things], subject.at(section, things[0].name)
    remedy = "Use another type, or wait for a version that runs it."
    if spec.platform == "windows":
        text = "Type {type} exists on Windows servers only; kept without effect: {names}."
        return finding(NOT_READY, "warning", place, text, remedy, type=spec.name, names=names)
    if section == "resource":
        groups = list(dict.fromkeys(subject.group_of[name].name for name in names if name in subject.group_of))
        text = "Type {type} does not run in this version, so {groups} cannot start with {names}."
        if groups:
            return finding(NOT_READY, "warning", place, text, remedy, type=spec.name, groups=groups, names=names)
    text = "Type {type} does not run in this version; kept without effect: {names}."
    if section == "monitor":
        text = "Type {type} does not run in this version, so nothing is watched by {names}."
    return finding(NOT_READY, "warning", place, text, remedy, type=spec.name, names=names)


RULES: tuple[Rule, ...] = (types_that_do_not_run,)
