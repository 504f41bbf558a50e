"""Edits change what they name, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clpconf.document import Document, DocumentError

TABS = (
    b'<?xml version="1.0" encoding="EUC-JP"?>\n<root>\n\t<a>\n\t\t<b>1</b>\n\n\t\t<c/> <!-- why -->\n\t</a>\n</root>\n'
)


def edited(data: bytes, path: str, text: str) -> bytes:
    document = Document.read(data)
    document.set_text(path, text)
    assert document.find(path).text == text
    # What was written reads again as the same.
    assert Document.read(document.write()).find(path).text == text
    return document.write()


def test_set_text_replaces_only_this_text() -> None:
    assert edited(TABS, "a/b", "2 < 3") == TABS.replace(b"1</b>", b"2 &lt; 3</b>")


def test_set_text_opens_an_empty_element() -> None:
    assert edited(TABS, "a/c", "x") == TABS.replace(b"<c/>", b"<c>x</c>")


def test_set_text_of_equal_text_changes_no_byte() -> None:
    data = b"<root><a><![CDATA[x]]></a><b/></root>"
    document = Document.read(data)

    document.set_text("a", "x")
    document.set_text("b", "")

    assert document.write() == data


def test_set_text_keeps_comments() -> None:
    assert edited(b"<root><a>1<!-- c -->2</a></root>", "a", "3") == b"<root><a>3<!-- c --></a></root>"


def test_set_text_uses_the_encoding_of_the_file() -> None:
    assert edited(TABS, "a/b", "系統") == TABS.replace(b"1</b>", "系統</b>".encode("euc_jp"))


def test_either_wave_dash_can_be_written_in_sjis() -> None:
    document = Document.read(b'<?xml version="1.0" encoding="SJIS"?><root><a/><b/></root>')

    document.set_text("a", "\u301c")
    document.set_text("b", "\uff5e")

    assert document.write().endswith(b"<root><a>\x81\x60</a><b>\x81\x60</b></root>")


def test_character_that_does_not_fit_is_named_and_nothing_changes() -> None:
    data = b'<?xml version="1.0" encoding="ASCII"?><root><a>x</a></root>'
    document = Document.read(data)

    with pytest.raises(DocumentError) as caught:
        document.set_text("new/path", "Höhe")

    finding = caught.value.findings[0]
    assert (finding.code, finding.path) == ("text.encoding", "new/path")
    assert finding.text == 'The character "ö" (U+00F6) does not exist in ASCII, the encoding of this file.'
    assert document.write() == data


@pytest.mark.parametrize("text", ["\x00", "a\x0bb", "\ud800", "\uffff"])
def test_character_that_xml_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match=r"text\.character"):
        Document.read(b"<root><a/></root>").set_text("a", text)


def test_set_text_of_a_container_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"edit\.container"):
        Document.read(TABS).set_text("a", "x")


def test_set_text_makes_what_is_missing_in_the_style_of_the_file() -> None:
    data = b'<root>\r\n  <cluster>\r\n    <name>x</name>\r\n  </cluster>\r\n  <server name="s1"/>\r\n</root>'
    document = Document.read(data)

    document.set_text("cluster/heartbeat/timeout", "5000")
    document.set_text("server@s1/device@0/info", "10.0.0.1")
    document.set_text("messages/rc@32/syslog", "1")

    expected = (
        "<root>\n  <cluster>\n    <name>x</name>\n    <heartbeat>\n      <timeout>5000</timeout>\n    </heartbeat>\n"
        '  </cluster>\n  <server name="s1">\n    <device id="0">\n      <info>10.0.0.1</info>\n    </device>\n'
        "  </server>\n"
        '  <messages>\n    <rc id="32">\n      <syslog>1</syslog>\n    </rc>\n  </messages>\n</root>'
    )
    assert document.write() == expected.replace("\n", "\r\n").encode()


def test_glued_file_stays_glued() -> None:
    document = Document.read(b'<root><server name="a"><priority>0</priority></server></root>')

    document.append(document.find("server@a"), "survive", text="1")
    document.set_text("webmgr/client", "4")

    assert document.write() == (
        b'<root><server name="a"><priority>0</priority><survive>1</survive></server>'
        b"<webmgr><client>4</client></webmgr></root>"
    )


def test_attribute_is_escaped() -> None:
    document = Document.read(b"<root><a/></root>")

    element = document.append(document.root, "b", {"name": '<"&\n>'})

    assert element.identity == '<"&\n>'
    assert Document.read(document.write()).root.children[1].attributes == {"name": '<"&\n>'}


@pytest.mark.parametrize("name", ["", "a b", "<x>", "1", "a/b"])
def test_name_that_is_none_is_refused(name: str) -> None:
    document = Document.read(b"<root/>")

    with pytest.raises(DocumentError, match=r"edit\.name"):
        document.append(document.root, name)


def test_remove_takes_the_line_with_it() -> None:
    document = Document.read(TABS)

    document.remove(document.find("a/b"))

    assert document.write() == TABS.replace(b"\n\t\t<b>1</b>", b"")


def test_root_cannot_be_removed() -> None:
    document = Document.read(TABS)

    with pytest.raises(DocumentError, match=r"edit\.root"):
        document.remove(document.root)


def test_append_and_remove_give_the_real_file_back(real_conf: Path) -> None:
    data = real_conf.read_bytes()
    document = Document.read(data)
    sections = [section for section in document.root.children if section.children]
    assert sections

    for section in sections:
        document.remove(document.append(section, "openclp", {"name": "x"}, "1"))

    assert document.write() == data


def test_tags_with_very_long_names_are_read_in_linear_time() -> None:
    name = "x" * 40_000
    tag = f"<{name} name=\"a\" id = 'b'/>"
    document = Document.read(f"<root>{tag * 30}</root>".encode())

    # Of quadratic work this would take minutes.
    assert [element.attributes for element in document.root.children] == [{"name": "a", "id": "b"}] * 30
    document.set_attribute(document.root.children[-1], "name", "c")
    assert document.write().endswith(b" name=\"c\" id = 'b'/></root>")
