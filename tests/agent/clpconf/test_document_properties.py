"""Documents that nobody thought of: generated ones, and real ones with broken bytes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from agent.clpconf.document import Document, DocumentError

_CODECS = {"EUC-JP": "euc_jp", "SJIS": "cp932", "GB2312": "gb2312", "BIG5": "big5", "UTF-8": "utf-8", "ASCII": "ascii"}
_LETTERS = "ab<>&\"' \n\t]日本語表示ソ能ゾ構成国中文①é"
_NAMES = st.sampled_from(("root", "a", "b-1", "resource", "_x"))
_BLANK = st.sampled_from(("", " ", "\n", "\r\n\t", "\n\n  "))
SAMPLE = (
    '<?xml version="1.0" encoding="SJIS"?>\r\n<!-- 構成 -->\r\n<root>\r\n\t<a name="表">ソ能 &amp; x</a>\r\n'
    "\t<b id='1'><![CDATA[ゾ]]></b><c/>\r\n\t<d><e><f>1</f></e></d>\r\n</root>\r\n"
).encode("cp932")


@st.composite
def _texts(draw: st.DrawFn, codec: str) -> str:
    letters = [letter for letter in _LETTERS if _fits(letter, codec)]
    return draw(st.text(alphabet=letters, max_size=8))


def _fits(letter: str, codec: str) -> bool:
    try:
        letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("'", "&apos;")
    )


@st.composite
def _elements(draw: st.DrawFn, codec: str, depth: int) -> str:
    name = draw(_NAMES)
    attribute = draw(st.sampled_from(("", " name='{}'", '\n id = "{}" '))).format(_escaped(draw(_texts(codec))))
    kinds = ["empty", "text", "comment", "cdata", "pi"] + (["children"] * 3 if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "empty":
        return f"<{name}{attribute}{draw(_BLANK)}/>"
    if kind == "children":
        inner = "".join(draw(_BLANK) + part for part in draw(st.lists(_elements(codec, depth - 1), max_size=4)))
    else:
        text = draw(_texts(codec))
        shape = {"text": "{}", "comment": "x<!--{}-->", "cdata": "<![CDATA[{}]]>", "pi": "<?p {}?>"}[kind]
        inner = shape.format(_escaped(text) if kind == "text" else text.replace("]", "").replace("-", ""))
    return f"<{name}{attribute}>{inner}{draw(_BLANK)}</{name}{draw(_BLANK)}>"


@st.composite
def _documents(draw: st.DrawFn) -> tuple[str, str, str]:
    """(declared encoding, text before the root, root)."""
    declared = draw(st.sampled_from(sorted(_CODECS)))
    before = f'<?xml version="1.0" encoding="{declared}"?>{draw(_BLANK)}'
    return declared, before, draw(_elements(_CODECS[declared], 3)) + draw(_BLANK)


def _shape(element: etree._Element) -> list[object]:
    pieces = [element.text or ""]
    for child in element:
        pieces.append(child.tail or "")
    children = [_shape(child) for child in element if isinstance(child.tag, str)]
    return [element.tag, dict(element.attrib), "".join(pieces), children]


def _our_shape(element: object) -> list[object]:
    return [element.name, element.attributes, element.text, [_our_shape(child) for child in element.children]]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, database=None)
@given(_documents())
def test_any_document_is_written_back_and_means_what_lxml_reads(document: tuple[str, str, str]) -> None:
    declared, before, root = document
    data = (before + root).encode(_CODECS[declared])
    reference = etree.fromstring(root.strip().encode("utf-8"), etree.XMLParser(resolve_entities=False))

    ours = Document.read(data)

    assert ours.write() == data
    assert _our_shape(ours.root) == _shape(reference)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, database=None)
@given(_documents(), st.data())
def test_any_text_can_be_set_and_reads_back(document: tuple[str, str, str], data: st.DataObject) -> None:
    declared, before, root = document
    ours = Document.read((before + f"<r><n/>{root}</r>").encode(_CODECS[declared]))
    text = data.draw(_texts(_CODECS[declared]))

    ours.set_text("n", text)

    assert Document.read(ours.write()).find("n").text == text
    ours.set_text("n", "")
    assert Document.read(ours.write()).find("n").text == ""


@pytest.mark.slow
@settings(max_examples=400, deadline=None, database=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=5
    )
)
def test_broken_bytes_give_a_document_or_findings_with_places(changes: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(SAMPLE)
    for at, removed, put in changes:
        data[at : at + removed] = put
    began = time.process_time()

    _read_or_refuse(bytes(data))

    assert time.process_time() - began < 1


@pytest.mark.slow
@settings(max_examples=200, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_rubbish_gives_findings(data: bytes) -> None:
    for candidate in (
        data,
        b"<root>" + data + b"</root>",
        b'<?xml version="1.0" encoding="GB18030"?><r>' + data + b"</r>",
    ):
        _read_or_refuse(candidate)


def _read_or_refuse(data: bytes) -> None:
    findings, written = [], data
    try:
        written = Document.read(data).write()
    except DocumentError as error:
        findings = error.findings
        assert findings
    assert written == data
    assert all(f.line >= 1 and f.column >= 1 and f.text and f.remedy for f in findings)
