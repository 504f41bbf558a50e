"""Rules for the file itself: words that nobody knows, places that nobody filled in, and its bookkeeping."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from agent.clpconf.bookkeeping import OBJECT_NUMBER, object_number
from agent.clpconf.element import Element
from agent.clpconf.findings import Finding
from agent.clpconf.references import leaves
from agent.clpconf.rules.subject import Rule, Subject, finding
from agent.clpconf.schema import TypeSpec
from agent.clpconf.sections import INSTANCES, declared, root_names

PLACEHOLDER = re.compile(r"%%[A-Za-z0-9_]+%%|__[A-Za-z0-9][A-Za-z0-9_]*__|\bINPUT_[A-Z0-9_]+\b")
_MAYBE = re.compile(rb"%%|__|INPUT_")
_CLOSE = 0.75
# What the original's languages are written in; UTF-8 files are read by all of them.
_ENCODINGS = {
    "ASCII": ("ASCII", "US-ASCII"), "EUC-JP": ("EUC-JP", "EUCJP"), "GB2312": ("GB2312", "GBK", "GB18030", "EUC-CN"),
    "SJIS": ("SJIS", "SHIFT_JIS", "SHIFT-JIS", "WINDOWS-31J", "MS932", "CP932"),
}  # fmt: skip
_GUESSES = 200  # in one file
_LONGEST = 120  # word that is worth a guess
_CODE_PAGES = frozenset((*_ENCODINGS, "UTF-8", "GBK", "BIG5", "EUC-KR", ""))


# Words that nobody knows --------------------------------------------------------------------------------------------


def unknown_words(subject: Subject) -> Iterator[Finding]:
    """Elements that no declaration names, empty ones as well: a slip of the keys, or from another version."""
    names = root_names()
    budget = iter(range(_GUESSES))
    for section in subject.document.root.children:
        if section.name in INSTANCES:
            for element in section.children:
                spec = subject.whole(element.name, section.name) if element.name != "types" else None
                if spec is not None:
                    yield from _unknown_below(element, spec, budget)
        elif section.name not in names:
            yield _unknown(section, section.name, names, budget)
        elif section.children:
            yield from _unknown_in_section(subject, section, budget)


def _unknown_below(element: Element, spec: TypeSpec, budget: Iterator[int]) -> Iterator[Finding]:
    for path, leaf in leaves(element):
        own = path.partition("/")[2] if path.startswith("server@") else path
        if own and not spec.knows(own) and spec.param(f"{own}@0") is None:  # An object without a name is the reader's.
            yield _unknown(leaf, own, [param.path for param in spec.params], budget)


def _unknown_in_section(subject: Subject, section: Element, budget: Iterator[int]) -> Iterator[Finding]:
    """Sections may hold objects with a declaration of their own: cluster/mail, openclp/fence, devices."""
    for _path, leaf in leaves(section):
        found = declared(leaf.path, subject.catalog)
        if found is None:
            yield _unknown(leaf, leaf.name, [], budget)
        elif found.path and not found.spec.knows(found.path) and found.spec.params:
            yield _unknown(leaf, found.path, [param.path for param in found.spec.params], budget)


def _unknown(leaf: Element, path: str, known: Iterable[str], budget: Iterator[int]) -> Finding:
    """`budget`: how many guesses are left, since each looks at every known word."""
    guess = _guess(path, list(known)) if len(path) <= _LONGEST and next(budget, None) is not None else ""
    if guess:
        return finding(
            "value.unknown", "warning", leaf, 'Nothing is called "{path}" here; it is kept and has no effect.',
            'Did you mean "{guess}"?', path=path[:_LONGEST], guess=guess,
        )  # fmt: skip
    return finding(
        "value.unknown", "note", leaf, '"{path}" is not known here; it is kept and has no effect.',
        "Check the spelling, or remove it.", path=path[:_LONGEST],
    )  # fmt: skip


def _guess(path: str, known: list[str]) -> str:
    """The same word at another place, or nearly the same word at this place."""
    last = path.rpartition("/")[2].partition("@")[0]
    moved = [one for one in known if one.rpartition("/")[2] == last and one != path]
    if len(moved) == 1:
        return moved[0]
    return next(iter(difflib.get_close_matches(path, known, 1, _CLOSE)), "")


# Places that nobody filled in ---------------------------------------------------------------------------------------


def placeholders(subject: Subject) -> Iterator[Finding]:
    """What load() does not find: in texts that may be anything, and within longer ones."""
    if not _MAYBE.search(subject.document.write()):
        return
    for element in _all(subject.document.root):
        for text in (element.identity or "", "" if element.children else element.value):
            found = PLACEHOLDER.search(text)
            if found:
                yield finding(
                    "value.placeholder", "error", element,
                    '"{text}" is a placeholder that was never filled in.', "Write the value that it stands for.",
                    text=found[0][:60],
                )  # fmt: skip


def _all(element: Element) -> Iterator[Element]:
    stack = [element]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(part.children)


# Language and bookkeeping -------------------------------------------------------------------------------------------


def language(subject: Subject) -> Iterator[Finding]:
    root = subject.document.root
    encode, charset = root.find("all/encode"), root.find("all/charset")
    if encode is not None and encode.value.upper() not in _CODE_PAGES:
        yield finding(
            "all.encode", "warning", encode, 'all/encode is "{text}", which is no code page.',
            "Write ASCII, EUC-JP, GB2312 or SJIS.", text=encode.value[:60],
        )  # fmt: skip
    declared = subject.document.encoding.upper()
    wanted = _ENCODINGS.get(charset.value.upper()) if charset is not None else None
    if charset is not None and wanted and declared not in (*wanted, "", "UTF-8"):
        yield finding(
            "all.charset", "note", charset,
            "The language of the cluster is {charset}, but the file is written in {encoding}.",
            "The original writes the file in the encoding of its language.",
            charset=charset.value, encoding=subject.document.encoding,
        )  # fmt: skip


def object_count(subject: Subject) -> Iterator[Finding]:
    """The original's console trusts the number; a skeleton without servers has not got that far."""
    stated = subject.document.root.find(OBJECT_NUMBER)
    if stated is None or not subject.cluster.servers or not subject.cluster.heartbeats:
        return
    number = object_number(subject.document.root)
    if stated.value != str(number):
        yield finding(
            "webmgr.objectnumber", "note", stated, "The file says that it has {stated} objects; it has {number}.",
            "Saving it in the Builder corrects the number.", stated=stated.value[:20], number=str(number),
        )  # fmt: skip


def process_recovery(subject: Subject) -> Iterator[Finding]:
    """The original sets what follows the death of its three processes alike."""
    actions: Mapping[str, Element] = {
        f"exec{n}": found for n in range(3) if (found := subject.document.root.find(f"pm/exec{n}/recover")) is not None
    }
    if len({element.value for element in actions.values()}) > 1:
        yield finding(
            "pm.recover", "warning", next(iter(actions.values())),
            "The actions after the death of a cluster process differ: {actions}.",
            "Set exec0, exec1 and exec2 alike.", actions=", ".join(f"{n} {e.value}" for n, e in actions.items()),
        )  # fmt: skip


def console(subject: Subject) -> Iterator[Finding]:
    """Settings of the original's console."""
    root = subject.document.root
    interval = root.find("webmgr/client/pollinginterval")
    if interval is not None and interval.value.isascii() and interval.value.isdigit() and int(interval.value) < 30:
        yield finding(
            "webmgr.interval", "note", interval,
            "The reload interval is {interval} s; the original asks for 30 s or more.",
            "Here the console is told of changes at once, and the setting has no effect.", interval=interval.value[:6],
        )  # fmt: skip
    clients = root.find("webmgr/security/clientlist")
    restricted = clients.child("iprest") if clients is not None else None
    if clients is None or restricted is None or restricted.value != "1":
        return
    if not clients.named("ip") and not clients.named("ipro"):
        yield finding(
            "webmgr.clients", "warning", restricted,
            "The console is restricted to listed addresses, but none is listed: nobody may connect.",
            "Add addresses below webmgr/security/clientlist, or write 0 here.",
        )  # fmt: skip


def delay_warning(subject: Subject) -> Iterator[Finding]:
    rate = subject.document.root.find("openclp/delaywarning")
    if rate is not None and rate.value == "0":
        yield finding(
            "monitor.delay_warning", "warning", rate,
            "The delay warning rate is 0: every run of every monitor is warned of.",
            "Use it for tests only; 80 is usual, 100 never warns.",
        )  # fmt: skip


def mail(subject: Subject) -> Iterator[Finding]:
    """Messages are to be mailed, but nobody said where to."""
    root = subject.document.root
    use = root.find("cluster/messages/use")
    wanted = [
        part
        for section in root.named("messages")
        for part in _all(section)
        if part.name == "mail" and part.value == "1"
    ]
    address = root.find("cluster/mail/address")
    if use is not None and use.value == "1" and wanted and (address is None or not address.value):
        yield finding(
            "mail.address", "warning", wanted[0], "Messages shall be mailed, but no mail address is set.",
            "Write the receivers to cluster/mail/address.",
        )  # fmt: skip


RULES: tuple[Rule, ...] = (
    unknown_words,
    placeholders,
    language,
    object_count,
    process_recovery,
    console,
    delay_warning,
    mail,
)
