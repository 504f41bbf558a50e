"""Every sentence that a rule can say is translated, with the same values in it."""

from __future__ import annotations

import string

from builder.locale import rules
from builder.locale.vocabulary import PO
from webmanager.locale.catalogue import read, read_po

KNOWN = read_po(rules.PO)


def fields(text: str) -> set[str | None]:
    return {name for _, name, *_ in string.Formatter().parse(text)} - {None}


def test_every_sentence_is_translated_and_no_other():
    assert set(KNOWN) - {""} == set(rules.wanted())


def test_translations_have_the_values_of_the_sentence():
    wrong = {text for text, said in KNOWN.items() if text and not fields(said) <= fields(text)}

    assert wrong == set()
    lost = {text for text, said in KNOWN.items() if text and fields(text) - fields(said)}
    assert lost == set()


def test_a_sentence_has_one_translation_wherever_it_stands():
    for other in (read_po(PO), read("django")):
        assert [text for text in KNOWN if text and other.get(text, KNOWN[text]) != KNOWN[text]] == []


def test_sentences_are_found_in_the_source():
    found = rules.wanted()

    assert "Give each its own address." in found
    assert "{groups} must be apart, but both may run only on {servers}." in found
    assert not any("\n" in text for text in found)  # Docstrings are not said.
