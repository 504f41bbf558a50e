"""What the Builder stores. A draft is changed in one place only: `change`, `undo` and `redo` compare the revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from agent.catalog import specs
from agent.clpconf.archive import Bundle, Script
from agent.clpconf.convert import convert, needs_conversion
from agent.clpconf.diff import Difference, diff, diff_scripts
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit, EditError
from agent.clpconf.findings import Finding
from agent.clpconf.scripts import moved
from builder import contents, documents
from builder.models import Draft, DraftStep, Presence, Version
from webmanager.models import Cluster

STEPS_KEPT = 500


class StaleError(Exception):
    """Somebody else changed the draft since this page was made. Nothing was stored."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(f"draft {draft.pk} is at revision {draft.revision}")
        self.draft = draft


@dataclass
class Work:
    """A draft in the hands of one change."""

    document: Document
    edit: Edit
    _packed: bytes
    _scripts: dict[str, Script] | None = field(default=None)

    @property
    def scripts(self) -> dict[str, Script]:
        if self._scripts is None:
            self._scripts = contents.unpack_scripts(self._packed)
        return self._scripts

    def replace(self, document: Document) -> None:
        """By a whole other one."""
        self.document = document

    def packed_scripts(self) -> bytes:
        """With the folders that follow their objects."""
        if self.edit.moves and (self._packed or self._scripts):
            self._scripts = moved(self.scripts, self.edit.moves)
        return self._packed if self._scripts is None else contents.pack_scripts(self._scripts)


def create_draft(
    *, bundle: Bundle, name: str, user: Any, cluster: Cluster | None = None, base_hash: str = "",
    document: Document | None = None,
) -> Draft:  # fmt: skip
    """The caller has read the document once, so that what is stored can be read; `document` spares reading it again."""
    draft = Draft.objects.create(
        cluster=cluster, name=name[:80], base_hash=base_hash, conf=contents.pack(bundle.conf),
        scripts=contents.pack_scripts(bundle.scripts), owner=user, changed_at=timezone.now(),
        changed_by=user.get_username(),
    )  # fmt: skip
    if document is not None:
        documents.keep(draft, draft.revision, document)
    return draft


@dataclass
class Taken:
    """A configuration that came in. `converted`: what was changed since an older version wrote it, as a step of the
    draft; `refused`: why that was not possible."""

    draft: Draft
    converted: list[Finding] = field(default_factory=list)
    refused: Finding | None = None


def take(
    *, bundle: Bundle, name: str, user: Any, cluster: Cluster | None, origin: Version.Origin, why: str = ""
) -> Taken:
    """What runs, or a file, as a draft and as a version. Raises DocumentError."""
    document = Document.read(bundle.conf)
    keep_version(bundle=bundle, name=name, cluster=cluster, by=user.get_username(), why=why, origin=origin)
    draft = create_draft(
        bundle=bundle, name=name, user=user, cluster=cluster, base_hash=contents.hash_of(bundle), document=document
    )
    taken = Taken(draft)
    if needs_conversion(document):
        try:
            change(
                draft=draft, revision=draft.revision, user=user, text=CONVERTED, values={},
                act=lambda work: taken.converted.extend(convert(work.document)),
            )  # fmt: skip
        except EditError as error:
            taken.refused = error.finding
    return taken


def restore(*, version: Version, user: Any, name: str = "") -> Draft:
    """A version as a draft of its own: nothing is lost by looking. From there it can be applied."""
    return create_draft(
        bundle=version.bundle, name=name or version.why or version.name, user=user, cluster=version.cluster,
        base_hash=version.hash,
    )  # fmt: skip


def preview(*, draft: Draft, act: Callable[[Work], object]) -> list[Difference]:
    """What `act` would change in the draft as it is now; nothing is stored. Raises what `act` raises."""
    with documents.held(draft) as document:
        data = document.write()
    before, packed = Document.read(data), bytes(draft.scripts)
    after = Document.read(data)
    work = Work(after, Edit(after, specs()), packed)
    act(work)
    scripts = contents.unpack_scripts(packed), contents.unpack_scripts(work.packed_scripts())
    return [*diff(before, work.document, specs()), *diff_scripts(*scripts)]


def change(
    *, draft: Draft, revision: int, user: Any, text: str, values: Mapping[str, str], act: Callable[[Work], object]
) -> Draft:
    """All of `act` or nothing; stored before this returns. Raises StaleError, and what `act` raises."""
    with documents.held(draft) as document:
        if draft.revision != revision:
            raise StaleError(draft)
        packed = bytes(draft.scripts)
        work = Work(document, Edit(document, specs()), packed)
        try:
            act(work)
            conf, scripts = work.document.write(), work.packed_scripts()
            if conf == contents.unpack(draft.conf) and scripts == packed:
                return draft
            _store(draft, conf, scripts, user, text, values)
        except BaseException:
            documents.forget(draft)  # It may be half changed.
            raise
        documents.keep(draft, draft.revision, work.document)
        return draft


def _store(draft: Draft, conf: bytes, scripts: bytes, user: Any, text: str, values: Mapping[str, str]) -> None:
    before, before_scripts = bytes(draft.conf), bytes(draft.scripts)
    packed = contents.pack(conf)
    now, by = timezone.now(), user.get_username()
    with transaction.atomic():
        _advance(draft, packed, scripts, now, by)
        draft.steps.filter(undone=True).delete()
        DraftStep.objects.create(
            draft=draft, revision=draft.revision, by=by, at=now, text=text,
            values={key: value[:120] for key, value in values.items()}, conf=before,
            scripts=None if scripts == before_scripts else before_scripts,
        )  # fmt: skip
        edge = draft.steps.values_list("id", flat=True)[STEPS_KEPT : STEPS_KEPT + 1]
        if edge:
            draft.steps.filter(id__lte=edge[0]).delete()


def _advance(draft: Draft, conf: bytes, scripts: bytes, now: Any, by: str) -> None:
    """Only from the revision that was read: of two at the same moment one wins, the other one is told."""
    changes = {"conf": conf, "scripts": scripts, "revision": draft.revision + 1, "changed_at": now, "changed_by": by}
    if not Draft.objects.filter(pk=draft.pk, revision=draft.revision).update(**changes):
        draft.refresh_from_db()
        raise StaleError(draft)
    for name, value in changes.items():
        setattr(draft, name, value)


def undo(*, draft: Draft, revision: int, user: Any) -> DraftStep | None:
    """The newest step that is in force; None when there is none."""
    return _exchange(draft, revision, user, draft.steps.filter(undone=False).order_by("-id").first())


def redo(*, draft: Draft, revision: int, user: Any) -> DraftStep | None:
    return _exchange(draft, revision, user, draft.steps.filter(undone=True).order_by("id").first())


def _exchange(draft: Draft, revision: int, user: Any, step: DraftStep | None) -> DraftStep | None:
    """What the draft holds goes into the step, and the other way round."""
    if draft.revision != revision:
        raise StaleError(draft)
    if step is None:
        return None
    with transaction.atomic():
        conf, scripts = bytes(draft.conf), bytes(draft.scripts)
        other = scripts if step.scripts is None else bytes(step.scripts)
        _advance(draft, bytes(step.conf), other, timezone.now(), user.get_username())
        step.conf, step.undone = conf, not step.undone
        step.scripts = None if step.scripts is None else scripts
        step.save(update_fields=("conf", "scripts", "undone"))
    documents.forget(draft)
    return step


def keep_version(
    *, bundle: Bundle, name: str, cluster: Cluster | None, by: str, why: str, origin: Version.Origin
) -> Version:
    """One that is kept already is not kept twice in a row."""
    digest = contents.hash_of(bundle)
    newest = Version.objects.filter(cluster=cluster).defer("conf", "scripts").first()
    if newest is not None and newest.hash == digest and not why:
        return newest
    return Version.objects.create(
        cluster=cluster, name=name[:80], hash=digest, conf=contents.pack(bundle.conf),
        scripts=contents.pack_scripts(bundle.scripts), by=by, why=why[:200], origin=origin,
    )  # fmt: skip


def delete_draft(*, draft: Draft) -> None:
    documents.forget(draft)
    draft.delete()


def seen(*, draft: Draft, user: Any) -> None:
    Presence.objects.update_or_create(draft=draft, user=user, defaults={"seen_at": timezone.now()})


CONVERTED = gettext_noop("Converted from an older version")
UNDONE = gettext_noop("Taken back: %(what)s")
REDONE = gettext_noop("Done again: %(what)s")
