"""Changes of a draft: by paths, by the words of clpcfset, of its scripts; taken back and done again."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext_noop
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from agent.clpconf import command_words
from agent.clpconf.archive import MAX_SCRIPT_BYTES, Script, check_path
from agent.clpconf.command_alerts import UsageError
from agent.clpconf.document import DocumentError
from agent.clpconf.edit import Edit, EditError
from builder import contents, selectors, services
from builder.api.shapes import DraftReply
from builder.api.v2 import shapes
from builder.api.v2.base import OK, Base, Refused, changed, changing, conflict, difference_item, documented, refuse
from builder.api.v2.base import revision_of as read_revision
from builder.api.views import carry_out, draft_item
from builder.models import Draft

_VERBS = ("add", "del")


class Editing(Base):
    def store(
        self, draft: Draft, user: Any, sent: dict[str, Any], text: str, what: dict[str, str],
        act: Callable[[services.Work], object],
    ) -> Response:  # fmt: skip
        """One step of the draft."""
        revision = read_revision(self.request, sent, draft)
        try:
            services.change(draft=draft, revision=revision, user=user, text=text, values=what, act=act)
        except services.StaleError:
            return conflict(draft, revision, act)
        except (EditError, DocumentError) as error:
            refuse(error)
        return changed(draft, differences=[])


class Changes(Editing):
    @changing(shapes.DraftChangedReply, operation_id="v2_draft_change", request=shapes.DraftChanges)
    def post(self, request: Request, key: int) -> Response:
        """Changes a draft, all or nothing; 409 with both values when somebody was faster. For administrators."""
        user, draft = self.draft_to_write(key)
        sent = self.sent(shapes.DraftChanges)

        def act(work: services.Work) -> None:
            for one in sent["changes"]:
                _carry_out(work.edit, one)

        if sent["preview"]:
            return self._preview(draft, act)
        what = {"what": ", ".join(dict.fromkeys(map(_shown, sent["changes"])))}
        return self.store(draft, user, sent, gettext_noop("By REST: %(what)s"), what, act)

    def _preview(self, draft: Draft, act: Callable[[services.Work], object]) -> Response:
        try:
            found = services.preview(draft=draft, act=act)
        except (EditError, DocumentError) as error:
            refuse(error)
        rows = [difference_item(one) for one in found]
        return Response({"draft": draft_item(draft), "differences": rows, "result": OK})


def _carry_out(edit: Edit, one: dict[str, Any]) -> None:
    if one["op"] != "command":
        carry_out(edit, one)
        return
    verb, *words = one.get("words") or [""]
    if verb not in _VERBS:
        raise exceptions.ValidationError({"words": f"The first one is {' or '.join(_VERBS)}, as of clpcfset."})
    try:
        command_words.do(verb, words)(edit)
    except UsageError as error:
        raise exceptions.ValidationError({"words": str(error)}) from None


def _shown(one: dict[str, Any]) -> str:
    """Names and paths only: a value may be a secret."""
    if one["op"] == "command":
        verb, *words = one.get("words") or [""]
        return command_words.shown(verb, words)
    return str(one.get("path") or one.get("name") or one["op"])


class Undo(Editing):
    back = True

    @changing(DraftReply, operation_id="v2_draft_undo", request=shapes.ReadRevision)
    def post(self, request: Request, key: int) -> Response:
        """Takes the newest change back. For administrators."""
        return self.exchange(key)

    def exchange(self, key: int) -> Response:
        user, draft = self.draft_to_write(key)
        revision = read_revision(self.request, self.sent(shapes.ReadRevision), draft)
        try:
            step = (services.undo if self.back else services.redo)(draft=draft, revision=revision, user=user)
        except services.StaleError:
            return conflict(draft, revision)
        if step is None:
            raise Refused("Nothing is left to take back." if self.back else "Nothing was taken back.")
        return changed(draft)


class Redo(Undo):
    back = False

    @changing(DraftReply, operation_id="v2_draft_redo", request=shapes.ReadRevision)
    def post(self, request: Request, key: int) -> Response:
        """Does again what was taken back. For administrators."""
        return self.exchange(key)


class Scripts(Editing):
    @documented(shapes.ScriptsReply, operation_id="v2_draft_scripts")
    def get(self, request: Request, key: int) -> Response:
        """Names of the scripts; what is in them, secrets among it, is in `file`."""
        found = contents.unpack_scripts(selectors.get_draft_or_404(key).scripts)
        rows = [{"path": at, "size": len(one.data), "mode": f"{one.mode:04o}"} for at, one in sorted(found.items())]
        return Response({"scripts": rows, "result": OK})

    @changing(shapes.DraftChangedReply, operation_id="v2_draft_script", request=shapes.DraftScript)
    def put(self, request: Request, key: int) -> Response:
        """Writes one script, or removes it. For administrators."""
        user, draft = self.draft_to_write(key)
        sent = self.sent(shapes.DraftScript)
        path, removed = sent["path"], "data" not in sent
        if wrong := check_path(path):
            raise exceptions.ValidationError({"path": wrong})
        script = Script(_decoded(sent.get("data", "")), int(sent["mode"], 8))

        def act(work: services.Work) -> None:
            if removed:
                work.scripts.pop(path, None)
            else:
                work.scripts[path] = script

        text = gettext_noop("Removed script %(path)s") if removed else gettext_noop("Script %(path)s")
        return self.store(draft, user, sent, text, {"path": path}, act)


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise exceptions.ValidationError({"data": "This is not base64."}) from None
    if len(data) > MAX_SCRIPT_BYTES:
        raise exceptions.ValidationError({"data": f"A script may have {MAX_SCRIPT_BYTES} bytes."})
    return data
