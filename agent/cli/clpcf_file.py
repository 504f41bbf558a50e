"""clp.conf as the configuration commands read and write it: whole, by one replacement, with words for what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.catalog import specs
from agent.cli import client, options
from agent.cli.client import OK, REFUSED, USAGE, CommandError
from agent.clpconf import command_words
from agent.clpconf.archive import ArchiveError, Bundle, Script, check_path, read_archive
from agent.clpconf.command_alerts import UsageError
from agent.clpconf.document import MAX_BYTES, Document, DocumentError
from agent.clpconf.edit import Edit, EditError
from agent.drivers.files import read_limited, write_atomic

CONF = "clp.conf"
_MOST_SCRIPTS = 20_000
_LARGEST_SCRIPT = 4 << 20
_ARCHIVES = (b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06")
_LARGEST = 64 << 20
_REMEDY = " Change to its directory, or make one with clpcfset create."
EDIT_CODES = (
    (OK, "done"),
    (REFUSED, "refused, nothing was changed; the reason is on standard error"),
    (2, "wrong usage"),
)


def codes(meanings: tuple[tuple[int, str], ...]) -> str:
    return "exit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, meaning in meanings)


def read_bytes(path: Path, limit: int = MAX_BYTES, code: int = REFUSED) -> bytes:
    """ "-" is the standard input."""
    try:
        data = sys.stdin.buffer.read(limit + 1) if str(path) == "-" else read_limited(path, limit)
    except OSError as error:
        raise CommandError(code, f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        data = b"x" * (limit + 1)
    if data is None:
        raise CommandError(code, f"There is no {path}.{_REMEDY if str(path) == CONF else ''}")
    if len(data) > limit:
        raise CommandError(code, f"{path} is larger than {limit} bytes.")
    return data


def read_document(path: Path, code: int = REFUSED) -> Document:
    try:
        return Document.read(read_bytes(path, code=code))
    except DocumentError as error:
        raise CommandError(code, f"{path} cannot be used: {error}") from None


def change(path: Path, work: Callable[[Edit], None]) -> bool:
    """Carries out an edit of the file; False when nothing is different afterwards. All of it or nothing."""
    document = read_document(path)
    before = document.write()
    try:
        work(Edit(document, specs()))
    except (EditError, DocumentError) as error:
        raise CommandError(REFUSED, said(error)) from None
    after = document.write()
    if after != before:
        write(path, after)
    return after != before


def words_of(verb: str, given: Sequence[str]) -> Callable[[Edit], None]:
    """What "add" or "del" with these words does. Raises CommandError, also when it is done."""
    with _usage():
        work = command_words.do(verb, given)

    def done(edit: Edit) -> None:
        with _usage():
            work(edit)

    return done


@contextmanager
def _usage() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise CommandError(USAGE, str(error)) from None


def said(error: EditError | DocumentError) -> str:
    finding = error.finding if isinstance(error, EditError) else error.findings[0]
    place = f"{finding.path}: " if finding.path else ""
    return f"{place}{finding.text}" + (f" {finding.remedy}" if finding.remedy else "")


def write(path: Path, data: bytes, mode: int | None = None) -> None:
    """The old file or the new one, never a part; permissions stay. Through a link, the file that it names."""
    try:
        path = path.resolve()
        if mode is None:
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        write_atomic(path, data, durable=True, mode=mode)
        path.chmod(mode)  # Whatever the mask of the user is.
    except OSError as error:
        raise CommandError(REFUSED, f"{path} cannot be written: {error.strerror or error}.") from None


def read_bundle(path: Path, code: int = REFUSED) -> tuple[Bundle, bool]:
    """A clp.conf, a directory with one and scripts/, or an archive of both; and whether it can have scripts at all."""
    if path.is_dir():
        return Bundle(read_bytes(path / CONF, code=code), _scripts(path / "scripts", code)), True
    data = read_bytes(path, _LARGEST, code)
    if not data.startswith(_ARCHIVES):
        return Bundle(data, {}), False
    try:
        return read_archive(data), True
    except ArchiveError as error:
        raise CommandError(code, f"{path}: {error}") from None


def _scripts(directory: Path, code: int) -> dict[str, Script]:
    """Plain files only: a link could lead to what must not be sent to other servers."""
    found: dict[str, Script] = {}
    for path in sorted(directory.rglob("*")) if directory.is_dir() else ():
        name = path.relative_to(directory).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        wrong = check_path(name) or ("" if path.is_file() and not path.is_symlink() else "It is no plain file.")
        if wrong:
            raise CommandError(code, f"{path} cannot be a script: {wrong}")
        if len(found) >= _MOST_SCRIPTS:
            raise CommandError(code, f"{directory} has more than {_MOST_SCRIPTS} files.")
        found[name] = Script(read_bytes(path, _LARGEST_SCRIPT, code), path.stat().st_mode & 0o777)
    return found


def finish(as_json: bool, **fields: object) -> int:
    if as_json:
        print(options.json_text({"ok": True, "code": OK, **fields}))
    else:
        print("Command succeeded.")
    return OK


def running_conf() -> Path:
    """The one of this server."""
    return client.config_directory() / CONF
