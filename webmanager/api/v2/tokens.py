"""Tokens for programs: `Authorization: Bearer ...` in place of a password, for /api/v1 and /api/v2."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager.api import tokens
from webmanager.api.serializers import Reply
from webmanager.api.v2 import shapes
from webmanager.api.v2.base import OK, Base, Refused, documented
from webmanager.models import ApiToken


class Tokens(Base):
    @documented(shapes.TokensReply, operation_id="v2_tokens")
    def get(self, request: Request) -> Response:
        """Your tokens, newest first, without their secret."""
        return Response({"tokens": [item(row) for row in tokens.of(user=request.user)], "result": OK})

    @documented(
        {201: OpenApiResponse(shapes.NewTokenReply, "The only reply that holds the token itself."), 422: Reply},
        operation_id="v2_token_create", request=shapes.NewToken,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """A new token. It is shown only now. Password or console only: a token cannot make another one."""
        if isinstance(request.auth, ApiToken):
            raise exceptions.PermissionDenied("A token cannot make tokens: use your password, or the console.")
        try:
            row, token = tokens.make(user=request.user, **self.sent(shapes.NewToken))
        except tokens.TooManyError as error:
            raise Refused(str(error)) from None
        return Response({"token": item(row) | {"secret": token}, "result": OK}, status=201)

    @documented(Reply, operation_id="v2_tokens_revoke")
    def delete(self, request: Request) -> Response:
        """Revokes all of your tokens at once."""
        tokens.revoke_all(user=request.user)
        return Response({"result": OK})


class OneToken(Base):
    @documented(Reply, operation_id="v2_token_revoke")
    def delete(self, request: Request, key: Any) -> Response:
        """Revokes one of your tokens, at once."""
        if not tokens.revoke(user=request.user, key=key):
            raise exceptions.NotFound("You have no such token.")
        return Response({"result": OK})


def item(row: ApiToken) -> dict[str, Any]:
    return {
        "id": str(row.key), "name": row.name, "read_only": row.read_only, "created": row.created.timestamp(),
        "expires": row.expiry.timestamp() if row.expiry else None,
    }  # fmt: skip
