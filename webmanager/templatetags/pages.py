"""The console's pages as its navigation shows them: what is now, what was, what to do; those that somebody may open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext, gettext_noop

from webmanager import access

register = template.Library()


class Page(NamedTuple):
    name: str  # of its path
    label: str
    key: str  # after g
    also: tuple[str, ...] = ()  # paths that belong to it
    needs: str = ""  # of what templates are told: may_operate, several, mirrors


GROUPS: tuple[tuple[str, tuple[Page, ...]], ...] = (
    (gettext_noop("Now"), (
        Page("overview", gettext_noop("Overview"), "h", needs="several"),
        Page("dashboard", gettext_noop("Live"), "l"),
        Page("servers", gettext_noop("Servers"), "s", ("server",)),
        Page("groups", gettext_noop("Groups"), "g", ("group", "resource")),
        Page("monitors", gettext_noop("Monitors"), "m", ("monitor",)),
        Page("mirrors", gettext_noop("Mirrors"), "k", ("mirror",), needs="mirrors"),
        Page("heartbeats", gettext_noop("Heartbeats"), "b", ("heartbeat",)),
        Page("partition", gettext_noop("Partition"), "p"),
    )),
    (gettext_noop("Past"), (
        Page("events", gettext_noop("Events"), "e", ("event",)),
        Page("recoveries", gettext_noop("Recoveries"), "r", ("recovery",)),
        Page("history", gettext_noop("Time machine"), "t"),
        Page("availability", gettext_noop("Availability"), "a", ("availability",)),
    )),
    (gettext_noop("Act"), (
        Page("builder", gettext_noop("Configuration"), "c", ("builder",)),
        Page("operations", gettext_noop("Operations"), "o", ("operation",)),
        Page("drills", gettext_noop("Drills"), "d", ("drill", "drill_new")),
        Page("logs", gettext_noop("Logs"), "f", ("log",), needs="may_operate"),
    )),
)  # fmt: skip


_KINDS = {
    "cluster": gettext_noop("Cluster"),
    "server": gettext_noop("Server"),
    "group": gettext_noop("Failover group"),
    "resource": gettext_noop("Resource"),
    "monitor": gettext_noop("Monitor"),
    "heartbeat": gettext_noop("Heartbeat"),
    "resolver": gettext_noop("Partition resolver"),
    "mirror": gettext_noop("Mirror disk"),
    "fence": gettext_noop("Fence device"),
    "request": gettext_noop("Request"),
}


@register.filter
def kind_word(kind: str) -> str:
    """A kind of objects in the language of the page."""
    return gettext(_KINDS[kind]) if kind in _KINDS else kind


@register.simple_tag(takes_context=True)
def pages(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Groups of links; a page of an application that is not installed is left out."""
    match = getattr(context.get("request"), "resolver_match", None)
    here = match.url_name or "" if match else ""
    told = {
        # By the role: a page on which nobody operates, as that of the past, leads on to where one does.
        "may_operate": access.operates(context.get("role") or ""),
        "several": len(context.get("clusters") or ()) > 1,
        "mirrors": context.get("has_mirrors"),
    }
    query = context.get("cluster_query") or ""
    groups = []
    for label, found in GROUPS:
        links = [
            {"href": path + ("" if page.name == "overview" else query), "label": gettext(page.label), "key": page.key,
             "name": page.name, "current": is_current(page, here)}
            for page in found
            if (not page.needs or told[page.needs]) and (path := _path(page.name))
        ]  # fmt: skip
        groups.append({"label": gettext(label), "links": links})
    return [group for group in groups if group["links"]]


def is_current(page: Page, here: str) -> bool:
    """A page of one object, or a step of one, belongs to the page of all."""
    return here == page.name or any(here == one or here.startswith(f"{one}-") for one in page.also)


def _path(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
