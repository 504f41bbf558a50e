"""What is said of recoveries, in the language of the reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.utils.translation import ngettext as plural

from webmanager.templatetags.console import span

KINDS = {
    "failover": gettext_lazy("Failover"),
    "restart": gettext_lazy("Restart"),
    "move": gettext_lazy("Move"),
    "failback": gettext_lazy("Failback"),
    "start": gettext_lazy("Start"),
    "stop": gettext_lazy("Stop"),
}
RESULTS = {
    "running": gettext_lazy("Running"),
    "online": gettext_lazy("Online"),
    "partly": gettext_lazy("Partly online"),
    "stopped": gettext_lazy("Stopped"),
    "failed": gettext_lazy("Failed"),
}
LOOKS = {"running": "busy", "online": "good", "partly": "warn", "stopped": "idle", "failed": "bad"}
_TRIGGERS = {
    "server": gettext_lazy("Server %(subject)s was lost"),
    "monitor": gettext_lazy("Monitor %(subject)s found an error"),
    "resource": gettext_lazy("%(subject)s could not be started"),
    "operator": gettext_lazy("Asked for by %(subject)s"),
    "partition": gettext_lazy("%(subject)s was cut off from the others"),
    "double": gettext_lazy("It was active on several servers"),
    "returned": gettext_lazy("Its home server %(subject)s was back"),
    "startup": gettext_lazy("The cluster started"),
    "other": gettext_lazy("Its log tells why"),
}
PARTS = {
    "notice": gettext_lazy("Until it was noticed"),
    "decide": gettext_lazy("Until it was decided"),
    "between": gettext_lazy("Between the steps"),
    "activate": gettext_lazy("Activate %(name)s"),
    "deactivate": gettext_lazy("Deactivate %(name)s"),
    "wait": gettext_lazy("Wait for other groups"),
    "fence": gettext_lazy("Force %(server)s off with %(name)s"),
}
_STEP_RESULTS = {
    "ok": gettext_lazy("Done"),
    "failed": gettext_lazy("Failed"),
    "running": gettext_lazy("Running"),
    "cut": gettext_lazy("Did not end"),
}
STEP_LOOKS = {"ok": "good", "failed": "bad", "running": "busy", "cut": "warn"}
PERIODS = {
    "24h": gettext_lazy("24 hours"),
    "7d": gettext_lazy("7 days"),
    "30d": gettext_lazy("30 days"),
    "365d": gettext_lazy("365 days"),
}
STATES = {
    "up": gettext_lazy("available"),
    "planned": gettext_lazy("planned outage"),
    "unplanned": gettext_lazy("unplanned outage"),
    "unknown": gettext_lazy("not known"),
}
_SHARE = 0.2  # What is less of the whole is not worth a word.
_SHORT_S = 0.05


def trigger(word: str, subject: str) -> str:
    return str(_TRIGGERS.get(word, _TRIGGERS["other"])) % {"subject": subject}


def part(one: Mapping[str, Any]) -> str:
    return str(PARTS.get(one["kind"], PARTS["between"])) % {"name": one["name"], "server": one["server"]}


def step_result(word: str) -> str:
    return str(_STEP_RESULTS.get(word, ""))


def duration(seconds: float | None) -> str:
    """As exactly as it matters."""
    if seconds is None:
        return "—"
    if seconds < 0.9995:
        return _("%(n)s ms") % {"n": "<1" if 0 < seconds < 0.0005 else max(0, round(seconds * 1000))}
    if seconds < 99.5:
        return _("%(n)s s") % {"n": f"{seconds:.2f}" if seconds < 9.995 else f"{seconds:.1f}"}
    if seconds < 86400:
        return span(seconds)
    hours = round(seconds / 3600)
    return _("%(d)s d %(h)s h") % {"d": hours // 24, "h": hours % 24}


def tick(seconds: float) -> str:
    """A round number of an axis."""
    if 0.0 < seconds < 1.0:
        return _("%(n)s ms") % {"n": f"{seconds * 1000:g}"}
    return _("%(n)s s") % {"n": f"{seconds:g}"} if seconds < 100 else duration(seconds)


def percent(value: float | None) -> str:
    """Never rounded up to 100: a hundred is said of what was never down."""
    if value is None:
        return "—"
    if value >= 100.0:
        return "100 %"
    for digits in (2, 3, 4, 5):
        text = f"{value:.{digits}f}"
        if not text.startswith("100"):
            return f"{text} %"
    return "99.99999 %"


def advice(parts: list[dict[str, Any]], data: Mapping[str, Any], trigger_: str) -> list[str]:
    """What cost the time, only as far as it was measured; the most costly first."""
    whole = sum(one["ended"] - one["begun"] for one in parts)
    if whole <= _SHORT_S:
        return []
    costs: list[tuple[float, str]] = []
    for one in parts:
        lasted = one["ended"] - one["begun"]
        if lasted >= _SHORT_S and lasted >= _SHARE * whole and (text := _cost(one, data, trigger_, lasted, whole)):
            costs.append((lasted, text))
    between = sum(one["ended"] - one["begun"] for one in parts if one["kind"] in ("between", "decide"))
    if between >= _SHORT_S and between >= _SHARE * whole:
        text = _("%(lasted)s of %(whole)s passed before and between the steps: nothing was started or stopped then.")
        costs.append((between, text % {"lasted": duration(between), "whole": duration(whole)}))
    said = [text for _lasted, text in sorted(costs, key=lambda cost: -cost[0])]
    return [*said, *_in_vain(data)]


def _cost(one: Mapping[str, Any], data: Mapping[str, Any], trigger_: str, lasted: float, whole: float) -> str:
    names = {
        "name": one["name"], "server": one["server"], "lasted": duration(lasted), "whole": duration(whole),
        "timeout": duration(data.get("timeout_s")),
    }  # fmt: skip
    if one["kind"] == "notice" and trigger_ == "server" and data.get("timeout_s"):
        return (
            _(
                "%(lasted)s of %(whole)s were spent on noticing the loss. The heartbeat timeout is %(timeout)s; the "
                "measured silences say how short it may be (heartbeat margins)."
            )
            % names
        )
    if one["kind"] == "activate":
        text = _("The activation of %(name)s on %(server)s took %(lasted)s of %(whole)s.") % names
    elif one["kind"] == "deactivate":
        text = _("The deactivation of %(name)s on %(server)s took %(lasted)s of %(whole)s.") % names
    elif one["kind"] == "wait":
        return (
            _("%(lasted)s of %(whole)s were spent waiting for other groups, as the start and stop order demands.")
            % names
        )
    elif one["kind"] == "fence":
        return _("Forcing %(server)s off with %(name)s took %(lasted)s of %(whole)s.") % names
    else:
        return ""
    if one.get("tries", 1) > 1:
        text += " " + plural("It was tried %(n)s time.", "It was tried %(n)s times.", one["tries"]) % {
            "n": one["tries"]
        }
    return text


def _in_vain(data: Mapping[str, Any]) -> list[str]:
    servers = list(
        dict.fromkeys(s["server"] for s in data.get("steps", ()) if (s["kind"], s["result"]) == ("activate", "failed"))
    )
    if not servers:
        return []
    text = _("The start failed on %(servers)s before: the log below says why.")
    return [text % {"servers": ", ".join(servers)}]
