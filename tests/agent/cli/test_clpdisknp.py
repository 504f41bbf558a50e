"""clpdisknp: prepares what is blank, and never harms what is not."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from agent.cli.clpdisknp import main
from agent.drivers.shared_disk import DiskError, SharedDisk
from agent.wire.disk import BLOCK, NEEDED_BYTES, decode_header, length_of
from agent.wire.epoch import Epoch
from agent.wire.witness import Ask
from agent.witness.disk import DiskWitness
from tests.agent.daemon.shell import CLP_CONF


@pytest.fixture
def conf(tmp_path: Path) -> str:
    path = tmp_path / "clp.conf"
    path.write_bytes(CLP_CONF)
    return str(path)


def blank(path: Path, size: int = 2 << 20) -> str:
    with path.open("wb") as file:
        file.truncate(size)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(words)
    said = capsys.readouterr()
    return code, said.out + said.err


def test_blank_disk_is_prepared_for_the_servers_of_clp_conf(tmp_path: Path, conf: str, capsys):
    disk = blank(tmp_path / "disk")

    code, said = run(capsys, "init", "--conf", conf, disk)

    assert (code, said) == (0, f"{disk} is prepared for cluster c: server1, server2.\n")
    code, said = run(capsys, "show", disk)
    assert code == 0
    assert said == f"{disk}: cluster c\n  server1: has not written yet\n  server2: has not written yet\n"


def test_show_tells_who_has_promised_what(tmp_path: Path, conf: str, capsys):
    disk = blank(tmp_path / "disk")
    run(capsys, "init", "--conf", conf, disk)
    header = decode_header(Path(disk).read_bytes())
    medium = SharedDisk(disk, length_of(header))
    server = DiskWitness(medium, header, "server2", 7, 1.0, lambda: 5.0)
    server.propose(Ask("server2", 7, 0, "", 1.0, Epoch(3, 1), ("server1", "server2"), ("server1", "server2")))
    server.beat("online")
    medium.close()

    _, said = run(capsys, "show", disk)

    assert "server2: online, beat 1 of start 7, promised view 3.1 of server1, server2" in said


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1024, 100_000, NEEDED_BYTES - 1])
def test_disk_that_holds_something_is_left_alone(tmp_path: Path, conf: str, capsys, place: int):
    disk = blank(tmp_path / "disk")
    with Path(disk).open("r+b") as file:
        file.seek(place)
        file.write(b"x")
    before = Path(disk).read_bytes()

    for words in (["init"], ["init", "--again"]):
        code, said = run(capsys, *words, "--conf", conf, disk)
        assert (code, "holds something" in said, "dd if=/dev/zero" in said) == (1, True, True)
    assert Path(disk).read_bytes() == before


@pytest.mark.slow
def test_file_system_is_left_alone(tmp_path: Path, conf: str, capsys):
    disk = blank(tmp_path / "disk", 8 << 20)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True, capture_output=True, timeout=30)

    assert run(capsys, "init", "--conf", conf, disk)[0] == 1


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_prepared_disk_is_made_again_only_on_request_and_while_nobody_writes(tmp_path: Path, conf: str, capsys):
    disk = blank(tmp_path / "disk")
    run(capsys, "init", "--conf", conf, disk)
    assert "prepared already" in run(capsys, "init", "--conf", conf, disk)[1]
    medium = SharedDisk(disk, 16 * BLOCK)
    writer = threading.Timer(0.5, lambda: medium.write(3 * BLOCK, b"\1" * BLOCK))
    writer.start()
    assert "is in use: stop the cluster" in run(capsys, "init", "--again", "--conf", conf, disk)[1]
    writer.join()
    medium.close()

    assert run(capsys, "init", "--again", "--conf", conf, disk)[0] == 0
    assert "damaged" not in run(capsys, "show", disk)[1]


def test_disk_of_another_cluster_is_left_alone(tmp_path: Path, conf: str, capsys):
    disk = blank(tmp_path / "disk")
    run(capsys, "init", "--conf", conf, disk)
    Path(conf).write_bytes(CLP_CONF.replace(b"<name>c</name>", b"<name>other</name>"))

    code, said = run(capsys, "init", "--again", "--conf", conf, disk)

    assert (code, "belongs to cluster c" in said) == (1, True)


def test_what_cannot_be_a_disk_is_named(tmp_path: Path, conf: str, capsys):
    small = blank(tmp_path / "small", 1000)
    (tmp_path / "directory").mkdir()
    for path, said in (
        (small, "at least 1048576 (1 MiB)"),
        (str(tmp_path / "none"), "No such file"),
        (str(tmp_path / "directory"), "neither a block device nor a file"),
        ("/dev/null", "neither a block device nor a file"),
    ):
        code, text = run(capsys, "init", "--conf", conf, path)
        assert code == 1
        assert said in text
        assert path in text
    assert "is not prepared" in run(capsys, "show", blank(tmp_path / "blank"))[1]


def test_read_and_write_name_what_is_missing(tmp_path: Path):
    with pytest.raises(DiskError, match="ends after 4096 bytes; 8192 are needed"):
        SharedDisk(blank(tmp_path / "short", 4096), 8192).read()
