"""What /api/v2/clusters/NAME/logs takes and answers."""

from __future__ import annotations

from rest_framework import serializers as s

from agent.wire.logs.conversation import DEFAULT_MIB, KINDS, MOST_MIB
from webmanager.api.serializers import Reply
from webmanager.logs.models import Collection


class LogServerItem(s.Serializer):
    name = s.CharField()
    percent = s.IntegerField(min_value=0, max_value=100)
    error = s.CharField(allow_blank=True, help_text="Why nothing of it is in the archive.")


class CollectionItem(s.Serializer):
    id = s.UUIDField()
    type = s.ChoiceField(KINDS)
    limit_mib = s.IntegerField()
    by = s.CharField(help_text="USER@ADDRESS")
    at = s.FloatField(help_text="Seconds since 1970.")
    ended = s.FloatField(allow_null=True, help_text="Seconds since 1970; null: not yet.")
    state = s.ChoiceField(Collection.State.values)
    percent = s.IntegerField(min_value=0, max_value=100)
    servers = LogServerItem(many=True)
    size = s.IntegerField(help_text="Of the archive, in bytes; 0 while there is none.")
    notes = s.IntegerField(help_text="Lines of its merged timeline.")
    error = s.CharField(allow_blank=True)


class NewCollection(s.Serializer):
    type = s.ChoiceField(KINDS, default=KINDS[0], help_text="type1 is usual, type2 tells more, type3 is the least.")
    servers = s.ListField(
        child=s.CharField(max_length=255), default=list, max_length=1000, help_text="Of these only; empty: of all."
    )
    limit_mib = s.IntegerField(
        min_value=1, max_value=MOST_MIB, default=DEFAULT_MIB, help_text="Most of one server, packed."
    )


class CollectionsReply(Reply):
    logs = CollectionItem(many=True)


class CollectionReply(Reply):
    log = CollectionItem()
