"""Everything that can be said of a configuration without asking the servers, in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping

from agent.clpconf.collection import without_collection
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.fences import FenceAgent
from agent.clpconf.findings import Finding
from agent.clpconf.load import interpret
from agent.clpconf.rules import RULES
from agent.clpconf.rules.file import PLACEHOLDER
from agent.clpconf.rules.subject import Subject
from agent.clpconf.rules.types import NOT_READY
from agent.clpconf.schema import TypeSpec


def validate(
    data: bytes | Document, catalog: Mapping[str, TypeSpec], *, agents: Mapping[str, FenceAgent] | None = None
) -> list[Finding]:
    """What load() finds, and all rules. Of a document that was edited, lines are those of the bytes that were read."""
    with without_collection():
        try:
            document = data if isinstance(data, Document) else Document.read(data)
        except DocumentError as error:
            return error.findings
        cluster, read = interpret(document, catalog, agents)
        subject = Subject(document, cluster, catalog)
        ruled = [finding for rule in RULES for finding in rule(subject)]
        return _in_order([*_without_repeats(_for_platform(read, document), ruled), *ruled])


def _for_platform(read: list[Finding], document: Document) -> list[Finding]:
    """A file for Windows lacks what types need here only; that it does not run here is said once."""
    system = document.root.find("all/serveros")
    if system is None or system.value != "windows":
        return read
    return [
        f for f in read if f.code != "value.missing" or not f.path.startswith(("/root/resource/", "/root/monitor/"))
    ]


def _without_repeats(read: list[Finding], ruled: list[Finding]) -> list[Finding]:
    """Where a rule says more of the same thing (what was probably meant, where the placeholder stands, all objects of a
    type that does not run), the reader's word is left out."""
    said = {(finding.code, finding.path) for finding in ruled}
    judged = {finding.path for finding in ruled if finding.severity == "warning"}
    blank = any(finding.code == "value.placeholder" for finding in ruled)
    return [
        finding
        for finding in read
        if (finding.code, finding.path) not in said
        and finding.code != NOT_READY
        and not (finding.code == "value.syntax" and finding.severity == "warning" and finding.path in judged)
        and not (blank and PLACEHOLDER.search(finding.text))
    ]


def _in_order(findings: list[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(findings), key=lambda finding: (finding.line, finding.column))
