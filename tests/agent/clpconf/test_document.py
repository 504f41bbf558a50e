"""Reading and writing back every byte; saying where a file is broken."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.clpconf.document import MAX_BYTES, Document, DocumentError
from agent.clpconf.findings import Finding


def refused(data: bytes) -> list[Finding]:
    with pytest.raises(DocumentError) as caught:
        Document.read(data)
    return caught.value.findings


def test_real_file_is_written_back_byte_equal(real_conf: Path) -> None:
    data = real_conf.read_bytes()

    document = Document.read(data)

    assert document.write() == data
    assert document.root.name == "root"


def test_broken_file_is_refused_with_line_and_column(broken_conf: Path) -> None:
    findings = refused(broken_conf.read_bytes())

    assert all(f.line > 1 and f.column >= 1 and f.text and f.remedy for f in findings)
    assert findings[0].text == "<GENW1> is not closed before </monitor>."
    assert (findings[0].line, findings[0].column) == (30, 5)


@pytest.mark.parametrize(
    "data",
    [
        b"<root/>",
        b"<root></root>",
        b"<root><a/><b></b><c />< /root>".replace(b"< /", b"</"),
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\r\n<root>\r\n\t<a>1</a>\r\n</root>\r\n',
        b'<?xml version="1.0" encoding="ASCII" standalone="no"?>\n<root>\n\n\n  <a  x = \'1\'  />\n</root  >',
        b"<!-- before --><?pi data?>\n<root><!-- in <b> --><![CDATA[<raw> & ]]>text<?p?></root><!-- after -->\n\n",
        b"<root>&amp;&#65;&#x42;&lt;&gt;&quot;&apos;</root>",
    ],
)
def test_nothing_changed_is_byte_equal(data: bytes) -> None:
    assert Document.read(data).write() == data


@pytest.mark.parametrize(
    ("declared", "codec", "text"),
    [
        ("EUC-JP", "euc_jp", "日本語のコメント、ｶﾅ"),
        ("EUC-JP", "euc_jis_2004", "第①システム㈱"),
        ("SJIS", "cp932", "表示ソ能ゾー～①"),  # Second bytes 5C and 5D: \ and ].
        ("Shift_JIS", "cp932", "構成情報"),
        ("GB2312", "gb2312", "集群服务器"),
        ("GB2312", "gbk", "镕基"),  # Chinese Windows writes GBK and says GB2312.
        ("GBK", "gbk", "丂乗乚乛"),
        ("BIG5", "big5", "許功蓋"),
        ("GB18030", "gb18030", "集群𠀀é"),
        ("UTF-8", "utf-8", "クラスタ 🙂"),
        ("ISO-8859-1", "iso-8859-1", "Höhe"),
    ],
)
def test_declared_encoding_is_read_and_kept(declared: str, codec: str, text: str) -> None:
    xml = f'<?xml version="1.0" encoding="{declared}"?>\n<root><a name="{text}"> {text}\n</a><b/></root>'
    data = xml.encode(codec)

    document = Document.read(data)

    element = document.find(f"a@{text}")
    assert element is not None
    assert (element.text, element.value) == (f" {text}\n", text)
    assert document.write() == data
    document.set_text("b", text)
    assert document.write() == xml.replace("<b/>", f"<b>{text}</b>").encode(codec)


def test_bytes_of_a_character_are_never_taken_for_markup() -> None:
    # ゾ ends in 0x5D, so that its last byte and "]>" look like the end of the CDATA section.
    data = '<?xml version="1.0" encoding="SJIS"?><root><a><![CDATA[ゾ]>]]></a></root>'.encode("cp932")
    assert b"]]>]]>" in data

    document = Document.read(data)

    assert document.root.children[0].text == "ゾ]>"
    assert document.write() == data


def test_text_means_what_xml_says() -> None:
    document = Document.read(
        b"<root><a>1\r\n<!-- no -->&lt;2&#x33;<![CDATA[&lt;\r]]></a><b> </b><c x='a\n&quot;b'/></root>"
    )

    values = {child.name: child.text for child in document.root.children}

    assert values == {"a": "1\n<23&lt;\n", "b": " ", "c": ""}
    assert document.root.children[1].value == ""
    assert document.root.children[2].attributes == {"x": 'a "b'}


def test_find_uses_the_path_notation_of_the_format() -> None:
    document = Document.read(
        b'<root><resource><types name="fip"/><fip name="fip1"><parameters><ip>1</ip></parameters></fip>'
        b'<fip name="fip2"><parameters>\n <ip>2</ip></parameters></fip></resource>'
        b'<group name="g"><resource name="fip@fip1"/></group>'
        b'<server name="s"><device id="400"><info>x</info></device></server></root>'
    )
    ip = document.find("/root/resource/fip@fip2/parameters/ip")

    assert ip is not None
    assert (ip.value, ip.path) == ("2", "/root/resource/fip@fip2/parameters/ip")
    assert (ip.line, ip.column) == (2, 2)
    assert document.find("resource/fip/parameters/ip").value == "1"
    assert document.find("group@g/resource@fip@fip1").path == "/root/group@g/resource@fip@fip1"
    assert document.find("server@s/device@400/info").value == "x"
    assert document.find("resource/fip@fip3") is None
    assert document.find("resource/none/ip") is None
    assert document.find("/root") is document.root


def test_columns_count_characters_not_bytes() -> None:
    data = '<?xml version="1.0" encoding="EUC-JP"?>\n<root><a>日本語</a><b/></root>'.encode("euc_jp")

    element = Document.read(data).find("b")

    assert (element.line, element.column) == (2, 17)


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        (b"", "xml.empty", (1, 1)),
        (b" \n ", "xml.empty", (1, 1)),
        (b"<?xml version='1.0'?>\n<!-- -->\n", "xml.empty", (3, 1)),
        (b"hello", "xml.syntax", (1, 1)),
        (b"<root>\n <a>\n</root>", "xml.unclosed", (2, 2)),
        (b"<root>\n</a></root>", "xml.syntax", (2, 1)),
        (b"<root>\n", "xml.unclosed", (1, 1)),
        (b"<root>\n <a b=1/></root>", "xml.syntax", (2, 2)),
        (b"<root><a b='1' b='2'/></root>", "xml.syntax", (1, 21)),
        (b"<root/>\n<root/>", "xml.syntax", (2, 1)),
        (b"<root/>\n x", "xml.syntax", (2, 2)),
        (b"<root>\n<!-- a\n</root>", "xml.syntax", (2, 1)),
        (b"<root><![CDATA[</root>", "xml.syntax", (1, 7)),
        (b"<root>\n  a &amp; &nbsp; b</root>", "xml.entity", (2, 11)),
        (b"<root>\n  a & b</root>", "xml.entity", (2, 5)),
        (b"<?xml version='1.0'?>\n<!DOCTYPE root [<!ENTITY a 'b'>]>\n<root>&a;</root>", "xml.doctype", (2, 1)),
        (b"<?xml encoding='ASCII'?><root/>", "xml.syntax", (1, 1)),
        (b"<?xml version='1.0' encoding='EBCDIC'?><root/>", "xml.encoding", (1, 1)),
        (b"<?xml version='1.0' encoding='ASCII'?>\n<root>\xe3</root>", "xml.encoding", (2, 7)),
        (b"<?xml version='1.0' encoding='EUC-JP'?>\n<root>\xff</root>", "xml.encoding", (2, 7)),
        (b"\xef\xbb\xbf<?xml version='1.0' encoding='SJIS'?><root/>", "xml.encoding", (1, 4)),
        ("<?xml version='1.0' encoding='UTF-16'?><root/>".encode("utf-16"), "xml.encoding", (1, 1)),
        (b"<root>\n\x00</root>", "xml.syntax", (2, 1)),
        (b"<root>\n\x07</root>", "xml.syntax", (2, 1)),
        (b"<root>\n" + b"<a>" * 100 + b"</a>" * 100 + b"</root>", "xml.too_deep", (2, 190)),
        (b"<root>" + b"x" * MAX_BYTES + b"</root>", "xml.too_large", (1, 1)),
    ],
)
def test_broken_document_is_refused_with_code_and_place(data: bytes, code: str, place: tuple[int, int]) -> None:
    finding = refused(data)[0]

    assert (finding.code, finding.severity) == (code, "error")
    assert (finding.line, finding.column) == place
    assert finding.text.endswith(".")
    assert finding.remedy


def test_line_of_a_fault_counts_the_lines_of_the_declaration() -> None:
    data = b'<?xml\nversion="1.0"\nencoding="ASCII"\n?>\n<root>\n<a x="1" x="2"/>\n</root>'

    assert refused(data)[0].line == 6


def test_all_unclosed_elements_are_named_at_once() -> None:
    findings = refused(b"<root>\n<a>\n<b>\n</root>\n")

    assert [(f.path, f.line, f.text) for f in findings] == [
        ("/root", 2, "<a> is not closed before </root>."),
        ("/root/a", 3, "<b> is not closed before </root>."),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        b"<root>" + b"<a/>" * 1_000_000 + b"</root>",
        b"<root><a" + b" " * 2_000_000 + b"b",
        b"<root><a" + b" b='1'" * 300_000 + b"<",
        b"<root>" + b"&" * 2_000_000 + b"</root>",
        b"<root>" + b"<!--" * 500_000,
        b"<" * 2_000_000,
        b"<root" + b"a" * 2_000_000,
    ],
    ids=["many", "blanks", "attributes", "entities", "comments", "open", "name"],
)
def test_hostile_document_is_refused_in_bounded_time(data: bytes) -> None:
    began = time.process_time()

    assert refused(data)

    assert time.process_time() - began < 8
