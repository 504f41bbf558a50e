"""Keeps the Japanese of the configuration's vocabulary: labels, helps and choices of every declaration, and findings.

`python -m builder.locale.vocabulary` compiles the catalogue and names what lacks a translation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from agent.catalog import specs
from agent.clpconf import schema
from agent.clpconf.schema import Kind, TypeSpec
from agent.clpconf.sections import SECTIONS, whole
from builder.locale import pages, rules, sentences
from builder.locale.gaps import told
from webmanager.locale.catalogue import mo, read_po

PO = Path(__file__).parent / "ja" / "LC_MESSAGES" / "django.po"


def wanted() -> list[str]:
    """Every text of the vocabulary that a reader can meet, in the order of the declarations."""
    declarations = [*SECTIONS.values(), *specs().values()]
    texts = [text for spec in declarations for text in of_type(whole(spec))]
    texts += [schema.PLACEHOLDER, schema.OUT_OF_RANGE, schema.MISSING, schema.GIVE_VALUE, schema.NO_PARAMETER,
              schema.CHECK_SPELLING]  # fmt: skip
    return [text for text in dict.fromkeys(texts) if text]


def of_type(spec: TypeSpec) -> Iterator[str]:
    yield from (spec.label, spec.help, spec.family)
    for param in spec.params:
        yield from (param.section, param.label, param.help, param.unit)
        yield from _of_kind(param.kind)


def _of_kind(kind: Kind) -> Iterator[str]:
    yield kind.template or kind.help
    yield from (label for value, label in kind.choices if label != value)
    if kind.help:
        yield schema.not_a(kind)


def compiled() -> dict[str, str]:
    """All that the builder says: its pages, the vocabulary, and the sentences of findings."""
    return {**read_po(sentences.PO), **read_po(pages.PO), **read_po(rules.PO), **read_po(PO)}


def main() -> int:
    catalogue = compiled()
    PO.with_suffix(".mo").write_bytes(mo(catalogue))
    return told(PO.name, wanted(), catalogue)


if __name__ == "__main__":
    sys.exit(main())
