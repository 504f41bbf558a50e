"""exec with real scripts."""

import asyncio
import json
import os

import pytest

from agent.drivers import procfs
from agent.drivers.processes import LocalProcesses
from agent.ports import DriverError, Place
from agent.resources.exec import SPEC, TYPE
from agent.version import VERSION
from tests.agent.waiting import until_true


@pytest.fixture
async def ports(make_ports, tmp_path):
    processes = LocalProcesses(tmp_path / "runs", tmp_path / "logs")
    found = make_ports(processes=processes, scripts=str(tmp_path / "etc" / "scripts"))
    yield found
    await processes.stop("exec1.start", 0)
    await processes.stop("exec1.stop", 0)
    processes.close()


@pytest.fixture
def script(ports, write_script, tmp_path):
    """Writes start.sh or stop.sh where the original has them."""
    return lambda name, text: write_script(tmp_path / "etc/scripts/failover1/exec1" / name, "#!/bin/sh\n" + text)


def values(**raw):
    return SPEC.values({path.replace("_", "/"): text for path, text in raw.items()})


SYNC = values()
ASYNC = values(parameters_act_sync="0")


def running(tmp_path):
    pid = int((tmp_path / "pid").read_text())
    process = procfs.find(pid)
    return process is not None and not process.ended


async def test_synchronous_scripts_start_and_stop(ports, script, tmp_path):
    script("start.sh", f"touch {tmp_path}/service\n")
    script("stop.sh", f"rm {tmp_path}/service\n")

    await TYPE.activate(SYNC, ports)
    assert (tmp_path / "service").exists()
    assert await TYPE.active(SYNC, ports)

    await TYPE.deactivate(SYNC, ports)
    assert not (tmp_path / "service").exists()
    assert not await TYPE.active(SYNC, ports)


async def test_scripts_see_the_environment_of_the_original(ports, script, tmp_path):
    for name in ("start.sh", "stop.sh"):
        script(name, f"env | grep ^CLP_ | sort >{tmp_path}/{name}.env\n")
    ports.place = Place("demo", "server2", "failover1", "exec1", home=False, priority=2)

    ports.event = "FAILOVER"
    await TYPE.activate(SYNC, ports)
    ports.event, ports.factor = "", "GROUPMOVE"
    await TYPE.deactivate(SYNC, ports)

    common = {
        "CLP_DISK": "SUCCESS",
        "CLP_GROUPNAME": "failover1",
        "CLP_OSNAME": "Linux",
        "CLP_PATH": str(tmp_path / "etc"),
        "CLP_PRIORITY": "2",
        "CLP_RESOURCENAME": "exec1",
        "CLP_SERVER": "OTHER",
        "CLP_VERSION_FULL": VERSION,
        "CLP_EVENT": "FAILOVER",
    }
    assert _environment(tmp_path / "start.sh.env") == {**common, "CLP_FACTOR": ""}
    assert _environment(tmp_path / "stop.sh.env") == {**common, "CLP_FACTOR": "GROUPMOVE"}


def _environment(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


async def test_failing_script_is_named_with_its_code_and_last_words(ports, script, tmp_path):
    path = script("start.sh", "echo starting\necho the database is locked >&2\necho\nexit 4\n")

    with pytest.raises(DriverError) as caught:
        await TYPE.activate(SYNC, ports)

    assert caught.value.detail.startswith(f"{path} ended with code 4 after 0.")
    assert caught.value.detail.endswith("; it said: the database is locked")
    assert not await TYPE.active(SYNC, ports)


@pytest.mark.slow
async def test_script_out_of_time_is_stopped(ports, script, tmp_path):
    path = script("start.sh", f"echo $$ >{tmp_path}/pid\nsleep 600\n")

    with pytest.raises(DriverError) as caught:
        await TYPE.activate(values(parameters_timeout_start="1"), ports)

    assert caught.value.detail == f"{path} did not end within 1 s and was stopped with all its processes"
    assert not running(tmp_path)


async def test_missing_script_is_named(ports):
    with pytest.raises(
        DriverError, match=r"there is no file .*/scripts/failover1/exec1/start\.sh; put the script there"
    ):
        await TYPE.activate(SYNC, ports)


async def test_full_path_is_taken_as_it_is(ports, write_script, tmp_path):
    write_script(tmp_path / "opt" / "run.sh", f"#!/bin/sh\npwd >{tmp_path}/where\n")

    await TYPE.activate(values(parameters_act_path=f"{tmp_path}/opt/run.sh"), ports)

    assert (tmp_path / "where").read_text() == f"{tmp_path}/opt\n"


async def test_asynchronous_program_runs_until_deactivation(ports, script, tmp_path):
    script("start.sh", f"echo $$ >{tmp_path}/pid\nexec sleep 600\n")
    script("stop.sh", f"touch {tmp_path}/stopped\n")

    await TYPE.activate(ASYNC, ports)
    await _appears(tmp_path / "pid")
    assert running(tmp_path)
    await TYPE.deactivate(ASYNC, ports)

    assert (tmp_path / "stopped").exists()
    assert not running(tmp_path)


async def test_second_activation_keeps_the_running_program(ports, script, tmp_path):
    script("start.sh", "exec sleep 600\n")

    await TYPE.activate(ASYNC, ports)
    first = json.loads((tmp_path / "runs/exec1.start.json").read_text())["pid"]
    await TYPE.activate(ASYNC, ports)

    assert json.loads((tmp_path / "runs/exec1.start.json").read_text())["pid"] == first


async def test_program_ends_even_when_the_stop_script_fails(ports, script, tmp_path):
    script("start.sh", f"echo $$ >{tmp_path}/pid\nexec sleep 600\n")
    script("stop.sh", "exit 1\n")
    await TYPE.activate(ASYNC, ports)
    await _appears(tmp_path / "pid")

    with pytest.raises(DriverError, match=r"stop\.sh ended with code 1"):
        await TYPE.deactivate(ASYNC, ports)

    assert not running(tmp_path)
    assert await TYPE.active(ASYNC, ports)


async def test_deactivation_may_be_repeated(ports, script):
    script("stop.sh", "exit 0\n")

    await TYPE.deactivate(SYNC, ports)
    await TYPE.deactivate(ASYNC, ports)


async def test_output_goes_to_the_log_that_the_user_names(ports, script, tmp_path):
    script("start.sh", "echo hello\n")

    await TYPE.activate(values(parameters_userlog=f"{tmp_path}/var/user.log"), ports)

    assert (tmp_path / "var/user.log").read_text() == "hello\n"
    assert os.listdir(tmp_path / "runs") == []


async def test_asynchronous_stop_script_is_not_waited_for(ports, script, tmp_path):
    script("stop.sh", f"echo $$ >{tmp_path}/pid\nexec sleep 600\n")

    await asyncio.wait_for(TYPE.deactivate(values(parameters_deact_sync="0"), ports), 30)

    await _appears(tmp_path / "pid")
    assert running(tmp_path)


async def _appears(path):
    await until_true(lambda: path.exists() and path.read_text().endswith("\n"))
