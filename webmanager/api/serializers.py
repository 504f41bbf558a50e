"""The shapes of the REST interface, as the original's clients read them."""

from __future__ import annotations

from rest_framework import serializers as s


class Result(s.Serializer):
    code = s.IntegerField(help_text="0: success; else message says why.")
    message = s.CharField(allow_blank=True)


class Reply(s.Serializer):
    result = Result()


class OperationReply(Reply):
    """`result.code`: 0 done, 1 accepted but not done within the limit, 2 refused, 3 failed."""

    operations = s.ListField(child=s.CharField(), help_text="Ids of what was asked, as the console shows them.")


class ClusterItem(s.Serializer):
    name = s.CharField()
    status = s.CharField()


class ClusterReply(Reply):
    cluster = ClusterItem()


class RatioItem(s.Serializer):
    toratio = s.IntegerField()


class RatioReply(Reply):
    cluster = RatioItem()


class UptimeItem(s.Serializer):
    name = s.CharField()
    uptime = s.IntegerField(help_text="Seconds; 0: it is not online.")


class UptimesReply(Reply):
    groups = UptimeItem(many=True)


class ConfigItem(s.Serializer):
    def get_fields(self) -> dict[str, s.Field]:
        # The original's name is none that a class can have.
        return {"last-applied-date": s.DateTimeField()}


class LastAppliedReply(Reply):
    config = ConfigItem()


class ServerItem(s.Serializer):
    name = s.CharField()
    status = s.CharField(required=False)


class ServersReply(Reply):
    servers = ServerItem(many=True)


class NameItem(s.Serializer):
    name = s.CharField()


class GroupItem(s.Serializer):
    name = s.CharField()
    status = s.CharField(required=False)
    current = s.CharField(required=False, help_text='"None" when it runs nowhere.')
    resources = NameItem(many=True, required=False, help_text="With select=resources only.")


class GroupsReply(Reply):
    groups = GroupItem(many=True)


class ResourceItem(s.Serializer):
    name = s.CharField()
    type = s.CharField(required=False)
    status = s.CharField(required=False)
    current = s.CharField(required=False)
    group = s.CharField(required=False)


class ResourcesReply(Reply):
    resources = ResourceItem(many=True)


class MonitorItem(s.Serializer):
    name = s.CharField()
    type = s.CharField(required=False)
    status = s.CharField(required=False)
    servers = ServerItem(many=True, required=False)


class MonitorsReply(Reply):
    monitors = MonitorItem(many=True)


class PartitionItem(s.Serializer):
    case = s.CharField(help_text="whole, votes, ping, fenced, unsafe, both, nobody or unknown.")
    why = s.CharField()
    acting = s.ListField(child=s.CharField(), help_text="Servers that may run groups.")
    idle = s.ListField(child=s.CharField(), help_text="Servers that live but may not.")
    silent = s.ListField(child=s.CharField(), help_text="Servers that are not heard.")
    voters = s.ListField(child=s.CharField(), help_text="Of whom more than half had to agree.")
    present = s.ListField(child=s.CharField())
    needed = s.IntegerField()


class ResolverItem(s.Serializer):
    name = s.CharField()
    type = s.CharField()
    server = s.CharField(help_text="As seen from this server.")
    status = s.CharField()
    since = s.FloatField(help_text="Seconds since 1970; 0: not known.")
    detail = s.CharField(allow_blank=True)


class QuarantineItem(s.Serializer):
    name = s.CharField()
    until = s.FloatField(help_text="Seconds since 1970.")
    times = s.IntegerField()
    window_s = s.FloatField()
    cause = s.CharField(allow_blank=True, help_text="Id of the event that says why.")


class PartitionReply(Reply):
    partition = PartitionItem()
    resolvers = ResolverItem(many=True)
    quarantine = QuarantineItem(many=True)


class FenceItem(s.Serializer):
    name = s.CharField()
    agent = s.CharField(required=False)
    level = s.IntegerField(required=False)
    targets = s.ListField(child=s.CharField(), required=False)
    last_proven = s.FloatField(required=False, help_text="Seconds since 1970; 0: never.")
    last_result = s.CharField(required=False, allow_blank=True, help_text='"" before the first test, ok or failed.')
    detail = s.CharField(required=False, allow_blank=True)


class FencesReply(Reply):
    fences = FenceItem(many=True)


class AcknowledgementItem(s.Serializer):
    by = s.CharField()
    at = s.FloatField(help_text="Seconds since 1970.")
    comment = s.CharField(allow_blank=True)


class EventItem(s.Serializer):
    id = s.CharField()
    time = s.FloatField(help_text="Seconds since 1970, by the manager's clock; causes come before effects.")
    own_time = s.FloatField(required=False, help_text="By the clock of the server that wrote it.")
    server = s.CharField()
    module = s.CharField()
    event = s.IntegerField()
    severity = s.ChoiceField(["info", "warning", "error"])
    kind = s.CharField()
    name = s.CharField(allow_blank=True)
    text = s.CharField()
    params = s.ListField(child=s.CharField())
    rule = s.CharField(allow_blank=True)
    causes = s.ListField(child=s.CharField(), help_text="Ids of the events that caused this one.")
    before = s.CharField(allow_blank=True)
    after = s.CharField(allow_blank=True)
    acknowledged = AcknowledgementItem(
        required=False, allow_null=True, help_text="Who has seen it; null: nobody has said so."
    )


class EventsReply(Reply):
    events = EventItem(many=True)
    next = s.CharField(help_text="Cursor: ask again with after=NEXT.")


class Target(s.Serializer):
    """Body of an operation; every field may be left out."""

    target = s.CharField(required=False, allow_blank=True, max_length=255, help_text="Server name.")


class RequiredTarget(s.Serializer):
    target = s.CharField(max_length=255, help_text="Server name.")


class Nothing(s.Serializer):
    """No body is needed."""
