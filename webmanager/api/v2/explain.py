"""Why and what if: a group's place explained, and any events played by the simulator. Nothing is changed by either."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, explain, play, selectors
from webmanager.api.serializers import Reply
from webmanager.api.v2 import shapes
from webmanager.api.v2.base import OK, Busy, ClusterBase, Refused, documented

_GROUP = ("name", "status", "current", "home", "goal", "held", "policy")


class ExplainGroup(ClusterBase):
    @documented(shapes.ExplainReply, operation_id="v2_explain_group")
    def get(self, request: Request, cluster: str, name: str) -> Response:
        """Why this failover group is where it is, which servers it could be on, and where it would go next."""
        of = self.cluster()
        status = access.get_status_or_404(of)
        group = access.get_object_or_404(status, "groups", name)
        asked = {"cluster": of.name, "status": status, "group": name}
        return Response(
            {
                "group": {
                    key: group[key] or "" if key in ("current", "home", "goal") else group[key] for key in _GROUP
                },
                "why": explain.why(cluster=of, group=name),
                "places": async_to_sync(explain.places)(**asked),
                "next": async_to_sync(explain.next_places)(**asked),
                "result": OK,
            }
        )


class WhatIf(ClusterBase):
    @documented({200: shapes.WhatIfReply, 422: Reply, 503: Reply}, operation_id="v2_whatif", request=shapes.WhatIf)
    def post(self, request: Request, cluster: str) -> Response:
        """What would happen if: the real engines in simulated time, in the words of scenarios. Everybody may ask."""
        of = self.cluster()
        sent = self.sent(shapes.WhatIf)
        try:
            told = async_to_sync(_asked)(of.name, access.get_status_or_404(of), sent)
        except play.BusyError as error:
            raise Busy(str(error), 5) from None
        except play.FailedError as error:
            raise Refused(str(error)) from None
        if told.story is None:
            raise Refused(told.error)
        return Response({"story": told.story, "result": OK})


async def _asked(cluster: str, status: dict[str, Any], sent: dict[str, Any]) -> play.Told:
    config = await selectors.config(cluster=cluster)
    if config is None:
        raise exceptions.NotFound("No readable configuration of this cluster is known, so nothing can be played.")
    plays = (tuple(sent["events"]),)
    well = sent["since"] == "well"
    asked = play.Question(cluster=config, plays=plays) if well else explain.question(config, status, plays)
    return (await play.ask(asked))[0]
