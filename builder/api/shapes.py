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
    scripts = s.BooleanField(default=True, help_text="Of what runs: fetch its scripts from a server, too.")
    conf = s.CharField(required=False, help_text="clp.conf, or an archive with its scripts, in base64.")


OPS = (
    "set", "unset", "add_server", "add_group", "add_resource", "add_monitor", "add_heartbeat", "add_partition",
    "add_device", "add_fence", "remove", "rename", "move", "policy", "order",
)  # fmt: skip


class Change(s.Serializer):
    op = s.ChoiceField(OPS)
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


DIFFERENCE_FIELDS = ("path", "change", "kind", "name", "label", "before", "after", "applies")


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


class Apply(s.Serializer):
    revision = s.IntegerField(help_text="Of the draft, as it was looked at.")
    why = s.CharField(max_length=200, help_text="Stands in the log of every server and beside the version.")
    confirm_s = s.IntegerField(
        default=300, min_value=0, max_value=3600,
        help_text="Unless it is confirmed within so many seconds, every server returns. 0: it stays without.",
    )  # fmt: skip
    health = s.BooleanField(default=False, help_text="At the end of that time: confirmed when the cluster is well.")
    anyway = s.CharField(
        required=False, max_length=200, allow_blank=True,
        help_text="Why it is applied though the servers lack something that it needs.",
    )  # fmt: skip


class StepItem(s.Serializer):
    label = s.CharField()
    done = s.BooleanField()


class ChangedServer(s.Serializer):
    name = s.CharField()
    config = s.CharField(allow_blank=True, help_text="The first 16 digits of the SHA-256 of the clp.conf that it runs.")
    reason = s.CharField(allow_blank=True)


class ChangeItem(s.Serializer):
    id = s.CharField(allow_blank=True)
    phase = s.ChoiceField(
        [
            "", "delivering", "running", "stopping", "freezing", "switching", "trying", "confirming", "back", "done",
            "confirmed", "returned", "refused", "failed",
        ]
    )  # fmt: skip
    left_s = s.FloatField(allow_null=True, help_text="To confirm.")
    confirm_s = s.FloatField()
    health = s.BooleanField()
    by = s.CharField(allow_blank=True)
    why = s.CharField(allow_blank=True)
    reason = s.CharField(allow_blank=True, help_text="Of a return or a failure.")
    groups = s.ListField(child=s.CharField(), help_text="They stop and start again.")
    may_confirm = s.BooleanField()
    may_return = s.BooleanField()
    servers = ChangedServer(many=True)


class AppliedItem(s.Serializer):
    id = s.IntegerField()
    name = s.CharField()
    cluster = s.CharField()
    revision = s.IntegerField()
    state = s.ChoiceField(["delivering", "running", "done", "returned", "refused", "failed"])
    by = s.CharField()
    at = s.FloatField(help_text="Seconds since 1970.")
    why = s.CharField()
    text = s.CharField(allow_blank=True, help_text="Why it did not go, as the servers say it.")


class AppliedReply(Reply):
    applied = AppliedItem()
    change = ChangeItem()


class AppliesReply(Reply):
    applies = AppliedItem(many=True)


class ChangeReply(Reply):
    change = ChangeItem()
