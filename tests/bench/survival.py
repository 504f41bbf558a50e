"""What every file must survive, whole or broken: opened, loaded, checked, compared, converted, or refused."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from agent.catalog import specs
from agent.clpconf.convert import convert
from agent.clpconf.diff import diff
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.edit import EditError
from agent.clpconf.findings import Finding
from agent.clpconf.load import load
from agent.clpconf.validate import validate
from tests.bench.generated import conf, mutated

HANG_S = 5.0
_BASES = 50
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
    _check(load(data, _SPECS).findings)
    _check(validate(data, _SPECS))
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


def storm(count: int, processes: int = 2) -> Storm:
    total = Storm()
    shares = [range(first, count, processes * 4) for first in range(processes * 4)]
    with ProcessPoolExecutor(processes) as pool:
        for part in pool.map(_weather, shares):
            total.add(part)
    return total


def _weather(seeds: Sequence[int]) -> Storm:
    found = Storm()
    others = [Document.read(conf(seed)) for seed in range(7)]
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
