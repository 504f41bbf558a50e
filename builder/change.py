"""A change of a cluster's configuration as pages and REST show it: from what the servers say, and from the delivery."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from builder import words
from builder.models import Apply
from webmanager.models import Cluster, Event

EVENTS = range(70, 90)  # of module cp (agent/messages/configuration.py)
_EVENTS_SHOWN = 100
_NEWEST_SHOWN = 20
_UNDER_WAY = "running"
_PHASES = {
    "delivering": gettext_lazy("It is sent to the servers, checked and stored there. Nothing has changed yet."),
    "running": gettext_lazy("The servers are asked to begin."),
    "stopping": gettext_lazy("The groups that the change concerns are being stopped."),
    "freezing": gettext_lazy("Every server is told to decide nothing until the change is through. Services go on."),
    "switching": gettext_lazy(
        "The servers exchange their files and begin anew with them. Services go on. "
        "When one of them is not heard again in time, all return by themselves."
    ),
    "trying": gettext_lazy("All servers run the new configuration, on trial."),
    "confirming": gettext_lazy("It stays; each server makes that durable."),
    "back": gettext_lazy("The servers return to the configuration before."),
    "confirmed": gettext_lazy("It is in force on all servers."),
    "done": gettext_lazy("It is in force on all servers."),
    "returned": gettext_lazy("It was taken back. The servers run the configuration before."),
    "refused": gettext_lazy("The cluster refused it. Nothing was changed."),
    "failed": gettext_lazy("It did not come to a change."),
    "": gettext_lazy("No change of the configuration is under way."),
}
_LOOKS = {"trying": "warn", "back": "warn", "confirmed": "good", "done": "good", "returned": "warn", "refused": "bad",
          "failed": "bad", "": "idle"}  # fmt: skip
_STEPS = {
    "asked": gettext_lazy("asked"),
    "sent": gettext_lazy("being sent"),
    "checked": gettext_lazy("being checked"),
    "stored": gettext_lazy("stored"),
    "exchanging": gettext_lazy("being exchanged"),
    "switched": gettext_lazy("exchanged"),
}


def shown(told: dict[str, Any] | None, row: Apply | None = None) -> dict[str, Any]:
    """`told`: cluster.configuration of the status. Of a row that is about another change the row alone is shown."""
    mine = row is None or (told is not None and told["id"] == str(row.key))
    now = told if told is not None and mine else None
    phase = _phase(now, row)
    live = now is not None and bool(now["phase"])
    base: dict[str, Any] = now if now is not None else _of_row(row)
    return {
        "id": base["id"],
        "phase": phase,
        "words": _PHASES[phase],
        "look": _LOOKS.get(phase, "busy"),
        "live": live or phase in ("delivering", _UNDER_WAY),
        "trial": live and phase == "trying",
        "left_s": now["left_s"] if now is not None and live else None,
        "confirm_s": base["confirm_s"],
        "health": base["health"],
        "by": base["by"],
        "why": base["why"],
        "groups": base["groups"],
        "reason": words.said(row.text) if row is not None and row.text else base["reason"],
        "may_confirm": live and phase == "trying",
        "may_return": live and phase in ("stopping", "freezing", "trying"),
        "may_stop": phase == "delivering",
        "servers": _servers(now, row),
    }


def _phase(now: dict[str, Any] | None, row: Apply | None) -> str:
    if row is not None and (row.ended or row.state == Apply.State.DELIVERING):
        return str(row.state)
    if now is not None and now["phase"]:
        return "back" if now["back"] else str(now["phase"])
    if now is not None and now["state"] in ("confirmed", "returned"):
        return str(now["state"])
    return _UNDER_WAY if row is not None else ""


def _of_row(row: Apply | None) -> dict[str, Any]:
    found: dict[str, Any] = {"id": "", "groups": [], "reason": "", "confirm_s": 0, "health": False, "by": "", "why": ""}
    if row is not None:
        found |= {name: getattr(row, name) for name in ("confirm_s", "health", "by", "why")} | {"id": str(row.key)}
    return found


def _servers(now: dict[str, Any] | None, row: Apply | None) -> list[dict[str, Any]]:
    delivery = row.servers if row is not None else {}
    names = list(dict.fromkeys((*(now["servers"] if now is not None else ()), *delivery)))
    return [_server(name, now, delivery.get(name, {})) for name in names]


def _server(name: str, now: dict[str, Any] | None, delivery: dict[str, Any]) -> dict[str, Any]:
    """Four steps, each done or not; `text` is what it is about while the manager delivers."""
    told = now["servers"].get(name) if now is not None else None
    wanted = (now["origin"] if now["back"] else now["to"]) if now is not None else ""
    runs = told is not None and bool(wanted) and told["config"] == wanted
    began = now is not None and now["phase"] in ("switching", "trying", "confirming")
    stored = delivery.get("step") in ("stored", "exchanging", "switched") or (
        told is not None and told["stored"] == now["to"]
    )  # type: ignore[index]
    return {
        "name": name,
        "text": _delivering(delivery),
        "percent": delivery.get("percent"),
        "config": told["config"] if told is not None else "",
        "steps": [
            {"label": _("Stored"), "done": stored or runs or began},
            {"label": _("Frozen"), "done": runs or bool(told and told["frozen"])},
            {"label": _("Exchanged"), "done": runs},
            {"label": _("Met the others"), "done": runs and not (told and told["frozen"])},
        ],
        "reason": told["reason"] if told is not None else "",
    }


def _delivering(delivery: dict[str, Any]) -> str:
    step = delivery.get("step", "")
    if step == "sent" and "percent" in delivery:
        return _("sent: %(percent)d %%") % {"percent": delivery["percent"]}
    return str(_STEPS[step]) if step in _STEPS else ""


def events(row: Apply) -> list[dict[str, Any]]:
    """What the servers wrote about it, in order."""
    found = _of(row.cluster).filter(id__gt=row.first_event)
    later = Apply.objects.filter(cluster=row.cluster, pk__gt=row.pk).defer("conf", "scripts").order_by("pk").first()
    if later is not None:
        found = found.filter(id__lte=later.first_event)
    return list(found.order_by("time", "note_id").values_list("note", flat=True)[:_EVENTS_SHOWN])


def newest_events(cluster: Cluster) -> list[dict[str, Any]]:
    """Of the newest changes, in order."""
    newest = _of(cluster).order_by("-time", "-note_id").values_list("note", flat=True)[:_NEWEST_SHOWN]
    return list(reversed(newest))


def _of(cluster: Cluster) -> QuerySet[Event]:
    return Event.objects.filter(cluster=cluster, note__module="cp", note__event__in=list(EVENTS))
