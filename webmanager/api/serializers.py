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


class EventItem(s.Serializer):
    id = s.CharField()
    time = s.FloatField(help_text="Seconds since 1970.")
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
