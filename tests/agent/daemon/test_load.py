"""The reader process of clp.conf, and how the daemon takes its answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.clpconf.model import Cluster
from agent.daemon.load import ConfigurationError, load_cluster, read_config
from tests.agent.daemon.shell import CLP_CONF

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
