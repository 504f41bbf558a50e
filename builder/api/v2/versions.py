"""Versions of configurations for programs: kept, listed, fetched, and made drafts of again."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from builder import selectors, services
from builder.api import shapes as old
from builder.api.v2 import shapes
from builder.api.v2.base import ETAG, OK, Base, documented, etagged
from builder.api.v2.drafts import CLUSTER, cluster_of, file_of
from builder.api.views import draft_item, version_item
from builder.models import Version


class Versions(Base):
    @documented(old.VersionsReply, CLUSTER, operation_id="v2_versions")
    def get(self, request: Request) -> Response:
        """The kept versions that you may see, newest first."""
        of = cluster_of(request)
        found = [one for one in selectors.versions() if of is None or one.cluster_id == of.pk]
        return Response({"versions": [version_item(one) for one in found], "result": OK})


class OneVersion(Base):
    @documented(shapes.VersionReply, operation_id="v2_version")
    def get(self, request: Request, key: int) -> Response:
        """One version: whose, when, why."""
        return Response({"version": version_item(selectors.get_version_or_404(key)), "result": OK})


class File(Base):
    @documented(old.FileReply, operation_id="v2_version_file")
    def get(self, request: Request, key: int) -> Response:
        """The file with its secrets, and with its scripts: for administrators."""
        version = selectors.get_version_or_404(key)
        self.writer(version.cluster)
        return Response({**file_of(version), "result": OK})


class Restore(Base):
    @documented({201: old.DraftReply}, ETAG, operation_id="v2_version_restore", request=None)
    def post(self, request: Request, key: int) -> Response:
        """A draft of its own, which can be looked at, changed and applied. For administrators."""
        version = selectors.get_version_or_404(key)
        draft = services.restore(version=version, user=self.writer(version.cluster))
        return etagged(draft, {"draft": draft_item(draft)}, 201, {"Location": f"/api/v2/drafts/{draft.pk}"})


class Keep(Base):
    @documented({201: shapes.VersionReply}, operation_id="v2_version_keep", request=old.Why)
    def post(self, request: Request, key: int) -> Response:
        """Keeps a draft as a version. For administrators."""
        user, draft = self.draft_to_write(key)
        version = services.keep_version(
            bundle=draft.bundle, name=draft.name, cluster=draft.cluster, by=user.get_username(),
            why=self.sent(old.Why)["why"], origin=Version.Origin.DRAFT,
        )  # fmt: skip
        headers = {"Location": f"/api/v2/versions/{version.pk}"}
        return Response({"version": version_item(version), "result": OK}, status=201, headers=headers)
