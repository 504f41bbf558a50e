"""A configuration with its scripts as one archive: clp.conf and scripts/, as tar.gz or zip.

What comes from outside is read entry by entry, with limits on sizes and counts, and never written anywhere on the way.
Links, devices, absolute paths and ways upward are refused; files that do not belong to a configuration are named.
"""

from __future__ import annotations

import gzip
import io
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import IO, Literal, NamedTuple, NoReturn

from agent.clpconf.document import MAX_BYTES
from agent.clpconf.findings import Finding

CONF = "clp.conf"
SCRIPTS = "scripts"
MAX_ARCHIVE_BYTES = 32 * 1024 * 1024
MAX_SCRIPT_BYTES = 4 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_FILES = 20_000
_MAX_PATH = 1024
_MAX_NAME = 255
_MAX_DEPTH = 16
_PERMISSIONS = 0o777  # Neither set-user-id nor sticky bits come in by an archive.
_USUAL_MODE = 0o755  # Where the archive does not tell, as those made on Windows: scripts are there to run.
_CHUNK = 1024 * 1024

Format = Literal["tar.gz", "zip"]


class ArchiveError(Exception):
    """`findings`: all that is wrong; their `path` is that of the entry."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = list(findings)


class Script(NamedTuple):
    data: bytes
    mode: int = _USUAL_MODE


class Bundle(NamedTuple):
    """`scripts`: path below scripts/ -> script. `ignored`: entries of the archive that are no part of it."""

    conf: bytes
    scripts: Mapping[str, Script]
    ignored: tuple[str, ...] = ()


class _Entry(NamedTuple):
    path: str
    size: int
    mode: int
    fit: bool  # a plain file
    open: Callable[[], IO[bytes] | None]


def read_archive(data: bytes) -> Bundle:
    """tar.gz, tar or zip. Raises ArchiveError."""
    if len(data) > MAX_ARCHIVE_BYTES:
        _refuse("archive.too_large", "", f"The archive has {len(data)} bytes.", f"The limit is {MAX_ARCHIVE_BYTES}.")
    try:
        if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return _collect(_zip_entries(data))
        return _collect(_tar_entries(data))
    except ArchiveError:
        raise
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError, OSError,
        NotImplementedError, RuntimeError, ValueError, UnicodeError, OverflowError,
    ) as error:  # fmt: skip
        reason = f"The archive cannot be read: {error}."[:200]
        raise ArchiveError(Finding("archive.broken", "error", "", reason, "Make it anew as tar.gz or zip.")) from error


def write_archive(bundle: Bundle, kind: Format = "tar.gz") -> bytes:
    """Equal bundles give equal bytes: sorted, owned by root, without times."""
    return _write_zip(bundle) if kind == "zip" else _write_tar(bundle)


def check_path(path: str) -> str:
    """ "" when `path` (below scripts/) may be stored, else what is wrong with it."""
    if not path or len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH:
        return "It is empty or too long."
    if not path.isprintable() or "\\" in path:
        return "It has characters that a path should not have."
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "It leads out of the folder of scripts."
    if len(parts) > _MAX_DEPTH or any(len(part.encode("utf-8", "surrogatepass")) > _MAX_NAME for part in parts):
        return "It is too deep, or has too long a name."
    return ""


def _tar_entries(data: bytes) -> Iterator[_Entry]:
    """Streaming: what an entry says of its size is never believed beyond the limits."""
    plain = _inflated(data) if data.startswith(b"\x1f\x8b") else data
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
        for member in archive:
            fit = member.isreg() and not member.issparse()
            if not member.isdir():
                yield _Entry(member.name, member.size, member.mode, fit, partial(archive.extractfile, member))


def _inflated(data: bytes) -> bytes:
    """A bomb ends at the limit, not at the end of the memory."""
    limit = MAX_TOTAL_BYTES + 1024 * MAX_FILES
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        plain = stream.read(limit + 1)
    if len(plain) > limit:
        _refuse("archive.too_large", "", f"The archive holds more than {limit} bytes.", "Take out what is no script.")
    return plain


def _zip_entries(data: bytes) -> Iterator[_Entry]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            encrypted = bool(info.flag_bits & 1)
            fit = not encrypted and (stat.S_IFMT(mode) in (0, stat.S_IFREG))
            # Windows programs write their own separator.
            path = info.filename.replace("\\", "/")
            yield _Entry(path, info.file_size, stat.S_IMODE(mode), fit, partial(archive.open, info))


def _collect(entries: Iterator[_Entry]) -> Bundle:
    findings: list[Finding] = []
    files: dict[str, Script] = {}
    total = 0
    for number, entry in enumerate(entries):
        if number >= MAX_FILES:
            _refuse(
                "archive.too_many", "", f"The archive has more than {MAX_FILES} files.", "Take out what is no script."
            )
        path = posixpath.normpath(entry.path) if entry.path.startswith("./") else entry.path
        problem = _problem(path, entry)
        if problem is not None:
            findings.append(problem)
            continue
        content = _content(entry, path)
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            _refuse("archive.too_large", "", f"The files have more than {MAX_TOTAL_BYTES} bytes.", "Take out some.")
        if path in files:
            findings.append(_finding("archive.twice", path, "This file is there twice.", "Keep one of them."))
        files[path] = Script(content, entry.mode & _PERMISSIONS or _USUAL_MODE)
    if findings:
        raise ArchiveError(*findings)
    return _bundle(files)


def _problem(path: str, entry: _Entry) -> Finding | None:
    wrong = check_path(path)
    if wrong:
        return _finding("archive.path", path, f"This path is not allowed. {wrong}", "Use plain paths below scripts/.")
    if not entry.fit:
        return _finding(
            "archive.kind", path, "This is no plain file.", "Put the file itself there, without a password."
        )
    limit = MAX_BYTES if posixpath.basename(path) == CONF else MAX_SCRIPT_BYTES
    if entry.size > limit:
        return _finding("archive.too_large", path, f"This file has {entry.size} bytes.", f"The limit is {limit}.")
    return None


def _content(entry: _Entry, path: str) -> bytes:
    """At most what the entry said, which was checked."""
    stream = entry.open()
    if stream is None:
        _refuse("archive.kind", path, "This is no plain file.", "Put the file itself there.")
    with stream:
        chunks, left = [], entry.size + 1
        while left > 0 and (chunk := stream.read(min(left, _CHUNK))):
            chunks.append(chunk)
            left -= len(chunk)
    content = b"".join(chunks)
    if len(content) != entry.size:
        _refuse("archive.broken", path, "This file is not as long as the archive says.", "Make the archive anew.")
    return content


def _bundle(files: Mapping[str, Script]) -> Bundle:
    """clp.conf on top, or in one folder with everything (etc/clp.conf, etc/scripts/...)."""
    found = sorted((path for path in files if posixpath.basename(path) == CONF), key=lambda path: path.count("/"))
    found = [path for path in found if f"/{SCRIPTS}/" not in f"/{path}"]
    if not found:
        _refuse(
            "archive.conf", CONF, "There is no clp.conf in the archive.", "Put it on the top level, beside scripts/."
        )
    if len(found) > 1 and found[0].count("/") == found[1].count("/"):
        _refuse("archive.conf", found[1], "There are two clp.conf in the archive.", "Keep one.")
    base = found[0][: -len(CONF)]
    below = f"{base}{SCRIPTS}/"
    scripts = {path[len(below) :]: script for path, script in sorted(files.items()) if path.startswith(below)}
    ignored = tuple(path for path in sorted(files) if path != found[0] and not path.startswith(below))
    return Bundle(files[found[0]].data, scripts, ignored)


def _members(bundle: Bundle) -> Iterator[tuple[str, Script]]:
    yield CONF, Script(bundle.conf, 0o644)
    for path, script in sorted(bundle.scripts.items()):
        wrong = check_path(path)
        if wrong:
            _refuse("archive.path", path, f"This path is not allowed. {wrong}", "Use plain paths.")
        yield f"{SCRIPTS}/{path}", script


def _write_tar(bundle: Bundle) -> bytes:
    out = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=out, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, script in _members(bundle):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(script.data), script.mode & _PERMISSIONS
            archive.addfile(info, io.BytesIO(script.data))
    return out.getvalue()


def _write_zip(bundle: Bundle) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, script in _members(bundle):
            info = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix: the mode counts.
            info.external_attr = (stat.S_IFREG | (script.mode & _PERMISSIONS)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, script.data)
    return out.getvalue()


def _finding(code: str, path: str, text: str, remedy: str) -> Finding:
    shown = "".join(c if c.isprintable() else "?" for c in path[:200])
    return Finding(code, "error", shown, text, remedy)


def _refuse(code: str, path: str, text: str, remedy: str) -> NoReturn:
    raise ArchiveError(_finding(code, path, text, remedy))
