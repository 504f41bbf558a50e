"""What servers, workers and the simulator say in whole sentences, in the reader's language.

They speak English, since nobody reads where they work; here each sentence is known by its pattern. Sentences of events
are those of agent/messages, all others stand in locale/ja/LC_MESSAGES/spoken.po (tests hold that file to the sources).
What is not known stays English, and is marked so.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from agent.messages.catalog import MESSAGES
from webmanager.locale import patterns
from webmanager.locale.catalogue import read_po

ROOT = Path(__file__).parents[1]
PO = Path(__file__).parent / "locale" / "ja" / "LC_MESSAGES" / "spoken.po"
_FILES = (
    "agent/daemon/collection.py", "agent/daemon/mirror_backup.py", "agent/daemon/via.py",
    *(f"agent/engine/{name}.py" for name in (
        "again", "drill_guard", "drill_requests", "drills", "engine", "fence_requests", "monitor_requests",
        "fencing", "operations", "partition_action", "reports", "stopping", "switch_lead",
    )),
    "agent/sim/preview.py", "agent/sim/story.py", "agent/wire/drill.py", "agent/wire/logs/conversation.py",
    "agent/wire/split_brain.py",
    *(f"agent/wire/status/{name}.py" for name in ("cluster", "groups", "partition", "resources", "seen", "servers")),
    "builder/whatif.py",
    "webmanager/carrying.py", "webmanager/errands.py", "webmanager/logs/work.py",
    "webmanager/play.py",
)  # fmt: skip
# What says why a monitor, a resource or its device has failed.
_DETAILS = (
    *(f"agent/monitors/{name}.py" for name in ("__init__", "ipw", "mdnw", "mdw", "pidw")),
    *(f"agent/resources/{name}.py" for name in ("__init__", "fip", "mounting")),
    *(f"agent/drivers/{name}.py" for name in ("mounts", "network", "processes", "scriptlog")),
    *(f"agent/daemon/{name}.py" for name in ("binding", "mirror", "mirrors", "monitors")),
)
# Parts from which sentences are put together.
_PARTS = (
    "{0} may act: {1}", "No server may run groups. {0}", "No server may run groups.", ", unless it hangs",
    "No server is left to try.",
    "If {0} fails", "If all of {0} fail at once", "Only the side with more than half of the servers acts",
    "No server answered", "{0} answered and know of no such request",
    "{0} answered and know of no such request; {1} did not answer",
)  # fmt: skip
# What agent/sim says of failures, gaps and cuts: no sentences, but what stands in a table.
_PHRASES = (
    "{0} fails", "{0} fails as a whole", "{0} loses its cable to {1}", "{0} loses every heartbeat",
    "nobody reaches {0} any more", "{0} does not start on {1}", "{0} stops working on {1}", "{0} and {1} fail together",
    "no monitor watches {0}: nobody would notice", "it runs on {0} at once",
    "the cluster did not come to rest within {0} s", "the cable of {0} to {1} is cut",
    "{0}: nothing passes between {1} and {2}", "{0}: {1} does not hear {2}", "{0}: {1} hears nobody",
    "{0}: nobody hears {1}", "{0} stands still for {1} s and goes on", "nobody reaches {0}",
    "{0} does not reach {1}", "later: {0}", "all but {0}", "all servers",
    "nobody starts or stops the groups' programs but the cluster, and a stop that reports success has stopped them",
    "no server tells what it does not hold for true (the cluster key is secret)",
    "the steady clocks of the servers go equally fast to within 10 % (a lease ends at 0.7 of the timeout, the reset "
    "comes at 0.9, a take-over not before 1.0)",
    "the watchdog resets a server that hangs, in time",
    "the witness or shared disk keeps what it has promised, and there is only one of it",
    "a server that reaches the ping target is not cut off from its clients",
    "a fence device that reports a server off has switched it off",
)  # fmt: skip
# The same where it is put together, or said elsewhere: scripts, fence devices, resolvers, drills.
_REASONS = (
    "{0} ended with code {1} after {2} s", "{0} ended with code {1} after {2} s; it said: {3}",
    "{0} did not end within {1} s and was stopped with all its processes",
    "{0} did not end within {1} s and was stopped with all its processes; it said: {2}",
    "{0} was killed after {1} s", "{0} was killed after {1} s; it said: {2}",
    "was not running any more when the daemon came back", "a failure is pretended, as the operator asked for",
    "nothing was heard of its end", "it did not end within {0} s", "no answer from {0}", "no answer in time",
    "its answer is not signed with the secret of this cluster", "it answers {0}",
    "crash of {0}", "reset of the machine {0}", "hang of the agent on {0}", "monitor {0} on {1} reports an error",
    "all heartbeat paths of {0} deaf and mute", "all heartbeat paths of {0} deaf", "all heartbeat paths of {0} mute",
    "heartbeat paths {0} of {1} deaf and mute", "heartbeat paths {0} of {1} deaf", "heartbeat paths {0} of {1} mute",
)  # fmt: skip
_LONGEST = 2000
_MOST = 8  # sentences that are tried together
_MOST_PARTS = 24
_SENTENCE_END = re.compile(r"(?<=[.?!]) (?=\S)")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_PARAMETER = re.compile(r"%([1-9])")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_OF_SERVER = re.compile(r"([\w.:/\[\]-]+: )(\S.*)")  # or of what else stands before it: an address, a device
_TELLING = 8  # characters that a template has of its own, at least: "%1: %2" would fit everything


def wanted() -> list[str]:
    found = (text.strip() for name in _FILES for text in patterns.sentences_of(ROOT / name))
    details = (text for name in _DETAILS for text in patterns.details_of(ROOT / name))
    return list(dict.fromkeys((*found, *details, *_PARTS, *_PHRASES, *_REASONS)))


def said(text: str) -> tuple[str, bool]:
    """(the sentence in the reader's language, whether it is in that language)."""
    if (get_language() or "en").startswith("en") or not text or _JAPANESE.search(text):
        return text, True
    found = _japanese(text)
    return (text, False) if found is None else (found, True)


def shown(text: object) -> SafeString:
    """For a page; what stays English says so."""
    words, known = said(str(text))
    return format_html("{}" if known else '<span lang="en">{}</span>', words)


def known_here() -> dict[str, str]:
    """All that is known in the reader's language, but for events."""
    return {} if (get_language() or "en").startswith("en") else _catalogue()


@functools.lru_cache(2048)
def _japanese(text: str) -> str | None:
    if len(text) > _LONGEST:
        return None
    whole = _catalogue().get(text) or _of_event(text) or _of_pattern(text)
    if whole is not None:
        return whole
    if (named := _OF_SERVER.fullmatch(text)) and (rest := _japanese(named[2])) is not None:
        return named[1] + rest
    return _of_parts(_SENTENCE_END.split(text))


def _of_parts(parts: list[str]) -> str | None:
    """Sentence by sentence; some are known only together with those behind them."""
    if len(parts) > _MOST_PARTS:
        return None
    for count in range(min(len(parts) - 1, _MOST), 0, -1):
        first, rest = _japanese(" ".join(parts[:count])), _japanese(" ".join(parts[count:]))
        if first is not None and rest is not None:
            return first + rest
    return None


@functools.cache
def _catalogue() -> dict[str, str]:
    return {text: translated for text, translated in read_po(PO).items() if text}


@functools.cache
def _known() -> list[patterns.Known]:
    return patterns.with_values(_catalogue())


def _of_pattern(text: str) -> str | None:
    for pattern, template in _known():
        found = pattern.fullmatch(text)
        told = [_value(value) for value in found.groups()] if found else [None]
        if None not in told:
            return _catalogue()[template].format(*told)
    return None


def _value(text: str) -> str | None:
    """Names stay, parts of sentences are translated; what is a sentence itself has to be known."""
    if text.endswith((".", "?")) or _SENTENCE_END.search(text):
        return _japanese(text.strip())
    return (_catalogue().get(text) or _of_pattern(text) or text) if " " in text else text


# Events: what agent/messages/template.py fills, backwards.


@functools.cache
def _events() -> list[tuple[re.Pattern[str], str, str]]:
    """(pattern, module and event), the most telling first."""
    found = sorted(MESSAGES.items(), key=lambda item: -len(_bare(item[1].en)))
    return [(_backwards(one.en), one.ja, one.en) for _key, one in found if len(_bare(one.en)) >= _TELLING]


def _bare(template: str) -> str:
    return _PARAMETER.sub("", _OPTIONAL.sub("", template))


def _backwards(template: str) -> re.Pattern[str]:
    seen: set[str] = set()

    def mark(number: str) -> str:
        if number in seen:
            return f"(?P=p{number})"
        seen.add(number)
        return f"(?P<p{number}>.+?)"

    def literal(text: str) -> str:
        parts = _PARAMETER.split(text)
        return "".join(mark(part) if at % 2 else re.escape(part) for at, part in enumerate(parts))

    parts = _OPTIONAL.split(template)
    return re.compile("".join(f"(?:{literal(part)})?" if at % 2 else literal(part) for at, part in enumerate(parts)))


def _of_event(text: str) -> str | None:
    for pattern, japanese, _english in _events():
        if found := pattern.fullmatch(text):
            return _filled(japanese, {name[1:]: value for name, value in found.groupdict().items() if value})
    return None


def _filled(template: str, values: dict[str, str]) -> str:
    def optional(part: re.Match[str]) -> str:
        return part[1] if all(number in values for number in _PARAMETER.findall(part[1])) else ""

    kept = _OPTIONAL.sub(optional, template)
    return _PARAMETER.sub(lambda found: values.get(found[1], "?"), kept)
