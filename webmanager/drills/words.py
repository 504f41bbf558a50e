"""What pages and programs are told of drills, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from webmanager.spoken import shown

KINDS = {
    "crash": gettext_lazy("Crash of a server"),
    "reset": gettext_lazy("Reset of a machine"),
    "hang": gettext_lazy("Hang of a server"),
    "link": gettext_lazy("Cut of heartbeat paths"),
    "monitor": gettext_lazy("Failure of a monitor"),
}
MEANS = {
    "crash": gettext_lazy(
        "The groups are taken down, then the agent falls silent without a word and stays away. It comes back by itself."
    ),
    "reset": gettext_lazy("The kernel resets the machine at once. It is back when it has booted."),
    "hang": gettext_lazy(
        "The agent stands still; what runs on the server goes on. Refused where a group could become active twice."
    ),
    "link": gettext_lazy("The server neither hears nor is heard on the chosen heartbeat paths."),
    "monitor": gettext_lazy("The monitor reports an error that is none. Restart and failover follow, as configured."),
}
_TITLES = {
    "crash": gettext_noop("Crash of %(server)s"),
    "reset": gettext_noop("Reset of %(server)s"),
    "hang": gettext_noop("Hang of %(server)s"),
    "link": gettext_noop("Cut of %(paths)s of %(server)s"),
    "monitor": gettext_noop("Failure of monitor %(monitor)s on %(server)s"),
}
WAYS = {
    "both": gettext_lazy("hears nothing and is not heard"),
    "deaf": gettext_lazy("hears nothing"),
    "mute": gettext_lazy("is not heard"),
}
STATES = {
    "asked": (gettext_lazy("Asked"), "busy"),
    "running": (gettext_lazy("Running"), "busy"),
    "passed": (gettext_lazy("Passed"), "good"),
    "failed": (gettext_lazy("Failed"), "bad"),
    "aborted": (gettext_lazy("Aborted"), "warn"),
    "refused": (gettext_lazy("Refused"), "warn"),
    "skipped": (gettext_lazy("Skipped"), "idle"),
}
STAGES = {
    "begins": gettext_lazy("Begins"),
    "noticed": gettext_lazy("Noticed"),
    "verdict": gettext_lazy("Verdict"),
    "decided": gettext_lazy("Decided"),
    "online": gettext_lazy("Online"),
    "ends": gettext_lazy("Ends"),
}
PARTS = {
    "notice": gettext_lazy("Until it was noticed"),
    "decide": gettext_lazy("Until it was decided"),
    "activate": gettext_lazy("Activation"),
    "deactivate": gettext_lazy("Deactivation"),
    "wait": gettext_lazy("Waiting for another group"),
    "fence": gettext_lazy("Forcing the server off"),
    "between": gettext_lazy("Between two steps"),
}
_SENTENCES = {
    # Of the check.
    "no_status": gettext_noop("Nothing is known of this cluster: no agent has reported."),
    "stale": gettext_noop("What is known of %(server)s is %(age_s).0f s old. Check its agent first."),
    "no_agent": gettext_noop("No agent of this cluster is connected, so nobody could be told to begin, or to end."),
    "other_drill": gettext_noop("Another drill of this cluster is under way."),
    "window": gettext_noop("It is outside of the time in which drills of this cluster may begin."),
    "unknown_server": gettext_noop("There is no server “%(server)s”. Known: %(known)s."),
    "wrong": "%(text)s",
    "said": "%(text)s",
    "busy": gettext_noop("The simulator is busy, so the outcome cannot be predicted now. Try again in a moment."),
    "not_predicted": gettext_noop("The outcome cannot be predicted: %(text)s"),
    "split": gettext_noop("%(group)s would become active on several servers at once (%(servers)s)."),
    "stops": gettext_noop("%(group)s would stay offline: %(why)s"),
    "agents": gettext_noop("The servers refuse: %(text)s"),
    "agents_allow": gettext_noop("The servers agree: %(text)s"),
    "predicted_stays": gettext_noop("By the simulator nothing is interrupted."),
    "predicted": gettext_noop("By the simulator %(group)s is away for %(outage_s).1f s and then on %(to)s."),
    "late": gettext_noop("The manager did not run when it was due. What was missed is not caught up."),
    "unchecked": gettext_noop(
        "The manager ended while it was checked whether it is safe. Nothing failed, and it is not caught up."
    ),
    "no_right": gettext_noop("%(by)s, who has scheduled it, is no administrator of this cluster any more."),
    # Of the verdict.
    "never_began": gettext_noop("It never began: no server has said so. Nothing failed."),
    "given_up": gettext_noop("It was given up before anything failed: %(why)s."),
    "ended_early": gettext_noop("%(by)s ended it before its time, so nothing is judged."),
    "not_back": gettext_noop("%(server)s did not come back."),
    "not_noticed": gettext_noop("Nobody noticed the failure."),
    "stays_down": gettext_noop("%(group)s did not come back."),
    "too_slow": gettext_noop("%(group)s was away for %(outage_s).1f s; its objective is %(objective_s).1f s."),
    "unexpected": gettext_noop(
        "%(group)s was interrupted for %(outage_s).1f s, though it should not have been concerned."
    ),
    "nothing_happened": gettext_noop("%(group)s was to recover, and nothing happened."),
    "in_time": gettext_noop(
        "%(group)s was away for %(outage_s).1f s and is on %(to)s, within its objective of %(objective_s).1f s."
    ),
    "no_objective": gettext_noop(
        "%(group)s was away for %(outage_s).1f s and is on %(to)s. No objective is set for it, so only that it came "
        "back was judged."
    ),
    "nothing_moved": gettext_noop("It was noticed, and no group was interrupted."),
}
_SAID = ("text", "why")  # values in the words of servers or simulator
# A sentence of the check that does not stand in the way.
GOOD = ("agents_allow", "predicted", "predicted_stays")


def sentence(one: Any) -> str:
    """[code, values] in words; what a newer manager has stored is shown as it is."""
    code, values = one
    text = _SENTENCES.get(code)
    try:
        return _(text) % values if text else f"{code} {values}"
    except (KeyError, TypeError, ValueError):
        return f"{code} {values}"


def marked(one: Any) -> SafeString:
    """The same for a page: what servers and simulator said says so where it stays in their language."""
    code, values = one
    text = _SENTENCES.get(code)
    if text is None:
        return format_html("{}", sentence(one))
    try:
        return mark_safe(escape(_(text)) % {key: _safe(key, value) for key, value in values.items()})  # noqa: S308
    except (KeyError, TypeError, ValueError):
        return format_html("{}", sentence(one))


def _safe(key: str, value: Any) -> Any:
    if key in _SAID:
        return shown(value)
    return escape(value) if isinstance(value, str) else value


def title(what: Mapping[str, Any] | Any) -> str:
    fields = what if isinstance(what, Mapping) else vars(what)
    paths = ", ".join(fields["heartbeats"]) or _("all heartbeat paths")
    values = {"server": fields["server"], "monitor": fields["monitor"], "paths": paths}
    return _(_TITLES[fields["kind"]]) % values


def command(server: str, what: Any) -> str:
    """What one would type on a server."""
    more = {
        "link": "".join(f" --heartbeat {name}" for name in what.heartbeats)
        + (f" --way {what.way}" if what.way != "both" else ""),
        "monitor": f" --monitor {what.monitor}",
    }.get(what.kind, "")
    return f"clpdrill start {what.kind} {server}{more} --seconds {what.bound_s:g}"
