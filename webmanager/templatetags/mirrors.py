"""What pages bring along for the browser to speak of mirror disks."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext

from webmanager.mirrors.words import SENTENCES

register = template.Library()


@register.simple_tag
def mirror_sentences() -> dict[str, str]:
    """By code, in the language of the page; what a forced recovery does is told by pages of their own."""
    return {code: gettext(text) for code, text in SENTENCES.items() if not code.startswith("force_")}
