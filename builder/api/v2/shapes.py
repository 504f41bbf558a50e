"""What the paths of drafts below /api/v2 take and answer beyond those of /api/v1/configuration."""

from __future__ import annotations

from rest_framework import serializers as s

from agent.clpconf.objects import KINDS
from builder.api import shapes
from builder.models import WhatIf
from webmanager.api.serializers import Reply

_CHANGES_MOST, _WORDS_MOST, _LONGEST = 1000, 20, 100_000


class DraftSource(s.Serializer):
    """One of `cluster`: what runs there; `version`: a kept one; `conf`: a file."""

    name = s.CharField(required=False, max_length=80)
    cluster = s.CharField(required=False, max_length=255, help_text="What this cluster runs.")
    scripts = s.BooleanField(default=True, help_text="Of what runs: fetch its scripts from a server, too.")
    version = s.IntegerField(required=False, min_value=1, max_value=2**62)
    conf = s.CharField(required=False, help_text="clp.conf, or an archive with its scripts, in base64.")


class DraftStepItem(s.Serializer):
    revision = s.IntegerField(help_text="That it made.")
    by = s.CharField()
    at = s.FloatField(help_text="Seconds since 1970.")
    text = s.CharField()
    undone = s.BooleanField(help_text="Redo does it again.")


class DraftDetail(shapes.DraftItem):
    owner = s.CharField(allow_blank=True)
    undo = s.CharField(allow_blank=True, help_text="What undo takes back; empty: nothing.")
    redo = s.CharField(allow_blank=True)
    present = s.ListField(child=s.CharField(), help_text="Who else has it open now.")
    steps = DraftStepItem(many=True, help_text="The newest 100, newest first.")


class OneDraftReply(Reply):
    draft = DraftDetail()


class NewDraftReply(Reply):
    draft = shapes.DraftItem()
    converted = shapes.FindingItem(many=True, help_text="What was changed since an older version wrote it: undo it.")


class ObjectItem(s.Serializer):
    path = s.CharField()
    kind = s.ChoiceField([*KINDS, "section"])
    name = s.CharField()
    type = s.CharField(allow_blank=True)
    place = s.CharField(allow_blank=True, help_text="Of a search: below the object, where the words stand.")
    text = s.CharField(allow_blank=True, help_text="What stands there.")


class ObjectsReply(Reply):
    objects = ObjectItem(many=True)
    more = s.BooleanField(help_text="There are more than are listed.")


class ValueItem(s.Serializer):
    path = s.CharField(help_text="Whole, as a change names it.")
    label = s.CharField()
    value = s.CharField(allow_blank=True, help_text="As the file has it; a secret is never shown.")
    default = s.CharField(allow_blank=True, help_text="What holds while the file has none.")
    unit = s.CharField(allow_blank=True)
    secret = s.BooleanField()
    required = s.BooleanField()
    choices = s.ListField(child=s.CharField(allow_blank=True))


class ValuesReply(Reply):
    kind = s.CharField()
    name = s.CharField(allow_blank=True)
    type = s.CharField(allow_blank=True)
    values = ValueItem(many=True)


class XmlReply(Reply):
    xml = s.CharField(help_text="The file with a mask in place of each secret.")


class DraftChange(shapes.Change):
    op = s.ChoiceField([*shapes.OPS, "command"])
    words = s.ListField(
        child=s.CharField(allow_blank=True, trim_whitespace=False, max_length=_LONGEST), required=False,
        max_length=_WORDS_MOST, help_text='command: the words of clpcfset: ["add", "srv", "server3", "2"].',
    )  # fmt: skip


class DraftChanges(s.Serializer):
    """All of them or none; one step of undo."""

    revision = s.IntegerField(required=False, help_text="That was read; or send it as If-Match.")
    changes = s.ListField(child=DraftChange(), min_length=1, max_length=_CHANGES_MOST)
    preview = s.BooleanField(default=False, help_text="Only tell what would change; nothing is stored.")


class ReadRevision(s.Serializer):
    revision = s.IntegerField(required=False, help_text="That was read; or send it as If-Match.")


class DraftChangedReply(Reply):
    draft = shapes.DraftItem()
    differences = shapes.DifferenceItem(many=True, help_text="Of a preview: before is now, after what was sent.")


class DraftConflict(s.Serializer):
    """The draft is at another revision than the one that was sent. Nothing was stored."""

    revision = s.IntegerField(help_text="Of the draft now.")
    by = s.CharField(allow_blank=True)
    steps = DraftStepItem(many=True, help_text="What was done since.")
    differences = shapes.DifferenceItem(
        many=True, help_text="before: what the draft says now; after: what was sent. Empty: it says that already."
    )
    why = s.CharField(allow_blank=True, help_text="What was sent cannot be done in the draft as it is now.")


class ConflictReply(Reply):
    conflict = DraftConflict()


class ScriptItem(s.Serializer):
    path = s.CharField(help_text="GROUP/RESOURCE/start.sh and the like.")
    size = s.IntegerField()
    mode = s.CharField(help_text="Octal.")


class ScriptsReply(Reply):
    scripts = ScriptItem(many=True)


class DraftScript(s.Serializer):
    revision = s.IntegerField(required=False, help_text="That was read; or send it as If-Match.")
    path = s.CharField(max_length=1000)
    data = s.CharField(required=False, allow_blank=True, help_text="In base64; left out: it is removed.")
    mode = s.RegexField(r"^0?[0-7]{3}$", default="755", help_text="Octal.")


class PlanReply(Reply):
    possible = s.BooleanField(help_text="false: see `hindrances`.")
    hindrances = s.ListField(child=s.CharField())
    level = s.CharField(allow_blank=True, help_text="nothing, noted, monitor, group, suspend or stop.")
    answer = s.CharField(allow_blank=True, help_text="The plan in a sentence.")
    lines = s.ListField(child=s.CharField())
    count = s.IntegerField(help_text="Of the differences from what runs.")
    warnings = s.IntegerField()
    errors = shapes.FindingItem(many=True)
    scripts = shapes.DifferenceItem(many=True)
    scripts_why = s.CharField(allow_blank=True, help_text="Why scripts could not be compared.")
    asked = s.BooleanField(help_text="The servers were asked whether they have what it needs.")
    live_findings = shapes.FindingItem(many=True)
    live_why = s.CharField(allow_blank=True)


class PlayedItem(s.Serializer):
    id = s.IntegerField()
    revision = s.IntegerField()
    by = s.CharField()
    at = s.FloatField(help_text="Seconds since 1970.")
    state = s.ChoiceField(WhatIf.State.values)
    done = s.IntegerField()
    total = s.IntegerField(help_text="0: it has not begun.")
    error = s.CharField(allow_blank=True)
    result = s.DictField(help_text="before, after: rows (failure, covered, what each group does), splits, proven.")


class PlayedReply(Reply):
    whatif = PlayedItem(allow_null=True, help_text="null: none was played.")


class DraftApply(shapes.Apply):
    revision = s.IntegerField(required=False, help_text="That was read; or send it as If-Match.")
    cluster = s.CharField(required=False, max_length=255, help_text="Of a draft that belongs to none yet.")


class VersionReply(Reply):
    version = shapes.VersionItem()
