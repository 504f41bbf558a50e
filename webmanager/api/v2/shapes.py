"""What /api/v2 takes and answers."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers as s

from webmanager import words
from webmanager.api.serializers import EventItem, Reply
from webmanager.models import Operation

LINES_MOST, LINE_LONGEST = 50, 300


@extend_schema_field(OpenApiTypes.OBJECT)
class AnyObject(s.JSONField):
    pass


class LinkMap(s.DictField):
    child = s.CharField()


class RootReply(Reply):
    version = s.CharField()
    links = LinkMap(help_text="What there is: name, path.")


class ProblemItem(s.Serializer):
    look = s.ChoiceField(["bad", "unknown", "warn", "busy", "note"])
    code = s.CharField(help_text="A stable word for programs.")
    kind = s.CharField()
    name = s.CharField(allow_blank=True)
    text = s.CharField()
    since = s.FloatField(help_text="Seconds since 1970; 0: not known.")


class OpenItem(s.Serializer):
    error = s.IntegerField()
    warning = s.IntegerField()


class ClusterCard(s.Serializer):
    name = s.CharField()
    comment = s.CharField(allow_blank=True)
    status = s.CharField(help_text='"Unknown" while no agent has reported.')
    worst = s.ChoiceField(["bad", "unknown", "warn", "good"], help_text="In which order the console shows them.")
    problems = ProblemItem(many=True, help_text="What is wrong, the worst ones.")
    servers = s.IntegerField()
    servers_online = s.IntegerField()
    groups = s.IntegerField()
    groups_online = s.IntegerField()
    agents = s.IntegerField(help_text="Connected now; 0: what is shown is old.")
    age_s = s.FloatField(allow_null=True, help_text="Of the freshest word of any server; null: there is none.")
    unacknowledged = OpenItem(help_text="Events that nobody has acknowledged.")
    role = s.ChoiceField(["administrator", "operator", "viewer"], help_text="Yours, from here.")
    links = LinkMap()


class ClustersReply(Reply):
    clusters = ClusterCard(many=True)


class ClusterCardReply(Reply):
    cluster = ClusterCard()


class StatusReply(Reply):
    status = AnyObject(
        help_text="cluster, servers, groups, resources, monitors, fences, mirrors: all that the console shows."
    )


class OperationItem(s.Serializer):
    id = s.UUIDField()
    op = s.CharField()
    target = s.CharField(allow_blank=True)
    server = s.CharField(allow_blank=True)
    title = s.CharField()
    by = s.CharField(help_text="USER@ADDRESS")
    why = s.CharField(allow_blank=True, help_text="In the words of who asked.")
    at = s.FloatField(help_text="Seconds since 1970.")
    ended = s.FloatField(allow_null=True, help_text="Seconds since 1970; null: not yet.")
    state = s.ChoiceField(Operation.State.values)
    progress = s.ListField(child=s.CharField())
    reason = s.CharField(allow_blank=True, help_text="A stable word for programs.")
    text = s.CharField(allow_blank=True)


class OneOperationReply(Reply):
    operation = OperationItem()


class OperationsReply(Reply):
    operations = OperationItem(many=True)
    next = s.CharField(allow_blank=True, help_text="Ask again with before=NEXT for older ones; empty: there are none.")


def one_line(text: str) -> None:
    if not text.isprintable():
        raise s.ValidationError("This is one line of printable text.")


class NewOperation(s.Serializer):
    op = s.ChoiceField(words.OPS)
    target = s.CharField(
        required=False, allow_blank=True, max_length=255, default="",
        help_text="Group, server, monitor, mirror disk or fence device; operations of the cluster have none.",
    )  # fmt: skip
    server = s.CharField(
        required=False, allow_blank=True, max_length=255, default="",
        help_text=f"Where; only of {', '.join(words.WITH_SERVER)}.",
    )  # fmt: skip

    why = s.CharField(
        required=False, allow_blank=True, max_length=200, default="", validators=[one_line],
        help_text="Why it is asked: one line for the logs of the servers and the audit.",
    )  # fmt: skip


class CancelReply(OneOperationReply):
    cancelled = s.BooleanField(help_text="false: nothing was cancelled, and `text` says why.")
    text = s.CharField()


class NoteItem(EventItem):
    depth = s.IntegerField(help_text="0: the decision itself; 1: its causes; 2: their causes ...")


class PlaceItem(s.Serializer):
    server = s.CharField()
    server_status = s.CharField()
    status = s.CharField(help_text="Of the group there.")
    detail = s.CharField(allow_blank=True)
    quarantine = s.BooleanField(help_text="It was lost too often and takes nothing by itself.")
    failed = s.BooleanField(help_text="The group has failed there: tried last, no failback to it.")


class FateItem(s.Serializer):
    group = s.CharField()
    before = s.CharField(allow_blank=True)
    after = s.ListField(child=s.CharField(), help_text="Servers on which it runs at the end.")
    outcome = s.ChoiceField(["stays", "restarts", "moves", "stops", "starts", "split"])
    outage_s = s.FloatField(allow_null=True, help_text="null: it does not come back.")
    why = s.CharField(allow_blank=True)
    rule = s.CharField(allow_blank=True)
    because = s.ListField(child=s.CharField())


class NextItem(s.Serializer):
    event = s.CharField(help_text="What is supposed to happen, in the words of what-if.")
    fate = FateItem(allow_null=True)
    error = s.CharField(allow_blank=True, help_text="Why the simulator cannot tell.")


class ExplainedGroup(s.Serializer):
    name = s.CharField()
    status = s.CharField()
    current = s.CharField(allow_blank=True)
    home = s.CharField(allow_blank=True)
    goal = s.CharField(allow_blank=True, help_text="Where the coordinator wants it.")
    held = s.BooleanField(help_text="An operator has stopped it: nothing starts it by itself.")
    policy = s.ListField(child=s.CharField())


class ExplainReply(Reply):
    group = ExplainedGroup()
    why = NoteItem(many=True, help_text="The newest decision about it and what it follows from; empty: none is known.")
    places = PlaceItem(many=True, help_text="In the order of its policy.")
    next = NextItem(many=True)


class StepItem(s.Serializer):
    at_s = s.FloatField(help_text="After the first event; a script takes a tenth of a second in the model.")
    server = s.CharField(allow_blank=True)
    kind = s.CharField()
    name = s.CharField(allow_blank=True)
    text = s.CharField()
    rule = s.CharField(allow_blank=True)


class DoubleItem(s.Serializer):
    group = s.CharField()
    servers = s.ListField(child=s.CharField())
    at_s = s.FloatField()
    for_s = s.FloatField(allow_null=True)


class StoryItem(s.Serializer):
    events = s.ListField(child=s.CharField())
    fates = FateItem(many=True, help_text="Of the groups that are not left as they are.")
    steps = StepItem(many=True)
    doubles = DoubleItem(many=True, help_text="Groups that ran on several servers at once.")
    lasted_s = s.FloatField()
    at_rest = s.BooleanField(help_text="false: something still went on at the limit.")


class WhatIf(s.Serializer):
    events = s.ListField(
        child=s.CharField(max_length=LINE_LONGEST, validators=[one_line]), min_length=1, max_length=LINES_MOST,
        help_text='One step each: "crash server1", "at 20 power_on server1", "ask server2 group_move failover1" ...',
    )  # fmt: skip
    since = s.ChoiceField(
        ["now", "well"], default="now", help_text="From how the cluster is, or from how it is when all is well."
    )


class WhatIfReply(Reply):
    story = StoryItem()


class AuditItem(s.Serializer):
    number = s.IntegerField()
    at = s.DateTimeField()
    who = s.CharField(allow_blank=True)
    address = s.CharField(allow_blank=True)
    action = s.CharField()
    target = s.CharField(allow_blank=True)
    cluster = s.CharField(allow_blank=True)
    result = s.CharField()
    detail = AnyObject()
    before = s.CharField(help_text="The hash of the row before.")
    hash = s.CharField()


class AuditReply(Reply):
    audit = AuditItem(many=True)
    next = s.IntegerField(help_text="Ask again with after=NEXT.")


class NewToken(s.Serializer):
    name = s.CharField(max_length=80, help_text="What it is for.")
    days = s.IntegerField(
        min_value=1,
        max_value=settings.TOKEN_DAYS_MOST,
        default=settings.TOKEN_DAYS,
        help_text="Then it ends by itself.",
    )
    read_only = s.BooleanField(default=False, help_text="It can be used for GET only.")


class TokenItem(s.Serializer):
    id = s.UUIDField()
    name = s.CharField()
    read_only = s.BooleanField()
    created = s.FloatField(help_text="Seconds since 1970.")
    expires = s.FloatField(allow_null=True, help_text="Seconds since 1970.")


class TokensReply(Reply):
    tokens = TokenItem(many=True)


class MadeToken(TokenItem):
    secret = s.CharField(help_text="Send it as Authorization: Bearer SECRET.")


class NewTokenReply(Reply):
    token = MadeToken()
