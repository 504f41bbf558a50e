"""DRBD's tools as programs: what is missing is named with its remedy, and nothing waits longer than its limit."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path

import msgspec
import pytest

from agent.drbdd import kernel
from agent.drbdd.kernel import DrbdError, Kernel, missing
from agent.drbdd.words import Seen
from agent.mirrord.settings import Connect, Settings
from tests.agent.drbdd import recorded
from tests.agent.waiting import until


class Machine:
    """A directory with programs, of which `asked` tells how they were called, and the places of DRBD."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = tmp_path
        self.programs, self.module, self.place = tmp_path / "bin", tmp_path / "module", tmp_path / "drbd.d"
        self.conf = tmp_path / "drbd.conf"
        self.programs.mkdir()
        self.conf.write_text('include "drbd.d/*.res";\n')
        for name, value in (
            ("_PATH", str(self.programs)), ("_MODULE", self.module), ("_PLACE", self.place), ("_CONF", self.conf),
            ("_PROC", tmp_path / "proc"), ("_OWN_PLACES", (tmp_path / "lib", tmp_path / "run")),
        ):  # fmt: skip
            monkeypatch.setattr(kernel, name, value)
        self.settings = Settings(
            mirror="md1", engine="drbd", cluster="office", server="a", peer="b", key="5a" * 32, data="/dev/none",
            partition="/dev/none", run=str(tmp_path), boot="boot1",
            connects=(Connect(name="mdc1", own="10.0.0.1", peer="10.0.0.2"),),
        )  # fmt: skip
        self.kernel = Kernel(self.settings)

    def has(self, name: str, script: str = "exit 0") -> None:
        file = self.programs / name
        file.write_text(f'#!/bin/sh\necho {name} "$@" >> {self.path}/asked\n{script}\n')
        file.chmod(0o755)

    def says(self, name: str, answers: dict[str, str], code: int = 0) -> None:
        """By the first word of the call."""
        cases = "".join(f"{what}) printf %s {shlex.quote(text)};;\n" for what, text in answers.items())
        self.has(name, f'case "$1" in\n{cases}esac\nexit {code}')

    def has_drbd(self) -> None:
        self.module.mkdir()
        self.says("drbdadm", {"get-gi": recorded.GI_EQUAL})
        self.says("drbdsetup", {"status": recorded.FOLLOWING})

    @property
    def asked(self) -> list[str]:
        file = self.path / "asked"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


# ---- what is missing ----
@pytest.mark.parametrize(
    ("there", "named"), [((), "drbdadm"), (("drbdadm",), "drbdsetup"), (("drbdsetup",), "drbdadm")]
)
def test_missing_tool_is_named_with_the_package(machine, there, named):
    machine.module.mkdir()
    for name in there:
        machine.has(name)

    why = f"{named} is not installed. Install the package drbd-utils."
    assert missing() == why
    with pytest.raises(DrbdError) as error:
        machine.kernel.up()
    assert str(error.value) == f"The engine of md1 is DRBD, which this server cannot use: {why}"


@pytest.mark.parametrize("modprobe", [None, "exit 1", "exit 0"], ids=("no modprobe", "fails", "loads nothing"))
def test_missing_module_is_named_with_the_remedy(machine, modprobe):
    machine.has("drbdadm")
    machine.has("drbdsetup")
    if modprobe is not None:
        machine.has("modprobe", modprobe)

    with pytest.raises(DrbdError, match=r"has no module drbd\. Install the package that has it .*drbd-dkms") as error:
        machine.kernel.up()

    assert os.uname().release in str(error.value)
    assert machine.asked == ["modprobe drbd"] * (modprobe is not None)
    assert not machine.place.exists()


def test_module_is_loaded_when_it_is_not_there(machine):
    machine.has("drbdadm")
    machine.has("drbdsetup")
    machine.has("modprobe", f"/bin/mkdir {machine.module}")

    assert [missing(), missing()] == ["", ""]
    assert machine.asked == ["modprobe drbd"]


def test_modprobe_that_hangs_is_no_module(machine, monkeypatch):
    monkeypatch.setattr(kernel, "COMMAND_S", 0.02)
    machine.has("drbdadm")
    machine.has("drbdsetup")
    machine.has("modprobe", "exec /bin/sleep 60")

    assert "has no module drbd" in missing()


def test_tool_that_is_removed_later_is_named(machine):
    machine.module.mkdir()
    machine.has("drbdsetup")

    with pytest.raises(DrbdError, match="drbdadm is not installed"):
        machine.kernel.demote()


# ---- programs ----
@pytest.mark.slow
def test_program_that_does_not_end_is_ended_with_all_that_it_started(machine):
    machine.has("drbdadm", f"/bin/sleep 60 &\necho $! > {machine.path}/pid\nwait")

    with pytest.raises(DrbdError, match=r"^`drbdadm primary md1` did not end within 0\.3 s\.$") as error:
        machine.kernel.adm("primary", limit_s=0.3)

    assert error.value.code is None
    pid = machine.path / "pid"
    started = pid.read_text().strip() if pid.exists() else ""
    assert not started or until(lambda: is_gone(int(started)))


def is_gone(pid):
    """Or dead, and nobody has asked for its end yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_drbd_says_is_in_the_sentence(machine):
    machine.has("drbdadm", f"printf %s {shlex.quote(recorded.NO_CONNECTION)} >&2\nexit 10")

    with pytest.raises(DrbdError) as error:
        machine.kernel.adm("disconnect")

    assert str(error.value) == f"`drbdadm disconnect md1` failed (10): {' '.join(recorded.NO_CONNECTION.split())}"
    assert error.value.code == 10


def test_long_complaint_is_cut_and_no_text_is_no_reason(machine):
    machine.has("drbdadm", "/bin/head -c 100000 /dev/zero | /usr/bin/tr '\\0' x >&2\nexit 1")
    with pytest.raises(DrbdError, match=r"failed \(1\): x{400}$"):
        machine.kernel.adm("up")

    machine.has("drbdadm", "printf '\\377\\n'\nexit 20")
    with pytest.raises(DrbdError, match=r"failed \(20\): \ufffd$"):
        machine.kernel.adm("up")

    machine.has("drbdadm", "exit 3")
    with pytest.raises(DrbdError, match=r"failed \(3\): it does not say why$"):
        machine.kernel.adm("up")


def test_program_that_cannot_be_started_is_named(machine):
    (machine.programs / "drbdadm").write_bytes(b"\x7fELF, but torn")
    (machine.programs / "drbdadm").chmod(0o755)

    with pytest.raises(DrbdError, match=r"^`drbdadm up md1` could not be started: Exec format error\.$"):
        machine.kernel.adm("up")


def test_tools_get_no_environment_of_ours(machine, monkeypatch):
    monkeypatch.setenv("OPENCLP_OF_OURS", "1")
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    machine.has("drbdadm", "/usr/bin/env")

    said = machine.kernel.adm("dump").splitlines()
    assert "LC_ALL=C" in said
    assert not [line for line in said if "OF_OURS" in line or "ja_JP" in line]


@pytest.mark.parametrize("name", ["all", "-force", "md1/0", "../md1"])
def test_no_order_goes_to_more_than_this_mirror(machine, name):
    machine.has_drbd()
    other = Kernel(msgspec.structs.replace(machine.settings, mirror=name))

    for order in (other.up, other.down, other.look, other.demote, other.abort):
        with pytest.raises(DrbdError, match=r'cannot be (named "all"|the name of a DRBD resource)'):
            order()
    assert machine.asked == []


# ---- a look ----
def test_look_is_state_and_generations(machine):
    machine.has_drbd()

    seen = machine.kernel.look()

    assert (seen.there, seen.peer_role, seen.generations.current) == (True, "Primary", "835925846F280C00")
    assert machine.asked == ["drbdsetup status md1 --verbose --statistics", "drbdadm get-gi md1"]


def test_resource_that_is_not_there_is_none(machine):
    machine.has_drbd()
    machine.has("drbdsetup", "echo 'md1: No such resource' >&2\nexit 10")

    assert machine.kernel.look() == Seen()


def test_without_the_module_there_is_none(machine):
    machine.has("drbdadm")
    machine.has("drbdsetup", "echo 'Could not connect to drbd generic netlink family' >&2\nexit 20")

    assert machine.kernel.look() == Seen()


def test_tool_that_does_not_answer_is_not_taken_for_no_resource(machine, monkeypatch):
    machine.has_drbd()
    monkeypatch.setattr(Kernel._run, "__kwdefaults__", {"limit_s": 0.02})
    machine.has("drbdsetup", "exec /bin/sleep 60")

    with pytest.raises(DrbdError, match="did not end within"):
        machine.kernel.look()


@pytest.mark.parametrize("code", [1, 20])
def test_tool_that_fails_is_not_taken_for_no_resource(machine, code):
    machine.has_drbd()
    machine.has("drbdsetup", f"exit {code}")

    with pytest.raises(DrbdError, match=rf"failed \({code}\)"):
        machine.kernel.look()


def test_disk_without_meta_data_has_no_generation(machine):
    machine.has_drbd()
    machine.has("drbdadm", "echo 'No valid meta data found' >&2\nexit 255")

    seen = machine.kernel.look()

    assert (seen.there, seen.generations.constructed) == (True, False)


def test_generations_that_are_not_told_in_time_are_not_taken_for_none(machine, monkeypatch):
    machine.has_drbd()
    machine.has("drbdadm", "exec /bin/sleep 60")
    monkeypatch.setattr(Kernel.adm, "__kwdefaults__", {"limit_s": 0.02})

    with pytest.raises(DrbdError, match="`drbdadm get-gi md1` did not end within"):
        machine.kernel.look()


def test_out_of_sync_comes_from_proc_while_nobody_is_connected(machine):
    machine.has_drbd()
    machine.says("drbdsetup", {"status": recorded.STAND_ALONE})
    proc = recorded.PROC.replace(" 1: ", f" {machine.kernel.minor}: ").replace("oos:0", "oos:24")
    (machine.path / "proc").write_text(proc)

    assert machine.kernel.look().out_of_sync == 24 << 10


# ---- the file ----
def test_file_is_for_root_alone_and_names_the_handler(machine):
    machine.has_drbd()
    (machine.module / "version").write_text("8.4.11\n")

    machine.kernel.create()

    file = machine.place / "openclp-md1.res"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f'fence-peer "{sys.executable} -I -S ' in file.read_text()
    assert f"handler.py {machine.settings.control} fence" in file.read_text()
    assert machine.asked == ["drbdadm create-md --force md1"]
    assert [one.name for one in machine.place.iterdir()] == [file.name]


def test_file_is_not_written_anew_without_need(machine):
    machine.has_drbd()
    machine.kernel.create()
    before = (machine.place / "openclp-md1.res").stat()

    machine.kernel.create()
    assert (machine.place / "openclp-md1.res").stat().st_ino == before.st_ino

    (machine.place / "openclp-md1.res").write_text("changed by hand")
    machine.kernel.create()
    assert "resource" in (machine.place / "openclp-md1.res").read_text()


def test_directory_of_the_socket_stays_one_word_to_the_shell(machine):
    """drbdadm gives the handler to /bin/sh."""
    machine.has_drbd()
    run = "/run/a b; reboot '$(id)'"
    asked = Kernel(msgspec.structs.replace(machine.settings, run=run))._handler()

    assert shlex.split(asked)[-1] == f"{run}/mirror-md1.sock"


@pytest.mark.parametrize("conf", [None, "", "global { }\n"])
def test_configuration_that_does_not_include_ours_is_refused_with_the_line(machine, conf):
    machine.has_drbd()
    machine.conf.unlink()
    if conf is not None:
        machine.conf.write_text(conf)

    with pytest.raises(DrbdError, match=r'does not include drbd\.d/\*\.res; add that line: include "drbd\.d/\*\.res";'):
        machine.kernel.create()
    assert machine.asked == []


def test_place_that_cannot_be_written_is_named(machine):
    machine.has_drbd()
    machine.place.write_text("a file")

    with pytest.raises(DrbdError, match=rf"{machine.place} cannot be used: File exists\."):
        machine.kernel.create()


@pytest.mark.parametrize(
    "changes", [{"data": "/dev/a\nb"}, {"connects": ()}, {"peer": "x" * 300}], ids=("path", "connects", "long")
)
def test_what_drbd_cannot_be_told_is_a_sentence(machine, changes):
    machine.has_drbd()

    with pytest.raises(DrbdError, match=r"configuration can|no mirror connect"):
        Kernel(msgspec.structs.replace(machine.settings, **changes)).create()
    assert machine.asked == []


def test_configuration_larger_than_any_is_a_sentence(machine):
    machine.has_drbd()
    with machine.conf.open("wb") as file:
        file.truncate((1 << 20) + 1)

    with pytest.raises(DrbdError, match=r"drbd\.conf is larger than"):
        machine.kernel.create()


def test_partition_that_is_no_block_device_is_refused(machine):
    machine.has_drbd()

    with pytest.raises(DrbdError, match="/dev/none is no block device on this server; DRBD needs one"):
        machine.kernel.up()
    assert machine.asked == []


# ---- orders ----
def test_down_takes_the_file_away_only_when_drbd_has_let_go(machine):
    machine.has_drbd()
    machine.kernel.create()
    machine.has("drbdadm", "exit 11")
    with pytest.raises(DrbdError, match=r"`drbdadm down md1` failed"):
        machine.kernel.down()
    assert machine.kernel.file.exists()

    machine.has("drbdadm")
    machine.kernel.down()
    assert not machine.kernel.file.exists()


def test_promotion_apart_lets_go_of_the_other_side_first(machine):
    machine.has_drbd()
    machine.kernel.promote(apart=True, force=False)

    assert [line for line in machine.asked if line.startswith("drbdadm") and "get-gi" not in line] == [
        "drbdadm disconnect --force md1", "drbdadm primary md1",
    ]  # fmt: skip


def test_io_is_let_go_only_without_a_disk(machine):
    machine.has_drbd()
    machine.says("drbdsetup", {"status": recorded.FROZEN})
    with pytest.raises(DrbdError, match="DRBD has not let go of the disk of md1: it is UpToDate"):
        machine.kernel.abort()
    assert not [line for line in machine.asked if "resume-io" in line]

    machine.says("drbdsetup", {"status": recorded.FROZEN_DISKLESS})
    machine.kernel.abort()
    assert machine.asked[-1] == f"drbdsetup resume-io {machine.kernel.minor}"
