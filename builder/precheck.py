"""What is known of a draft before it is applied: what hinders it, what it would do, and what the servers say to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django.utils.translation import gettext as _

from agent.catalog import specs
from agent.clpconf.diff import Difference, diff, diff_scripts
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.findings import Finding
from agent.clpconf.plan import plan
from builder import contents, delivery, documents, inventory, selectors, words
from builder.applying import OPEN
from builder.models import Apply, Draft
from webmanager import selectors as status_of
from webmanager.models import Cluster

_SHOWN = 100


@dataclass
class Precheck:
    """`hindrances`: sentences; while there is one, it cannot be applied."""

    hindrances: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    warnings: int = 0
    level: str = ""
    answer: str = ""
    lines: list[str] = field(default_factory=list)
    count: int = 0
    scripts: list[Difference] = field(default_factory=list)
    scripts_why: str = ""  # why they could not be compared
    asked: bool = False
    live_findings: list[Finding] = field(default_factory=list)
    live_why: str = ""

    @property
    def live_errors(self) -> bool:
        """The servers lack something, or could not all be asked."""
        return bool(self.live_why) or any(finding.severity == "error" for finding in self.live_findings)

    @property
    def gone(self) -> list[str]:
        return [one.name for one in self.scripts if one.change == "removed"]


def precheck(*, draft: Draft, cluster: Cluster | None, by: str, scripts: bool = True, live: bool = False) -> Precheck:
    """`scripts` fetches those that run, to compare them. `live` asks the servers, which takes up to some seconds; only
    where it could be applied at all."""
    known = Precheck()
    found = documents.findings(draft)
    known.findings = [finding for finding in found if finding.severity == "error"][:_SHOWN]
    known.warnings = sum(finding.severity == "warning" for finding in found)
    if known.findings:
        known.hindrances.append(_("The draft has errors. Mend them first."))
    status = async_to_sync(status_of.status)(cluster=cluster.name) if cluster is not None else None
    if cluster is None or status is None:
        known.hindrances.append(_("No cluster has reported to this manager, so there is nothing to apply it to."))
        return known
    if occupied := _occupied(cluster, status):
        # What runs is about to be another one, and its servers have other work.
        known.hindrances.append(occupied)
        return known
    _compare(known, draft, cluster, by if scripts else "")
    if live and not known.hindrances:
        known.asked = True
        document = Document.read(contents.unpack(draft.conf))
        known.live_findings, known.live_why = async_to_sync(inventory.live_findings)(
            cluster=cluster.name, document=document, by=by
        )
    return known


def _occupied(cluster: Cluster, status: dict[str, Any]) -> str:
    told = status["cluster"]["configuration"]
    if told["phase"] or Apply.objects.filter(cluster=cluster, state__in=OPEN).exists():
        return str(_("Another change of this cluster is under way. Confirm it, or return, first."))
    return ""


def _compare(known: Precheck, draft: Draft, cluster: Cluster, by: str) -> None:
    """With what runs; its scripts are fetched from a server (not without `by`), since an apply replaces them all."""
    runs = selectors.running(cluster)
    if runs is None:
        known.hindrances.append(_("No server has sent its configuration yet."))
        return
    fetched = None
    if by:
        fetched, known.scripts_why = async_to_sync(delivery.running_bundle)(cluster=cluster.name, by=by)
    try:
        before = Document.read((fetched or runs).conf)
        with documents.held(draft) as after:
            named = after.find("cluster/name")
            differences = diff(before, after, specs())
            made = plan(differences, before, after, specs())
    except DocumentError as error:
        known.hindrances.append(" ".join(str(finding) for finding in error.findings[:5]))
        return
    if (name := named.value if named is not None else "") != cluster.name:
        known.hindrances.append(_rename(name, cluster.name))
    known.level, known.lines = made.level, [words.line(one) for one in made.lines()]
    known.scripts = diff_scripts(fetched.scripts, draft.bundle.scripts) if fetched is not None else []
    known.count = len(differences) + len(known.scripts)
    known.answer = words.answer(made) if differences else ""
    if not known.count and fetched is not None:
        known.hindrances.append(_("The cluster runs exactly this already."))


def _rename(name: str, cluster: str) -> str:
    return _(
        "The draft names the cluster “%(name)s”, but “%(cluster)s” runs. A cluster is not renamed while it runs: "
        "give the draft its name."
    ) % {"name": name or "-", "cluster": cluster}
