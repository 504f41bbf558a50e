"""Mirror disks below /api/v2. What can be asked of them is asked as every operation is (operations.py)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from agent.wire.mirror import COLORS, active_on, size_text, told
from webmanager import access
from webmanager.api.serializers import Reply
from webmanager.api.v2.base import OK, ClusterBase, documented
from webmanager.api.v2.shapes import AnyObject
from webmanager.mirrors import losses
from webmanager.templatetags.console import moment

_STATUSES = ("Normal", "Recovering", "Abnormal", "No Construction")


class MirrorFact(s.Serializer):
    look = s.CharField(help_text="good, note, busy, warn, bad, unknown")
    code = s.CharField(help_text="A stable word for programs.")
    text = s.CharField()
    next = s.CharField(allow_blank=True, help_text="What to do.")


class ForceReport(s.Serializer):
    server = s.CharField(help_text="Whose data would stay.")
    possible = s.BooleanField()
    does = s.CharField(allow_blank=True, help_text="construct, discard, activate, or nothing.")
    lost_bytes = s.IntegerField(allow_null=True, help_text="null: nothing, or nobody knows.")
    text = s.CharField()


class MirrorItem(s.Serializer):
    name = s.CharField()
    group = s.CharField(allow_blank=True)
    device = s.CharField(allow_blank=True)
    status = s.ChoiceField(_STATUSES)
    active_on = s.ListField(child=s.CharField())
    source = s.CharField(allow_blank=True, help_text="The server that copies to the other one now.")
    colors = s.DictField(child=s.ChoiceField(COLORS), help_text="Of each server's side.")
    facts = MirrorFact(many=True)


class MirrorDetail(MirrorItem):
    servers = AnyObject(help_text="Each side's own words; null: it is not heard.")
    force = ForceReport(many=True, help_text="What a forced recovery from each server would do and lose.")


class MirrorsReply(Reply):
    mirrors = MirrorItem(many=True)


class OneMirrorReply(Reply):
    mirror = MirrorDetail()


class Mirrors(ClusterBase):
    @documented(MirrorsReply, operation_id="v2_mirrors")
    def get(self, request: Request, cluster: str) -> Response:
        """The mirror disks of a cluster: colours, activity, what is wrong and what next."""
        found = [_item(one) for one in self.status()["mirrors"].values()]
        return Response({"mirrors": found, "result": OK})


class OneMirror(ClusterBase):
    @documented(OneMirrorReply, operation_id="v2_mirror")
    def get(self, request: Request, cluster: str, name: str) -> Response:
        """One mirror disk with both sides, progress, bitmap, and what a forced recovery would lose."""
        found = access.get_object_or_404(self.status(), "mirrors", name)
        force = [losses.report(found, server) for server in found["servers"]]
        keys = ("server", "possible", "does", "lost_bytes")
        shown = [{**{key: one[key] for key in keys}, "text": " ".join(one["sentences"])} for one in force]
        return Response({"mirror": {**_item(found), "servers": found["servers"], "force": shown}, "result": OK})


def _item(mirror: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: mirror[key] for key in ("name", "group", "device", "status", "source", "colors")},
        "active_on": active_on(mirror["servers"]),
        "facts": [_fact(*one) for one in mirror["facts"]],
    }


def _fact(look: str, code: str, values: dict[str, Any]) -> dict[str, str]:
    """In English, as all of REST."""
    said = {"size": size_text, "when": lambda at: moment(at) or "an unknown time"}
    return {"look": look, "code": code, "text": told(code, values, **said), "next": _next(code, values, said)}


def _next(code: str, values: dict[str, Any], said: dict[str, Any]) -> str:
    try:
        return told(f"{code}_next", values, **said)
    except KeyError:
        return ""
