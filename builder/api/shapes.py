"""What the REST interface of the Builder takes and answers."""

from __future__ import annotations

from rest_framework import serializers as s

from webmanager.api.serializers import Reply


class DraftItem(s.Serializer):
    id = s.IntegerField()
    name = s.CharField()
    cluster = s.CharField(allow_blank=True)
    revision = s.IntegerField(help_text="Every change names the revision that it was made on.")
    changed = s.FloatField(help_text="Seconds since 1970.")
    changed_by = s.CharField(allow_blank=True)


class DraftsReply(Reply):
    drafts = DraftItem(many=True)


class DraftReply(Reply):
    draft = DraftItem()


class NewDraft(s.Serializer):
    """From what runs (no `conf`), from a kept version, or from a file."""

    name = s.CharField(required=False, max_length=80)
    version = s.IntegerField(required=False)
    conf = s.CharField(required=False, help_text="clp.conf, or an archive with its scripts, in base64.")


class Change(s.Serializer):
    op = s.ChoiceField(
        [
            "set", "unset", "add_server", "add_group", "add_resource", "add_monitor", "add_heartbeat", "add_partition",
            "add_device", "add_fence", "remove", "rename", "move", "policy", "order",
        ]
    )  # fmt: skip
    path = s.CharField(required=False, help_text="set, unset, remove, rename: /root/resource/fip@fip1/parameters/ip.")
    value = s.CharField(required=False, allow_blank=True, trim_whitespace=False, help_text="set: as the file has it.")
    name = s.CharField(required=False, help_text="Of what is added; the new name; the resource that moves; a group.")
    type = s.CharField(
        required=False, help_text="Of what is added; a fence agent; order: server, heartbeat, partition."
    )
    group = s.CharField(required=False, help_text="add_resource, move: the group.")
    server = s.CharField(required=False, help_text="add_device: the server.")
    device = s.IntegerField(required=False, help_text="add_heartbeat, add_partition, add_device: its number.")
    names = s.ListField(child=s.CharField(), required=False, help_text="policy, order: from the first on.")


class Changes(s.Serializer):
    """All of them or none; one step of undo."""

    revision = s.IntegerField()
    changes = Change(many=True, allow_empty=False)


class AtRevision(s.Serializer):
    revision = s.IntegerField()


class Why(s.Serializer):
    why = s.CharField(max_length=200, help_text="Why it is kept.")


class File(s.Serializer):
    conf = s.CharField(help_text="clp.conf, or an archive with its scripts, in base64.")


class FindingItem(s.Serializer):
    code = s.CharField()
    severity = s.ChoiceField(["error", "warning", "note"])
    path = s.CharField(allow_blank=True)
    line = s.IntegerField(help_text="0: not known.")
    column = s.IntegerField()
    text = s.CharField()
    remedy = s.CharField(allow_blank=True)


class ValidationReply(Reply):
    findings = FindingItem(many=True)


class DifferenceItem(s.Serializer):
    path = s.CharField()
    change = s.ChoiceField(["added", "removed", "changed", "renamed", "moved"])
    kind = s.CharField()
    name = s.CharField(allow_blank=True)
    label = s.CharField(allow_blank=True, help_text='"": about the whole object.')
    before = s.CharField(allow_blank=True, help_text="A secret is never shown.")
    after = s.CharField(allow_blank=True)
    applies = s.ChoiceField(["noted", "monitor", "group", "suspend", "stop"])


class DiffReply(Reply):
    differences = DifferenceItem(many=True)


class VersionItem(s.Serializer):
    id = s.IntegerField()
    name = s.CharField()
    cluster = s.CharField(allow_blank=True)
    hash = s.CharField()
    by = s.CharField(allow_blank=True)
    at = s.FloatField(help_text="Seconds since 1970.")
    why = s.CharField(allow_blank=True)
    origin = s.ChoiceField(["agent", "upload", "draft", "apply"])


class VersionsReply(Reply):
    versions = VersionItem(many=True)


class FileReply(Reply):
    conf = s.CharField(help_text="clp.conf with its secrets, in base64.")
    archive = s.CharField(help_text="The same with its scripts as tar.gz, in base64.")
