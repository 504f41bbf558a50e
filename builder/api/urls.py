"""Paths below /api/v1/configuration."""

from __future__ import annotations

from django.urls import path

from builder.api import applying, views

urlpatterns = [
    path("drafts", views.Drafts.as_view(), name="api-drafts"),
    path("drafts/<int:key>", views.OneDraft.as_view()),
    path("drafts/<int:key>/changes", views.DraftChanges.as_view()),
    path("drafts/<int:key>/undo", views.Undo.as_view()),
    path("drafts/<int:key>/redo", views.Redo.as_view()),
    path("drafts/<int:key>/file", views.DraftFile.as_view()),
    path("drafts/<int:key>/validation", views.DraftValidation.as_view()),
    path("drafts/<int:key>/versions", views.KeepVersion.as_view()),
    path("drafts/<int:key>/apply", applying.ApplyDraft.as_view()),
    path("applies", applying.Applies.as_view()),
    path("applies/<int:key>", applying.Applied.as_view()),
    path("change", applying.Current.as_view()),
    path("change/confirm", applying.Confirm.as_view()),
    path("change/return", applying.Return.as_view()),
    path("validation", views.Validation.as_view()),
    path("diff", views.Diff.as_view()),
    path("versions", views.Versions.as_view()),
]
