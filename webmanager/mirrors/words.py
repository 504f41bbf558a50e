"""What pages and programs are told of mirror disks, in the reader's language.

The sentences are those of agent/wire/mirror.py, which the commands print; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from agent.wire import mirror
from webmanager.templatetags.console import moment

SENTENCES = {
    "nothing_known": gettext_noop("No server says anything of %(name)s."),
    "nothing_known_next": gettext_noop("Look whether the agents run (clpstat)."),
    "both_active": gettext_noop("%(name)s is active on both servers at the same time."),
    "both_active_next": gettext_noop("Stop its group on one of them now: what each one writes, the other one lacks."),
    "error": gettext_noop("%(server)s: %(text)s"),
    "not_constructed": gettext_noop("%(name)s has no data yet: neither server was chosen as the first truth."),
    "not_constructed_next": gettext_noop(
        "Start its group once, or force the recovery from the server whose disk shall be copied."
    ),
    "diverged": gettext_noop(
        "Both servers have written to %(name)s without the other one: each has what the other one lacks."
    ),
    "diverged_next": gettext_noop(
        "Compare what each would lose, then force the recovery from the server that you want to keep."
    ),
    "unrelated": gettext_noop("The two disks of %(name)s have no common past."),
    "unrelated_next": gettext_noop(
        "Force the recovery from the server whose data you want to keep; the other disk is overwritten."
    ),
    "stalled": gettext_noop("Writes wait on %(server)s: nobody has said yet that it may go on without %(peer)s."),
    "stalled_next": gettext_noop("Look at %(peer)s and at the mirror connect. Writes go on when either answers."),
    "copying": gettext_noop("%(source)s copies to %(target)s what differs: %(left_bytes)s to go."),
    "isolated": gettext_noop("%(server)s stays apart because an operator wished so; %(left_bytes)s differ."),
    "isolated_equal": gettext_noop("%(server)s stays apart because an operator wished so; nothing differs so far."),
    "isolated_unknown": gettext_noop(
        "%(server)s stays apart because an operator wished so; how much differs nobody says."
    ),
    "isolated_unknown_next": gettext_noop("Let it join again when the work is done: only what differs is copied."),
    "isolated_equal_next": gettext_noop("Let it join again when the work is done: only what differs is copied."),
    "isolated_next": gettext_noop("Let it join again when the work is done: only what differs is copied."),
    "behind": gettext_noop(
        "%(peer)s is behind %(server)s by %(count)s writes (%(left_bytes)s, the oldest %(age)s s old): "
        "asynchronous mode."
    ),
    "asynchronous": gettext_noop(
        "%(peer)s has everything; it gets writes after they are acknowledged (asynchronous mode)."
    ),
    "lacks": gettext_noop(
        "%(server)s has taken over from %(peer)s without its newest writes (asynchronous mode): what %(peer)s "
        "acknowledged after %(since_at)s may be missing."
    ),
    "lacks_next": gettext_noop(
        "Compare with what the applications know. When %(peer)s comes back, those writes are overwritten there: "
        "to read them first, isolate it (clpmdctrl --break %(name)s)."
    ),
    "separated": gettext_noop("%(server)s is separated for a backup since %(since_at)s; %(left_bytes)s differ so far."),
    "separated_next": gettext_noop(
        "When the copy is made, end it (clpbackup --post -h %(server)s): only what differs is copied. Until then "
        "nothing takes over without losing that."
    ),
    "restoring": gettext_noop(
        "A backup is being restored to %(server)s since %(since_at)s; this side is not used meanwhile."
    ),
    "restoring_next": gettext_noop(
        "When it is written, say so (clprestore --post -h %(server)s): then it is the truth, and is copied to the "
        "other server."
    ),
    "alone": gettext_noop("%(server)s goes on alone since %(since_at)s; %(peer)s lacks %(left_bytes)s."),
    "alone_equal": gettext_noop(
        "%(server)s goes on alone since %(since_at)s; so far it has written nothing that %(peer)s lacks."
    ),
    "alone_equal_next": gettext_noop("Mend %(peer)s or the mirror connect: the copy then begins by itself."),
    "alone_next": gettext_noop("Mend %(peer)s or the mirror connect: the copy then begins by itself."),
    "doubt": gettext_noop("%(name)s can be activated nowhere. %(text)s"),
    "doubt_next": gettext_noop(
        "Start the other server. If it is lost for good, force the recovery from the one that is left."
    ),
    "unheard": gettext_noop("Nothing is heard of the disk of %(server)s."),
    "unheard_next": gettext_noop("Start %(server)s, or look at its agent; until then %(name)s has no second copy."),
    "apart": gettext_noop("The two servers of %(name)s are not connected."),
    "apart_next": gettext_noop(
        "Look at the mirror connect and at the mirror process of each server (clpmdstat --connect %(name)s)."
    ),
    "differs": gettext_noop("The comparison found differences: %(left_bytes)s."),
    "differs_next": gettext_noop(
        "Compare again and copy what differs (clpmdctrl --verify --repair %(name)s), then find out which disk or "
        "controller has changed data by itself."
    ),
    "equal": gettext_noop("Both servers have the same data."),
    "same_generation": gettext_noop("Both servers have the same generation of the data."),
    "ahead": gettext_noop("%(server)s is ahead: since both had the same it has gone on alone (%(count)s×)."),
    "parted": gettext_noop(
        "Since both had the same, each has gone on alone: %(server)s %(count)s×, %(peer)s %(others)s×."
    ),
    "no_common": gettext_noop("No generation of the one is known to the other: the disks have no common past."),
    "force_construct": gettext_noop(
        "The whole disk of %(source)s is copied to %(target)s; what is on %(target)s is overwritten."
    ),
    "force_discard": gettext_noop("%(target)s gives up what it has alone and gets the data of %(source)s."),
    "force_activate": gettext_noop(
        "%(source)s takes its own data for the newest, although it cannot know that. What %(target)s has written "
        "since is lost when it comes back and is overwritten."
    ),
    "force_loses": gettext_noop("Lost for good: %(lost_bytes)s that only %(target)s has, written since %(since_at)s."),
    "force_loses_some": gettext_noop("Lost for good: %(lost_bytes)s that only %(target)s has."),
    "force_loses_nothing": gettext_noop("%(target)s has nothing that %(source)s lacks."),
    "force_loses_since": gettext_noop(
        "Lost for good: what %(target)s has written alone since %(since_at)s. How much that is nobody knows: it "
        "does not answer."
    ),
    "force_loses_unknown": gettext_noop("How much only %(target)s has is not known: it does not answer."),
    "force_not_whole": gettext_noop(
        "The disk of %(source)s is no whole copy: it was being copied to. Files may be damaged; check the file system."
    ),
    "force_no_server": gettext_noop("Nothing is known of %(name)s on %(source)s: its mirror process does not run."),
    "force_equal": gettext_noop("Both servers have the same data already; nothing has to be recovered."),
    "force_repair": gettext_noop(
        "Both servers count as equal, but the comparison found differences. Copy them: clpmdctrl --verify "
        "--repair %(name)s takes the data of the active side."
    ),
    "force_under_way": gettext_noop("The data of %(source)s is being copied to %(target)s already."),
    "force_target_active": gettext_noop(
        "%(name)s is active on %(target)s. Stop its group first: what is in use cannot be given up."
    ),
    "force_isolated": gettext_noop(
        "%(server)s stays apart on request. Let it join first (clpmdctrl --recovery %(name)s)."
    ),
    "force_will_come": gettext_noop(
        "%(name)s is active on %(source)s, and %(target)s is not connected. The copy begins by itself when it is."
    ),
}
# What a colour means: shape and words.
COLORS = {
    "GREEN": ("good", gettext_lazy("has the newest data")),
    "YELLOW": ("busy", gettext_lazy("is being copied to")),
    "RED": ("bad", gettext_lazy("lacks something, or is in doubt")),
    "GRAY": ("unknown", gettext_lazy("not known")),
}
COLOR_WORDS = {
    "GREEN": gettext_lazy("Green"),
    "YELLOW": gettext_lazy("Yellow"),
    "RED": gettext_lazy("Red"),
    "GRAY": gettext_lazy("Gray"),
}
STATUSES = {
    "Normal": ("good", gettext_lazy("Normal")),
    "Recovering": ("busy", gettext_lazy("Recovering")),
    "Abnormal": ("bad", gettext_lazy("Abnormal")),
    "No Construction": ("warn", gettext_lazy("Not constructed")),
}
MODES = {
    "off": gettext_lazy("not active"),
    "stalled": gettext_lazy("active, writes wait"),
    "mirrored": gettext_lazy("active, every write goes to both"),
    "copying": gettext_lazy("active, copies to the other one"),
    "alone": gettext_lazy("active, alone"),
}
WAYS = {
    "used": ("good", gettext_lazy("in use")),
    "ready": ("good", gettext_lazy("ready")),
    "lost": ("bad", gettext_lazy("lost")),
}
_SAID = ("text",)  # values in the words of servers


def sentence(code: str, values: Mapping[str, Any]) -> str:
    """What a newer manager or agent says with a code that is not known here is shown as it is."""
    if code not in SENTENCES:
        return f"{code} {dict(values)}"
    try:
        return mirror.told(code, values, size=mirror.size_text, when=_moment, sentence=lambda one: _(SENTENCES[one]))
    except (KeyError, TypeError, ValueError):
        return f"{code} {dict(values)}"


def marked(code: str, values: Mapping[str, Any]) -> SafeString:
    """The same for a page: what a server said stays in its language, and says so."""
    said = {key: value for key, value in values.items() if key in _SAID}
    if not said or code not in SENTENCES:
        return format_html("{}", sentence(code, values))
    marks = {key: f"\0{key}\0" for key in said}
    text = str(escape(sentence(code, {**values, **marks})))
    for key, value in said.items():
        text = text.replace(f"\0{key}\0", format_html('<span lang="en">{}</span>', value))
    return mark_safe(text)  # noqa: S308


def following(code: str, values: Mapping[str, Any]) -> str:
    """What to do about it, "" nothing."""
    return sentence(code + mirror.NEXT, values) if code + mirror.NEXT in SENTENCES else ""


def _moment(seconds: float) -> str:
    return moment(float(seconds)) or _("an unknown time")
