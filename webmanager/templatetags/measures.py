"""Lengths, shares and links on the pages of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.urls import reverse
from django.utils.translation import gettext

from webmanager.measures import words

register = template.Library()
_PAGES = {"server", "group", "resource", "monitor", "heartbeat"}


@register.filter
def ms(value: float | None) -> str:
    """A length in ms as people say it."""
    return words.length(value)


@register.filter
def why(rule: str) -> str:
    return words.of_answers(rule)


@register.filter
def state_word(state: str) -> str:
    return gettext(state)


@register.filter
def looks(percent: int) -> str:
    """Of a share of a timeout."""
    return "bad" if percent >= 80 else "warn" if percent >= 50 else "good"


@register.simple_tag
def object_url(kind: str, name: str) -> str:
    return reverse(kind, args=(name,)) if kind in _PAGES else ""


@register.simple_tag(takes_context=True)
def turned(context: Mapping[str, Any], **changes: Any) -> str:
    """The query of this page with some values changed; empty ones are left out."""
    query = context["request"].GET.copy()
    for key, value in changes.items():
        query.pop(key, None)
        if value not in ("", None):
            query[key] = value
    return f"?{query.urlencode()}"
