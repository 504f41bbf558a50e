"""What the Builder knows: reads only."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from agent.clpconf.archive import Bundle
from agent.clpconf.document import Document
from builder import documents
from builder.models import Apply, Draft, DraftStep, Version
from webmanager import access
from webmanager.models import Cluster

PRESENT_S = 20  # Pages tell every 5 s that they are open.
RUNNING = "running"


class Side(NamedTuple):
    """One side of a comparison."""

    key: str
    label: str
    bundle: Bundle
    draft: Draft | None = None


@contextlib.contextmanager
def both(left: Side, right: Side) -> Iterator[tuple[Document, Document]]:
    """Their documents, to be read only. Drafts are held in the order of their keys, so that two comparisons never wait
    for each other. Raises DocumentError."""
    with contextlib.ExitStack() as stack:
        drafts = {side.draft.pk: side.draft for side in (left, right) if side.draft is not None}
        held = {key: stack.enter_context(documents.held(drafts[key])) for key in sorted(drafts)}
        before, after = (
            held[side.draft.pk] if side.draft is not None else Document.read(side.bundle.conf) for side in (left, right)
        )
        yield before, after


def drafts() -> list[Draft]:
    return [one for one in Draft.objects.defer("conf", "scripts").select_related("owner", "cluster") if _seen(one)]


def _seen(one: Draft | Version | Apply) -> bool:
    """Without a cluster it is for those who may look at all of them."""
    return access.asker_may_see(one.cluster)


def versions(limit: int = 200) -> list[Version]:
    found = Version.objects.defer("conf", "scripts").select_related("cluster")
    return [one for one in found[:limit] if _seen(one)]


def get_draft_or_404(key: int) -> Draft:
    draft = Draft.objects.select_related("cluster").filter(pk=key).first()
    if draft is None or not _seen(draft):
        raise Http404(_("There is no such draft. It may have been deleted."))
    return draft


def get_version_or_404(key: int) -> Version:
    version = Version.objects.select_related("cluster").filter(pk=key).first()
    if version is None or not _seen(version):
        raise Http404(_("There is no such version."))
    return version


def applies(cluster: Cluster | None, limit: int = 50) -> list[Apply]:
    """Of one cluster, or of all; newest first."""
    found = Apply.objects.defer("conf", "scripts").select_related("cluster")
    return [one for one in (found.filter(cluster=cluster) if cluster is not None else found)[:limit] if _seen(one)]


def get_apply_or_404(key: int) -> Apply:
    row = Apply.objects.defer("conf", "scripts").select_related("cluster").filter(pk=key).first()
    if row is None or not _seen(row):
        raise Http404(_("There is no such change."))
    return row


def apply_of(cluster: Cluster | None, change: str) -> Apply | None:
    """The newest, where it is under way or what the servers know as `change`."""
    newest = next(iter(applies(cluster, 1)), None)
    return newest if newest is not None and (not newest.ended or str(newest.key) == change) else None


def running(cluster: Cluster | None) -> Bundle | None:
    """What the agents sent; its scripts stay on the servers."""
    full = Cluster.objects.filter(pk=cluster.pk).first() if cluster is not None else None
    return Bundle(bytes(full.config), {}) if full is not None and full.config else None


def steps(draft: Draft, limit: int = 100) -> list[DraftStep]:
    return list(draft.steps.defer("conf", "scripts")[:limit])


def steps_since(draft: Draft, revision: int) -> list[DraftStep]:
    return list(draft.steps.filter(revision__gt=revision).defer("conf", "scripts")[:20])


def undoable(draft: Draft) -> tuple[DraftStep | None, DraftStep | None]:
    """(what undo takes back, what redo does again)."""
    found = draft.steps.defer("conf", "scripts")
    return found.filter(undone=False).order_by("-id").first(), found.filter(undone=True).order_by("id").first()


def present(draft: Draft, user: Any) -> list[str]:
    """Who else has it open now."""
    since = timezone.now() - datetime.timedelta(seconds=PRESENT_S)
    found = draft.present.filter(seen_at__gte=since).exclude(user=user).select_related("user")
    return sorted(one.user.get_username() for one in found)


def side_or_404(key: str, cluster: Cluster | None) -> Side:
    """ "running", "draft:ID" or "version:ID"."""
    kind, _colon, number = key.partition(":")
    if kind == RUNNING:
        bundle = running(cluster)
        if bundle is None:
            raise Http404(_("No server has sent its configuration yet."))
        return Side(key, _("running configuration"), bundle)
    if kind in ("draft", "version") and number.isdecimal() and len(number) < 19:
        found = get_draft_or_404(int(number)) if kind == "draft" else get_version_or_404(int(number))
        return Side(key, _side_label(found), found.bundle, found if isinstance(found, Draft) else None)
    raise Http404(_("There is nothing to compare with here."))


def sides(cluster: Cluster | None) -> list[tuple[str, str]]:
    """(key, label) of all that can be compared."""
    found = [(RUNNING, _("running configuration"))] if cluster is not None and cluster.config_hash else []
    found += [(f"draft:{one.pk}", _side_label(one)) for one in drafts()]
    return found + [(f"version:{one.pk}", _side_label(one)) for one in versions(50)]


def _side_label(one: Draft | Version) -> str:
    if isinstance(one, Draft):
        return _("draft “%(name)s”") % {"name": one.name}
    at = timezone.localtime(one.at).strftime("%Y-%m-%d %H:%M")
    return _("version of %(at)s (%(name)s)") % {"at": at, "name": one.why or one.name}
