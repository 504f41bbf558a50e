"""Pages about all clusters: /overview/ overview.html (cards, sentences, socket_path), /search/ search.html (q, found,
total)."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from webmanager import access, selectors
from webmanager.overview import search as searching
from webmanager.overview import selectors as own
from webmanager.overview.problems import SENTENCES


@never_cache
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    cards = async_to_sync(own.cards)(roles=roles_of(request))
    context = {
        "cards": cards,
        "sentences_of_problems": {code: _(text) for code, text in SENTENCES.items()},
        "socket_path": "/ws/overview/",
    }
    return render(request, "webmanager/overview.html", context)


@never_cache
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    q = request.GET.get("q", "")[: searching.LONGEST]
    found, total = async_to_sync(searching.search)(clusters=list(roles_of(request)), q=q)
    return render(request, "webmanager/search.html", {"q": q, "found": found, "total": total})


def roles_of(request: Any) -> dict[str, str]:
    """The clusters that may be seen from here, and as what."""
    return {one.name: role for one in selectors.clusters() if (role := access.role_of(request.user, one))}
