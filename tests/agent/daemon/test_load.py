"""The reader process of clp.conf, and how the daemon takes its answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.clpconf.model import Cluster
from agent.daemon import configuration_files, switching
from agent.daemon.load import ConfigurationError, load_cluster, read_config
from agent.daemon.load import main as load_main
from agent.daemon.paths import INCARNATION, PET_FD, READ_AGAIN, RESTART_CAUSE, SERVICE, paths
from agent.daemon.running import RUNNING, Running, read_running, write_running
from agent.daemon.setup import UnsettledError, prepare
from agent.daemon.state import StateFile, Stored
from agent.drivers.machine import boot_id
from agent.wire.switch import Switch, config_id
from tests.agent.daemon.shell import CLP_CONF, small_cluster

BROKEN = CLP_CONF.replace(b"</cluster>", b"</clutter>")


def load(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "agent.daemon.load", *arguments],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_model_comes_as_json(tmp_path: Path):
    place = tmp_path / "clp.conf"
    place.write_bytes(CLP_CONF)

    from_file, from_stdin = load(str(place)), load("-", data=CLP_CONF)

    assert from_file.returncode == from_stdin.returncode == 0
    assert from_file.stdout == from_stdin.stdout
    cluster = msgspec.json.decode(from_file.stdout, type=Cluster)
    assert cluster.server_names == ("server1", "server2")
    assert cluster.group("failover1").resources == ("exec1",)


@pytest.mark.slow
async def test_what_clpd_reads_is_what_its_incarnation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The daemon does not read clp.conf a second time, and tells the findings once."""
    places = paths({"OPENCLP_ETC": str(tmp_path), "OPENCLP_STATE": str(tmp_path)})
    config = CLP_CONF.replace(b'<types name="exec"/>', b'<types name="exec"/><types name="fip"/>')
    Path(places.config).write_bytes(config)
    Path(places.server).write_text("server1")
    Path(places.key).write_bytes(b"k" * 32)
    Path(places.key).chmod(0o600)
    for name in ("OPENCLP_ETC", "OPENCLP_STATE", "OPENCLP_RUN", "OPENCLP_LOG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv(RESTART_CAUSE, raising=False)

    assert load().returncode == 0
    assert read_running(tmp_path / RUNNING) is None  # Nobody runs it.
    monkeypatch.setenv(INCARNATION, "7")
    read = load()
    Path(places.config).unlink()
    setup = await prepare(paths())

    assert setup.incarnation == 7
    assert setup.running.config == config
    assert setup.cluster == msgspec.json.decode(read.stdout, type=Cluster)
    assert list(setup.findings) == read.stderr.decode().splitlines() != []
    monkeypatch.setenv(RESTART_CAUSE, "The daemon died.")
    assert (await prepare(paths())).findings == ()


@pytest.mark.slow
def test_broken_file_gives_findings_with_a_place_and_exit_code_1():
    done = load("-", data=BROKEN)

    assert done.returncode == 1
    assert done.stdout == b""
    assert b"error xml" in done.stderr


@pytest.mark.slow
def test_missing_file_is_named(tmp_path: Path):
    done = load(str(tmp_path / "clp.conf"))

    assert done.returncode == 1
    assert f"{tmp_path}/clp.conf cannot be read: No such file".encode() in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
async def test_daemon_gets_the_model_and_the_findings():
    cluster, findings = await load_cluster(CLP_CONF)

    assert cluster.name == "c"
    assert all("error" not in finding for finding in findings)


@pytest.mark.slow
async def test_daemon_gets_all_findings_of_a_bad_file():
    with pytest.raises(ConfigurationError, match="error xml"):
        await load_cluster(BROKEN)


def test_file_that_is_no_configuration_is_refused(tmp_path: Path):
    place = tmp_path / "clp.conf"
    with place.open("wb") as file:
        file.truncate((16 << 20) + 1)

    with pytest.raises(ConfigurationError, match="larger than"):
        read_config(str(place))


@pytest.mark.slow
def test_the_daemon_never_loads_the_xml_library():
    code = "import sys; import agent.daemon.main, agent.daemon.release; print('lxml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "False\n"


@pytest.mark.slow
def test_start_completes_a_switch_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("ETC", "STATE", "RUN", "LOG"):
        monkeypatch.setenv(f"OPENCLP_{name}", str(tmp_path))
    monkeypatch.setenv(INCARNATION, "7")
    (tmp_path / "clp.conf").write_bytes(BROKEN)
    (tmp_path / ".clp.switching").mkdir()
    (tmp_path / ".clp.switching/clp.conf").write_bytes(CLP_CONF)

    assert load().returncode == 0

    assert (tmp_path / "clp.conf").read_bytes() == CLP_CONF
    assert not (tmp_path / ".clp.switching").exists()


@pytest.mark.slow
async def test_service_that_was_stopped_stays_so_when_clpd_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("ETC", "STATE", "RUN", "LOG"):
        monkeypatch.setenv(f"OPENCLP_{name}", str(tmp_path))
    monkeypatch.setenv(INCARNATION, "7")
    (tmp_path / "clp.conf").write_bytes(CLP_CONF)
    (tmp_path / "server").write_text("server1\n")
    (tmp_path / "cluster.key").write_text("k" * 32)
    (tmp_path / "cluster.key").chmod(0o600)
    as_at_boot = (await prepare(paths())).saved
    monkeypatch.setenv(SERVICE, "stopped")

    begun_anew = (await prepare(paths())).saved
    earlier = StateFile(tmp_path / "state.json", Stored(boot_id=boot_id(), incarnation=7))
    earlier.save({"local": {"service": "online"}}, durable=False)
    later = (await prepare(paths())).saved

    assert "local" not in as_at_boot
    assert begun_anew["local"] == {"service": "stopped"}
    assert later["local"] == {"service": "online"}, "What this incarnation has come to counts more."


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server whose clpd has incarnation 7."""
    for name in ("ETC", "STATE", "RUN", "LOG"):
        monkeypatch.setenv(f"OPENCLP_{name}", str(tmp_path))
    monkeypatch.setenv(INCARNATION, "7")
    monkeypatch.delenv(READ_AGAIN, raising=False)
    (tmp_path / "clp.conf").write_bytes(CLP_CONF)
    (tmp_path / "server").write_text("server1\n")
    (tmp_path / "cluster.key").write_text("k" * 32)
    (tmp_path / "cluster.key").chmod(0o600)
    return tmp_path


SLOWER = CLP_CONF.replace(b"<timeout>500</timeout>", b"<timeout>700</timeout>")
SWITCH = Switch(id="s1", to=config_id(SLOWER), origin=config_id(CLP_CONF), key="ab" * 32, members=("server1",))


def tried(home: Path, *, incarnation: int) -> None:
    configuration_files.store(paths(), SWITCH.key, SLOWER, {})
    switching.go(paths(), SWITCH, incarnation, CLP_CONF)


def test_the_reader_goes_back_from_what_another_start_has_tried(home: Path, capfd: pytest.CaptureFixture[str]):
    tried(home, incarnation=6)

    assert load_main([]) == 0

    assert msgspec.json.decode(capfd.readouterr().out, type=Cluster).timeout_s == 0.5
    assert (home / "clp.conf").read_bytes() == CLP_CONF


def test_the_reader_takes_the_model_that_was_made_before_the_exchange(home: Path, capfd: pytest.CaptureFixture[str]):
    tried(home, incarnation=7)
    made = Running(incarnation=7, config=SLOWER, cluster=small_cluster(), findings=("warning a b: c",))
    write_running(home / RUNNING, made)

    assert load_main([]) == 0

    said = capfd.readouterr()
    assert (msgspec.json.decode(said.out, type=Cluster), said.err) == (made.cluster, "warning a b: c\n")


def test_clpd_does_not_start_when_nobody_knows_what_was_confirmed(home: Path, capfd: pytest.CaptureFixture[str]):
    (home / switching.RECORD).write_text("{")

    assert load_main([]) == 1

    assert "nobody knows whether" in capfd.readouterr().err


async def test_daemon_waits_until_clpd_has_read_the_new_file(home: Path, monkeypatch: pytest.MonkeyPatch):
    tried(home, incarnation=7)
    monkeypatch.setenv(PET_FD, "3")

    with pytest.raises(UnsettledError):
        await prepare(paths())
    assert load_main([]) == 0
    setup = await prepare(paths())

    assert (setup.record is not None and setup.record.switch, setup.running.config) == (SWITCH, SLOWER)


async def test_daemon_begins_all_the_same_when_clpd_could_not_read_it(home: Path, monkeypatch: pytest.MonkeyPatch):
    write_running(home / RUNNING, Running(incarnation=7, config=CLP_CONF, cluster=(await load_cluster(CLP_CONF))[0]))
    tried(home, incarnation=7)
    monkeypatch.setenv(PET_FD, "3")
    monkeypatch.setenv(READ_AGAIN, "1")

    assert (await prepare(paths())).running.config == CLP_CONF
