"""The declared encoding of a clp.conf: bytes to text, text to bytes, and which bytes are structure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_DECLARATION = re.compile(
    rb"<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:\"1\.[0-9]+\"|'1\.[0-9]+')"
    rb"(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:\"([A-Za-z][A-Za-z0-9._-]*)\"|'([A-Za-z][A-Za-z0-9._-]*)'))?"
    rb"(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:\"(?:yes|no)\"|'(?:yes|no)'))?[ \t\r\n]*\?>"
)
_UTF16 = (b"\xfe\xff", b"\xff\xfe", b"<\x00", b"\x00<")


class EncodingError(Exception):
    """The bytes are not text in the declared encoding. `offset` is that of the first bad byte."""

    def __init__(self, code: str, text: str, remedy: str, offset: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.remedy = remedy
        self.offset = offset


@dataclass(frozen=True, slots=True)
class _Encoding:
    """`readers`: Python codecs, the first that reads the whole file is the file's. `writers`: further codecs that may
    write a single character when the file's own codec cannot, into bytes that it can read."""

    readers: tuple[str, ...]
    writers: tuple[str, ...] = ()
    # Characters of several bytes whose later bytes may look like ASCII ("]" in SJIS, GBK, BIG5; digits in GB18030).
    wide: re.Pattern[bytes] | None = None


_SJIS = _Encoding(("cp932",), ("shift_jis",), re.compile(rb"[\x81-\x9f\xe0-\xfc][\x40-\xfc]"))
_EUC_JP = _Encoding(("euc_jp", "euc_jis_2004"))
_GB2312 = _Encoding(("gb2312", "gbk"), (), re.compile(rb"[\x81-\xfe][\x40-\xfe]"))
_GBK = _Encoding(("gbk",), (), _GB2312.wide)
_BIG5 = _Encoding(("big5", "cp950"), (), _GB2312.wide)
_GB18030 = _Encoding(("gb18030",), (), re.compile(rb"[\x81-\xfe](?:[\x40-\xfe]|[0-9][\x81-\xfe][0-9])"))
_ASCII = _Encoding(("ascii",))
_KNOWN = {
    "ASCII": _ASCII,
    "US-ASCII": _ASCII,
    "UTF-8": _Encoding(("utf-8",)),
    "UTF8": _Encoding(("utf-8",)),
    "EUC-JP": _EUC_JP,
    "EUCJP": _EUC_JP,
    "SJIS": _SJIS,
    "SHIFT_JIS": _SJIS,
    "SHIFT-JIS": _SJIS,
    "WINDOWS-31J": _SJIS,
    "MS932": _SJIS,
    "CP932": _SJIS,
    "GB2312": _GB2312,
    "EUC-CN": _GB2312,
    "GBK": _GBK,
    "GB18030": _GB18030,
    "BIG5": _BIG5,
    "ISO-8859-1": _Encoding(("iso-8859-1",)),
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file's bytes with what its declaration says of them."""

    data: bytes
    start: int  # first byte after the byte order mark
    body: int  # first byte after the declaration
    declared: str  # "" when the file does not say
    codec: str
    encoding: _Encoding

    def decode(self, raw: bytes) -> str:
        """`raw` is a piece of this file, cut between characters."""
        return raw.decode(self.codec)

    def encode(self, text: str) -> bytes:
        """Raises EncodingError naming the first character that has no place in this encoding."""
        try:
            return text.encode(self.codec)
        except UnicodeEncodeError:
            return b"".join(self._encode_one(character) for character in text)

    def _encode_one(self, character: str) -> bytes:
        for codec in (self.codec, *self.encoding.writers):
            try:
                return character.encode(codec)
            except UnicodeEncodeError:
                continue
        raise EncodingError(
            "text.encoding",
            f'The character "{character}" (U+{ord(character):04X}) does not exist in {self.declared or "UTF-8"}, '
            "the encoding of this file.",
            "Write it in other words, or convert the file to UTF-8.",
        )

    def masked(self) -> bytes:
        """The same length, with every character of several bytes blotted out, so that ASCII bytes are structure."""
        if self.encoding.wide is None:
            return self.data
        return self.encoding.wide.sub(lambda wide: b"\x80" * len(wide[0]), self.data)


def decode(data: bytes) -> tuple[Encoded, str]:
    """Finds the encoding and reads the whole file in it, without a byte order mark. Raises EncodingError."""
    start = len(_BOM) if data.startswith(_BOM) else 0
    if data.startswith(_UTF16):
        raise EncodingError("xml.encoding", "The file is in UTF-16.", _REMEDY)
    declaration = _DECLARATION.match(data, start)
    if declaration is None and re.compile(rb"<\?xml[ \t\r\n?]").match(data, start):
        raise EncodingError(
            "xml.syntax", "The XML declaration is malformed.", 'Write <?xml version="1.0" encoding="UTF-8"?>.', start
        )
    declared = ((declaration[1] or declaration[2] or b"") if declaration else b"").decode("ascii")
    encoding = _KNOWN.get((declared or "UTF-8").upper())
    if encoding is None:
        raise EncodingError("xml.encoding", f'The encoding "{declared}" is not supported.', _REMEDY, start)
    if start and declared.upper() not in ("", "UTF-8", "UTF8"):
        raise EncodingError("xml.encoding", f'The file begins as UTF-8 but declares "{declared}".', _REMEDY, start)
    codec, text = _read(data, start, declared, encoding)
    return Encoded(data, start, declaration.end() if declaration else start, declared, codec, encoding), text


def _read(data: bytes, start: int, declared: str, encoding: _Encoding) -> tuple[str, str]:
    for codec in encoding.readers:
        try:
            return codec, data[start:].decode(codec)
        except UnicodeDecodeError as error:
            last = error
    name = declared or "UTF-8"
    bad = f"0x{data[start + last.start]:02X}"
    raise EncodingError(
        "xml.encoding",
        f"Byte {bad} does not belong to any {name} character.",
        "Declare the encoding that the file really has, or save it in the declared one.",
        start + last.start,
    )


_REMEDY = "Save it as UTF-8, or in one of EUC-JP, SJIS, GB2312, GBK, GB18030, BIG5, ASCII, and declare that."
