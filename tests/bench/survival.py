"""What every file must survive, whole or broken: opened, loaded, checked, compared, converted, or refused."""

from __future__ import annotations

import functools
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from agent.catalog import specs
from agent.clpconf.convert import convert
from agent.clpconf.diff import diff
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.edit import EditError
from agent.clpconf.findings import Finding
from agent.clpconf.load import interpret, load
from agent.clpconf.validate import validate
from tests.bench.generated import conf, mutated

HANG_S = 5.0
_BASES = 50
_SHARE = 250  # files between two words of progress
_SPECS = specs()


def survive(data: bytes, other: Document) -> str:
    """ "refused", "converted" or "kept"; raises AssertionError, or whatever nobody should ever see."""
    document, refusal = _read(data)
    if document is None:
        assert refusal
        assert all(finding.line >= 1 and finding.text and finding.remedy for finding in refusal)
        assert load(data, _SPECS).errors
        return "refused"
    assert document.write() == data
    # Of the document that was read: reading it three times would be half of the bench.
    _check(interpret(document, _SPECS)[1])
    _check(validate(document, _SPECS))
    assert diff(document, document, _SPECS) == []
    for one in (*diff(document, other, _SPECS), *diff(other, document, _SPECS)):
        assert one.path.startswith("/")
        assert one.applies != "restart"
    return _convert(document, data)


def _read(data: bytes) -> tuple[Document | None, list[Finding]]:
    try:
        return Document.read(data), []
    except DocumentError as error:
        return None, error.findings


def _convert(document: Document, data: bytes) -> str:
    findings: list[Finding] = []
    try:
        findings = convert(document)
    except EditError as error:
        _check([error.finding])
    if not findings:
        assert document.write() == data
        return "kept"
    _check(findings)
    Document.read(document.write())
    return "converted"


def _check(findings: list[Finding]) -> None:
    for finding in findings:
        assert finding.code
        assert finding.text


@dataclass(slots=True)
class Storm:
    """What became of many broken files."""

    ends: Counter[str] = field(default_factory=Counter)
    worst_s: float = 0.0  # processor time of one file
    worst_seed: int = 0
    peak_mb: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Storm) -> None:
        self.ends += other.ends
        self.peak_mb = max(self.peak_mb, other.peak_mb)
        self.failures += other.failures
        if other.worst_s > self.worst_s:
            self.worst_s, self.worst_seed = other.worst_s, other.worst_seed


def storm(count: int, say: Callable[[str], None], processes: int = 2) -> Storm:
    """`say` is told after each share what was found so far."""
    total = Storm()
    shares = [range(first, min(first + _SHARE, count)) for first in range(0, count, _SHARE)]
    with ProcessPoolExecutor(processes, initializer=_by_itself) as pool:
        try:
            for share, part in zip(shares, pool.map(_weather, shares), strict=True):
                total.add(part)
                say(
                    f"{share.stop} files, {len(total.failures)} failures, {total.worst_s:.2f} s, {total.peak_mb:.0f} MB"
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Who interrupts does not wait for the other shares.
            raise
    return total


def _by_itself() -> None:
    """What the bench does at a signal is not for its workers."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@functools.cache
def _others() -> list[Document]:
    return [Document.read(conf(seed)) for seed in range(7)]


def _weather(seeds: Sequence[int]) -> Storm:
    found, others = Storm(), _others()
    signal.signal(signal.SIGVTALRM, _hangs)
    for seed in seeds:
        began = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
        try:
            found.ends[survive(mutated(conf(seed % _BASES), seed), others[seed % len(others)])] += 1
        except Exception as error:  # Each of them is a finding of this bench.
            found.failures.append(f"seed {seed}: {type(error).__name__}: {error}"[:300])
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        used_s = time.process_time() - began
        if used_s > found.worst_s:
            found.worst_s, found.worst_seed = used_s, seed
    found.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def _hangs(*_: object) -> None:
    raise TimeoutError(f"more than {HANG_S:.0f} s of processor time")
