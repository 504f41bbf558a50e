"""A configuration with its scripts goes through an archive unharmed; what does not belong there is refused."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import tarfile
import zipfile

import pytest

from agent.clpconf import archive
from agent.clpconf.archive import ArchiveError, Bundle, Script, read_archive, write_archive

BUNDLE = Bundle(
    b"<root/>",
    {
        "failover1/exec1/start.sh": Script(b"#!/bin/sh\n\x00\xff", 0o755),
        "failover1/exec1/stop.sh": Script(b"", 0o700),
        "monitor.s/genw1/genw.sh": Script(b"exit 0\n", 0o644),
        "g/e/起動.sh": Script(b"x", 0o755),
    },
)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(path: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, link
    return info


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for path, data in members.items():
            made.writestr(path, data)
    return out.getvalue()


def refusal(data: bytes) -> list[str]:
    with pytest.raises(ArchiveError) as caught:
        read_archive(data)
    assert all(finding.text and finding.remedy for finding in caught.value.findings)
    return [finding.code for finding in caught.value.findings]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_bundle_comes_back_with_contents_and_modes(kind: archive.Format) -> None:
    data = write_archive(BUNDLE, kind)

    assert read_archive(data) == Bundle(BUNDLE.conf, dict(sorted(BUNDLE.scripts.items())))
    assert write_archive(read_archive(data), kind) == data


def test_archive_of_the_folder_above_is_taken_and_strangers_are_named() -> None:
    data = zipped(
        {"etc/clp.conf": b"<root/>", "etc/scripts/g/e/start.sh": b"1", "etc/clp.conf.bak": b"", "note.txt": b""}
    )

    assert read_archive(data) == Bundle(
        b"<root/>", {"g/e/start.sh": Script(b"1", 0o600)}, ("etc/clp.conf.bak", "note.txt")
    )


def test_windows_separators_are_understood() -> None:
    info = zipfile.ZipInfo("x")
    info.filename = "scripts\\g\\e\\start.sh"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("clp.conf", b"<root/>")
        made.writestr(info, b"1")

    assert list(read_archive(out.getvalue()).scripts) == ["g/e/start.sh"]


def test_set_user_id_does_not_come_in() -> None:
    info = entry("scripts/g/e/start.sh")
    info.mode = 0o6755

    assert read_archive(tar((entry("clp.conf"), b"x"), (info, b"1"))).scripts["g/e/start.sh"].mode == 0o755


@pytest.mark.parametrize(
    "path",
    ["../clp.conf", "/etc/passwd", "scripts/../../x", "scripts//x", "scripts/a\x01b", "a/" * 40 + "b", "a" * 300],
)
def test_path_that_leads_elsewhere_is_refused(path: str) -> None:
    assert refusal(tar((entry("clp.conf"), b"x"), (entry(path), b"1"))) == ["archive.path"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_link_or_device_is_refused(kind: bytes) -> None:
    assert refusal(tar((entry("clp.conf"), b"x"), (entry("scripts/a", kind, "/etc/passwd"), b""))) == ["archive.kind"]


def test_symbolic_link_in_a_zip_is_refused() -> None:
    info = zipfile.ZipInfo("scripts/a")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("clp.conf", b"<root/>")
        made.writestr(info, b"/etc/passwd")

    assert refusal(out.getvalue()) == ["archive.kind"]


def test_everything_wrong_is_said_at_once() -> None:
    assert refusal(tar((entry("../a"), b""), (entry("b", tarfile.SYMTYPE, "x"), b""))) == [
        "archive.path",
        "archive.kind",
    ]


def test_archive_without_or_with_two_configurations_is_refused() -> None:
    assert refusal(zipped({"scripts/a": b""})) == ["archive.conf"]
    assert refusal(zipped({"a/clp.conf": b"", "b/clp.conf": b""})) == ["archive.conf"]
    assert refusal(tar((entry("clp.conf"), b"1"), (entry("clp.conf"), b"2"))) == ["archive.twice"]


def test_bombs_end_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 1_000_000)
    monkeypatch.setattr(archive, "MAX_FILES", 50)
    assert refusal(gzip.compress(bytes(3_000_000))) == ["archive.too_large"]
    many = {f"scripts/{number}": b"" for number in range(60)}
    assert refusal(zipped(many)) == ["archive.too_many"]
    large = {"clp.conf": b"x", **{f"scripts/{number}": bytes(300_000) for number in range(5)}}
    assert refusal(zipped(large)) == ["archive.too_large"]
    monkeypatch.setattr(archive, "MAX_SCRIPT_BYTES", 1000)
    assert refusal(zipped({"clp.conf": b"x", "scripts/a": bytes(1001)})) == ["archive.too_large"]
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 10)
    assert refusal(zipped({"clp.conf": b"x"})) == ["archive.too_large"]


@pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\x00" * 600, b"<root/>"])
def test_rubbish_is_no_archive(data: bytes) -> None:
    assert set(refusal(data)) <= {"archive.broken", "archive.conf"}


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_broken_archives_are_read_or_refused(kind: archive.Format) -> None:
    whole = write_archive(BUNDLE, kind)
    chance = random.Random(1)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(ArchiveError):
            read_archive(bytes(data[: chance.choice((None, chance.randrange(len(data))))]))


def test_path_that_may_not_be_stored_is_not_written() -> None:
    with pytest.raises(ArchiveError):
        write_archive(Bundle(b"", {"../x": Script(b"")}))
