"""Parsed drafts, kept by each process: reading a large file takes longer than any change to it.

A document belongs to one (draft, revision). It is changed in place under the lock of its draft, so that nobody reads it
half changed; whoever fails on the way throws it away.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache

from agent.catalog import specs
from agent.clpconf.document import Document
from agent.clpconf.findings import Finding
from agent.clpconf.validate import validate
from builder import contents
from builder.models import Draft

_KEPT = 4  # A document of 5000 objects takes some 50 MB.
_lock = threading.Lock()
_locks: dict[int, threading.RLock] = {}
_documents: OrderedDict[int, tuple[int, Document]] = OrderedDict()


@contextlib.contextmanager
def held(draft: Draft) -> Iterator[Document]:
    """The document of this draft at its revision, for this thread alone."""
    with _lock:
        lock = _locks.setdefault(draft.pk, threading.RLock())
    with lock:
        yield _get(draft)


def keep(draft: Draft, revision: int, document: Document) -> None:
    with _lock:
        _documents[draft.pk] = (revision, document)
        _documents.move_to_end(draft.pk)
        while len(_documents) > _KEPT:
            _documents.popitem(last=False)


def forget(draft: Draft) -> None:
    with _lock:
        _documents.pop(draft.pk, None)


def findings(draft: Draft) -> list[Finding]:
    """Of the stored bytes, so that lines are those of the file."""
    return list(_findings(bytes(draft.conf)))


@lru_cache(maxsize=8)
def _findings(packed: bytes) -> tuple[Finding, ...]:
    return tuple(validate(contents.unpack(packed), specs()))


def _get(draft: Draft) -> Document:
    with _lock:
        known = _documents.get(draft.pk)
    if known is not None and known[0] == draft.revision:
        return known[1]
    document = Document.read(contents.unpack(draft.conf))
    if known is None or known[0] < draft.revision:
        keep(draft, draft.revision, document)
    return document
