"""Paths below /api/v2."""

from __future__ import annotations

from django.urls import path

from builder.api.v2 import applying, drafts, editing, versions

_C, _D, _V = "clusters/<str:cluster>", "drafts/<int:key>", "versions/<int:key>"

urlpatterns = [
    path("drafts", drafts.Drafts.as_view(), name="api-v2-drafts"),
    path(_D, drafts.OneDraft.as_view()),
    path(f"{_D}/objects", drafts.Objects.as_view()),
    path(f"{_D}/values", drafts.Values.as_view()),
    path(f"{_D}/xml", drafts.Xml.as_view()),
    path(f"{_D}/file", drafts.File.as_view()),
    path(f"{_D}/findings", drafts.Findings.as_view()),
    path(f"{_D}/diff", drafts.Differences.as_view()),
    path(f"{_D}/plan", drafts.Plan.as_view()),
    path(f"{_D}/whatif", drafts.WhatIf.as_view()),
    path(f"{_D}/whatif/stop", drafts.WhatIfStop.as_view()),
    path(f"{_D}/changes", editing.Changes.as_view()),
    path(f"{_D}/scripts", editing.Scripts.as_view()),
    path(f"{_D}/undo", editing.Undo.as_view()),
    path(f"{_D}/redo", editing.Redo.as_view()),
    path(f"{_D}/versions", versions.Keep.as_view()),
    path(f"{_D}/apply", applying.ApplyDraft.as_view()),
    path("findings", drafts.FileFindings.as_view()),
    path("versions", versions.Versions.as_view()),
    path(_V, versions.OneVersion.as_view()),
    path(f"{_V}/file", versions.File.as_view()),
    path(f"{_V}/restore", versions.Restore.as_view()),
    path(f"{_C}/applies", applying.Applies.as_view()),
    path("applies/<int:key>", applying.OneApply.as_view()),
    path("applies/<int:key>/cancel", applying.Cancel.as_view()),
    path(f"{_C}/change", applying.Current.as_view()),
    path(f"{_C}/change/confirm", applying.Confirm.as_view()),
    path(f"{_C}/change/return", applying.Return.as_view()),
]
