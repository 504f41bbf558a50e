"""Scripts as real processes: time limits, whole sessions, adoption by the next daemon."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from agent.drivers import procfs
from agent.drivers.processes import LocalProcesses
from agent.ports import DriverError, Run
from tests.agent.waiting import PATIENCE_S, until_true

# A daemon that starts one run and is killed in the middle of it.
DAEMON = """
import asyncio, json, sys
from pathlib import Path
from agent.drivers.processes import LocalProcesses
from agent.ports import Run

async def main():
    asked = json.loads(sys.argv[1])
    processes = LocalProcesses(Path(asked["base"]) / "runs", Path(asked["base"]) / "logs")
    run = Run(asked["key"], tuple(asked["argv"]), {}, asked["base"], asked["timeout_s"])
    if asked["left"]:
        await processes.start(run)
        await asyncio.sleep(60)
    await processes.run(run)

asyncio.run(main())
"""


@pytest.fixture
async def processes(tmp_path):
    found = LocalProcesses(tmp_path / "runs", tmp_path / "logs")
    yield found
    for record in (tmp_path / "runs").glob("*.json"):
        if record.is_file():
            await found.stop(record.stem, 0)
    found.close()


@pytest.fixture
def make_run(tmp_path, write_script):
    def make(text, *, key="exec1.start", timeout_s=20.0, mode=0o755, **more):
        script = write_script(tmp_path / f"{key}.sh", text, mode)
        return Run(key, (str(script),), more.pop("environment", {}), str(tmp_path), timeout_s, **more)

    return make


@pytest.fixture
def killed_daemon(tmp_path, wait_until):
    """Runs `run` in another process, which is killed by SIGKILL when `ready` is true."""

    def start(run, ready, *, left=False):
        asked = {"base": str(tmp_path), "key": run.key, "argv": run.argv, "timeout_s": run.timeout_s, "left": left}
        daemon = subprocess.Popen([sys.executable, "-c", DAEMON, json.dumps(asked)])
        try:
            wait_until(ready)
        finally:
            daemon.kill()
            daemon.wait(PATIENCE_S)

    return start


def alive(pid):
    process = procfs.find(pid)
    return process is not None and not process.ended


def pids(path):
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def test_exit_code_output_and_environment_come_back(processes, make_run, tmp_path):
    run = make_run(
        '#!/bin/sh\necho "event $CLP_EVENT in $PWD"\necho oops >&2\nexit 3\n', environment={"CLP_EVENT": "FAILOVER"}
    )

    done = await processes.run(run)

    assert (done.code, done.tail) == (3, f"event FAILOVER in {tmp_path}\noops\n")
    assert os.listdir(tmp_path / "runs") == []


async def test_output_of_an_earlier_run_is_not_in_the_tail_but_in_the_log(processes, make_run, tmp_path):
    for word in ("first", "second"):
        done = await processes.run(make_run(f"#!/bin/sh\necho {word}\n"))

    assert done.tail == "second\n"
    assert (tmp_path / "logs" / "exec1.log").read_text() == "first\nsecond\n"


async def test_standard_input_is_empty(processes, make_run):
    done = await processes.run(make_run("#!/bin/sh\ncat\n"))

    assert (done.code, done.tail) == (0, "")


async def test_missing_script_names_the_path_and_the_remedy(processes, tmp_path):
    missing = str(tmp_path / "start.sh")

    with pytest.raises(DriverError, match=f"there is no file {missing}; put the script there") as caught:
        await processes.run(Run("exec1.start", (missing,), {}, str(tmp_path), 5.0))

    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("text", "said"),
    [("echo $0 by shell\n", "by shell"), (f"#!{sys.executable}\nimport sys; print('by', 'python')\n", "by python")],
)
async def test_script_without_executable_bit_runs_by_its_interpreter_and_says_so(
    processes, make_run, tmp_path, text, said
):
    done = await processes.run(make_run(text, mode=0o644))

    assert done.code == 0
    assert said in done.tail
    assert "is not executable" in (tmp_path / "logs" / "exec1.log").read_text()


async def test_executable_script_without_interpreter_line_runs(processes, make_run):
    assert (await processes.run(make_run("echo bare\n"))).tail == "bare\n"


TREE = """#!/bin/bash
# A child, a grandchild, one that ignores SIGTERM, and one in a process group of its own.
trap '' TERM
note() { echo $BASHPID >>"$1"; }
(note {pids}; sleep 600) &
( (note {pids}; trap '' TERM; sleep 600; sleep 600) & sleep 600) &
set -m
(note {pids}; sleep 600; true) &
note {pids}
wait
"""


@pytest.mark.slow
async def test_time_limit_ends_every_process_of_the_session(processes, make_run, tmp_path, monkeypatch):
    monkeypatch.setattr("agent.drivers.processes.KILL_AFTER_S", 0.2)
    run = make_run(TREE.replace("{pids}", str(tmp_path / "pids")), timeout_s=2.0)

    done = await processes.run(run)

    assert done.code is None
    assert done.seconds >= 2.0  # Time enough to start them all, on any machine.
    assert len(pids(tmp_path / "pids")) == 4
    assert [pid for pid in pids(tmp_path / "pids") if alive(pid)] == []
    assert os.listdir(tmp_path / "runs") == []


async def test_cancellation_ends_the_run_before_it_returns(processes, make_run, tmp_path):
    run = make_run(f"#!/bin/sh\necho $$ >{tmp_path}/pids\nsleep 600\n")
    task = asyncio.create_task(processes.run(run))
    await until_true(lambda: pids(tmp_path / "pids"))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [pid for pid in pids(tmp_path / "pids") if alive(pid)] == []
    assert os.listdir(tmp_path / "runs") == []


async def test_what_a_finished_script_left_in_the_background_goes_on(processes, make_run, tmp_path):
    done = await processes.run(make_run(f"#!/bin/sh\nsleep 600 & echo $! >{tmp_path}/pids\n"))

    (service,) = pids(tmp_path / "pids")
    try:
        assert done.code == 0
        assert alive(service)
    finally:
        os.kill(service, signal.SIGKILL)


async def test_killed_shell_takes_its_script_along(processes, make_run, tmp_path):
    run = make_run(f"#!/bin/sh\necho $$ >{tmp_path}/pids\nsleep 600\n")
    task = asyncio.create_task(processes.run(run))
    await until_true(lambda: pids(tmp_path / "pids"))
    (script,) = pids(tmp_path / "pids")

    os.kill(procfs.find(script).session, signal.SIGKILL)

    assert (await task).code is None
    assert not alive(script)


async def test_script_does_not_begin_when_it_cannot_be_remembered(processes, make_run, tmp_path):
    (tmp_path / "runs" / "exec1.start.json" / "in the way").mkdir(parents=True)
    run = make_run(f"#!/bin/sh\ntouch {tmp_path}/ran\n")

    with pytest.raises(DriverError, match="cannot read"):
        await processes.run(run)

    assert not (tmp_path / "ran").exists()


async def test_left_process_is_alive_until_it_ends(processes, make_run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    await processes.start(make_run(f"#!/bin/sh\nread line <{tmp_path}/pipe\n"))

    assert await processes.alive("exec1.start")
    gone = asyncio.create_task(processes.wait_gone("exec1.start"))
    await asyncio.sleep(0.02)
    assert not gone.done()

    (tmp_path / "pipe").write_text("end\n")
    await asyncio.wait_for(gone, PATIENCE_S)
    assert not await processes.alive("exec1.start")


async def test_end_of_a_left_process_is_noticed_at_once(processes, make_run, tmp_path):
    await processes.start(make_run("#!/bin/sh\nexec sleep 600\n"))
    pid = json.loads((tmp_path / "runs" / "exec1.start.json").read_text())["pid"]
    gone = asyncio.create_task(processes.wait_gone("exec1.start"))
    await asyncio.sleep(0.02)

    os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()
    await asyncio.wait_for(gone, PATIENCE_S)

    assert time.monotonic() - begun < 5  # It looks by itself after 10 s only.


async def test_stop_ends_a_left_process_with_its_children_and_is_idempotent(processes, make_run, tmp_path):
    await processes.start(make_run(f"#!/bin/sh\nsleep 600 &\necho $! $$ >{tmp_path}/pids\nwait\n"))
    await until_true(lambda: len(pids(tmp_path / "pids")) == 2)

    await processes.stop("exec1.start", 5)
    await processes.stop("exec1.start", 5)

    assert [pid for pid in pids(tmp_path / "pids") if alive(pid)] == []


async def test_stop_finds_children_whose_leader_has_ended(processes, make_run, tmp_path):
    await processes.start(make_run(f"#!/bin/sh\nsleep 600 &\necho $! >{tmp_path}/pids\n"))
    await processes.wait_gone("exec1.start")
    (child,) = pids(tmp_path / "pids")
    assert alive(child)

    await processes.stop("exec1.start", 5)

    assert not alive(child)


async def test_stopped_process_is_ended_too(processes, make_run, tmp_path):
    await processes.start(make_run("#!/bin/sh\nexec sleep 600\n"))
    pid = json.loads((tmp_path / "runs" / "exec1.start.json").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)

    await processes.stop("exec1.start", 5)

    assert not alive(pid)


async def test_number_used_again_is_not_ours(processes, make_run, tmp_path):
    """The record of an earlier process, whose number a stranger has now."""
    await processes.start(make_run("#!/bin/sh\nexec sleep 600\n"))
    path = tmp_path / "runs" / "exec1.start.json"
    record = json.loads(path.read_text())
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        earlier = {**record, "key": "exec2.start", "pid": stranger.pid, "start": record["start"] - 100}
        path.with_name("exec2.start.json").write_text(json.dumps(earlier))

        assert not await processes.alive("exec2.start")
        await asyncio.wait_for(processes.wait_gone("exec2.start"), PATIENCE_S)
        await processes.stop("exec2.start", 0)

        assert stranger.poll() is None
        stranger.kill()


async def test_record_of_another_boot_means_nothing(processes, make_run, tmp_path):
    await processes.start(make_run("#!/bin/sh\nexec sleep 600\n"))
    path = tmp_path / "runs" / "exec1.start.json"
    record = json.loads(path.read_text())
    path.with_name("exec2.start.json").write_text(json.dumps({**record, "key": "exec2.start", "boot": "earlier"}))

    assert not await processes.alive("exec2.start")
    assert await processes.alive("exec1.start")
    assert not path.with_name("exec2.start.json").exists()


async def test_damaged_record_counts_as_none(processes, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "exec1.start.json").write_bytes(b"")

    assert not await processes.alive("exec1.start")
    assert os.listdir(tmp_path / "runs") == []


@pytest.mark.slow
async def test_next_daemon_adopts_a_run_in_flight(processes, make_run, tmp_path, killed_daemon):
    run = make_run(
        f"#!/bin/sh\necho begun\necho $$ >>{tmp_path}/pids\n"
        f"until [ -e {tmp_path}/go ]; do sleep 0.02; done\necho ended\nexit 5\n"
    )
    killed_daemon(run, lambda: pids(tmp_path / "pids"))

    adopted = asyncio.create_task(processes.run(run))
    await asyncio.sleep(0.1)
    assert not adopted.done()
    (tmp_path / "go").touch()
    done = await asyncio.wait_for(adopted, PATIENCE_S)

    assert (done.code, done.tail) == (5, "begun\nended\n")
    assert len(pids(tmp_path / "pids")) == 1


@pytest.mark.slow
async def test_next_daemon_learns_what_ended_without_any_daemon(
    processes, make_run, tmp_path, killed_daemon, wait_until
):
    run = make_run(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nuntil [ -e {tmp_path}/go ]; do sleep 0.02; done\nexit 7\n")
    killed_daemon(run, lambda: pids(tmp_path / "pids"))
    (tmp_path / "go").touch()
    wait_until(lambda: (tmp_path / "runs" / "exec1.start.exit").exists())

    done = await processes.run(run)

    assert done.code == 7
    assert len(pids(tmp_path / "pids")) == 1
    # The result was told once; the next run is a new one.
    assert (await processes.run(run)).code == 7
    assert len(pids(tmp_path / "pids")) == 2


@pytest.mark.slow
async def test_adopted_run_keeps_its_time_limit(processes, make_run, tmp_path, killed_daemon):
    run = make_run(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nsleep 600\n", timeout_s=0.5)
    killed_daemon(run, lambda: pids(tmp_path / "pids"))

    done = await processes.run(run)

    assert done.code is None
    assert [pid for pid in pids(tmp_path / "pids") if alive(pid)] == []


@pytest.mark.slow
async def test_next_daemon_finds_what_was_left_running_and_can_stop_it(processes, make_run, tmp_path, killed_daemon):
    run = make_run(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 600\n")
    killed_daemon(run, lambda: pids(tmp_path / "pids"), left=True)
    (pid,) = pids(tmp_path / "pids")
    assert alive(pid)

    assert await processes.alive("exec1.start")
    gone = asyncio.create_task(processes.wait_gone("exec1.start"))
    await asyncio.sleep(0.02)
    assert not gone.done()
    await processes.stop("exec1.start", 5)
    await asyncio.wait_for(gone, PATIENCE_S)
    assert not alive(pid)


async def test_log_of_a_talkative_program_stays_within_its_limit(processes, make_run, tmp_path):
    log = tmp_path / "user.log"
    line = "x" * 99
    for _run in range(4):
        text = f"#!/bin/sh\nfor i in $(seq 100); do echo {line}; done\necho last words\n"
        done = await processes.run(make_run(text, log=str(log), log_limit_bytes=15_000))
        assert done.tail.endswith("last words\n")

    assert log.stat().st_size <= 15_000
    assert 15_000 >= (tmp_path / "user.log.1").stat().st_size > 0


async def test_log_that_cannot_be_written_is_an_error_with_its_path(processes, make_run, tmp_path):
    (tmp_path / "dir").mkdir()

    with pytest.raises(DriverError, match=f"cannot write the log {tmp_path}/dir: Is a directory"):
        await processes.run(make_run("#!/bin/sh\n", log=str(tmp_path / "dir")))


async def test_names_that_are_no_file_names_are_kept_apart(processes, make_run, tmp_path, write_script):
    write_script(tmp_path / "a.sh", "#!/bin/sh\nexec sleep 600\n")
    for key in ("../a.start", "業務.start"):
        await processes.start(Run(key, (str(tmp_path / "a.sh"),), {}, str(tmp_path), 5.0))

    assert await processes.alive("../a.start")
    assert sorted(os.listdir(tmp_path / "runs")) == ["%2e.%2fa.start.json", "業務.start.json"]
    for key in ("../a.start", "業務.start"):
        await processes.stop(key, 1)
