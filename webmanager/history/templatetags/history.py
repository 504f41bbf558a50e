"""How marks and times of the time machine are written on its page without JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from webmanager.history.views import KINDS

register = template.Library()


@register.filter
def local_input(seconds: float) -> str:
    """As <input type="datetime-local"> takes it."""
    return timezone.localtime(datetime.fromtimestamp(seconds, UTC)).strftime("%Y-%m-%dT%H:%M:%S")


@register.filter
def mark_word(kind: str) -> SafeString:
    return format_html('<span class="mark-kind" data-mark="{}">{}</span>', kind, KINDS[kind])
