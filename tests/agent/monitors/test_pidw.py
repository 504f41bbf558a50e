"""pidw with a real process."""

import asyncio
import json
import os
import signal

import pytest

from agent.drivers.processes import LocalProcesses
from agent.monitors import Health
from agent.monitors.pidw import TYPE
from agent.resources import exec as exec_resource

ASYNC = exec_resource.SPEC.values({"parameters/act/sync": "0"})
SYNC = exec_resource.SPEC.values({})


@pytest.fixture
async def ports(make_ports, write_script, tmp_path):
    write_script(tmp_path / "scripts/failover1/exec1/start.sh", "#!/bin/sh\nexec sleep 600\n")
    processes = LocalProcesses(tmp_path / "runs", tmp_path / "logs")
    found = make_ports(processes=processes, scripts=str(tmp_path / "scripts"))
    yield found
    await processes.stop("exec1.start", 0)
    processes.close()


async def test_abnormal_when_the_program_has_ended(ports, tmp_path):
    await exec_resource.TYPE.activate(ASYNC, ports)
    assert await TYPE.check({}, "exec1", ASYNC, ports) == Health(True)
    woken = asyncio.create_task(TYPE.wake({}, "exec1", ASYNC, ports))
    await asyncio.sleep(0.02)
    assert not woken.done()

    os.kill(json.loads((tmp_path / "runs/exec1.start.json").read_text())["pid"], signal.SIGKILL)

    await asyncio.wait_for(woken, 30)
    assert await TYPE.check({}, "exec1", ASYNC, ports) == Health(False, "the process of exec1 has ended")


async def test_wake_does_not_spin_on_what_is_gone(ports):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(TYPE.wake({}, "exec1", ASYNC, ports), 0.05)


async def test_synchronous_target_is_no_reason_to_move_a_group(ports):
    health = await TYPE.check({}, "exec1", SYNC, ports)

    assert health == Health(True, "exec1 waits for its start script, so that no process is left to watch")
