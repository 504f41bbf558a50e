"""Paths of the Builder."""

from __future__ import annotations

from django.urls import path

from builder.views import applying, checks, drafts, objects, texts, whatif, wizard

_D = "drafts/<int:key>/"
urlpatterns = [
    path("", drafts.listing, name="builder"),
    path("new", drafts.create, name="builder-create"),
    path("wizard/", wizard.show, name="builder-wizard"),
    path("compare/", checks.compare, name="builder-compare"),
    path("versions/<int:key>/download", drafts.download_version, name="builder-version-download"),
    path("versions/<int:key>/restore", drafts.restore, name="builder-restore"),
    path("change", applying.current, name="builder-change"),
    path("change/decide", applying.decide, name="builder-decide"),
    path("applied/<int:key>", applying.applied, name="builder-applied"),
    path(f"{_D}apply", applying.apply, name="builder-apply"),
    path(_D, objects.show, name="builder-draft"),
    path(f"{_D}save", objects.save, name="builder-save"),
    path(f"{_D}add", objects.add, name="builder-add"),
    path(f"{_D}remove", objects.remove, name="builder-remove"),
    path(f"{_D}rename", objects.rename, name="builder-rename"),
    path(f"{_D}move", objects.move, name="builder-move"),
    path(f"{_D}policy", objects.policy, name="builder-policy"),
    path(f"{_D}order", objects.order, name="builder-order"),
    path(f"{_D}device", objects.device, name="builder-device"),
    path(f"{_D}override", objects.override, name="builder-override"),
    path(f"{_D}undo", objects.undo, name="builder-undo"),
    path(f"{_D}redo", objects.redo, name="builder-redo"),
    path(f"{_D}presence", objects.presence, name="builder-presence"),
    path(f"{_D}search", objects.search, name="builder-search"),
    path(f"{_D}findings", checks.findings, name="builder-findings"),
    path(f"{_D}plan", checks.plan_page, name="builder-plan"),
    path(f"{_D}whatif", whatif.show, name="builder-whatif"),
    path(f"{_D}whatif/start", whatif.start, name="builder-whatif-start"),
    path(f"{_D}history", checks.history, name="builder-history"),
    path(f"{_D}xml", texts.xml, name="builder-xml"),
    path(f"{_D}scripts", texts.scripts, name="builder-scripts"),
    path(f"{_D}script", texts.script, name="builder-script"),
    path(f"{_D}download", drafts.download, name="builder-download"),
    path(f"{_D}keep", drafts.keep, name="builder-keep"),
    path(f"{_D}delete", drafts.delete, name="builder-delete"),
]
