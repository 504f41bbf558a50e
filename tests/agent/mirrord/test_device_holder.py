"""The holder: it outlives everybody, keeps out nothing and leaves nothing behind."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.mirrord import loopdev
from agent.mirrord.fuse import DeviceError
from agent.mirrord.holder import Holder, cleanup
from tests.agent.mirrord.disks import SIZE, Disk, disk, serving
from tests.agent.mirrord.mini import Mini
from tests.agent.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def md(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path) as made:
        yield made


def test_it_has_nothing_of_who_started_it(md: Disk) -> None:
    place = Path(f"/proc/{md.held.pid}")

    # Our connections are closed when it has seen that.
    until(lambda: sorted(int(entry.name) for entry in (place / "fd").iterdir()) == list(range(7)))
    assert [os.readlink(place / "fd" / str(number)) for number in range(3)] == ["/dev/null"] * 3
    stat = (place / "stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) != os.getpid()
    assert int(stat[3]) != os.getsid(0)


def test_starting_again_is_nothing_new(md: Disk) -> None:
    assert md.holder.start(SIZE).pid == md.held.pid


def test_signals_to_end_are_ignored(md: Disk) -> None:
    os.kill(md.held.pid, signal.SIGTERM)
    os.kill(md.held.pid, signal.SIGHUP)

    assert md.holder.held() == md.held


def test_it_outlives_who_started_it(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(1 << 20))
    code = (
        "import sys, msgspec; from agent.mirrord.settings import Settings; from agent.mirrord.holder import Holder\n"
        "print(Holder(msgspec.json.decode(sys.argv[1], type=Settings)).start(1 << 20).pid)"
    )
    with disk(tmp_path) as md:
        md.holder.end()
        command = [sys.executable, "-c", code, msgspec.json.encode(md.settings).decode()]
        done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[3], timeout=30)
        held = md.holder.held()
        assert held is not None
        assert held.pid == int(done.stdout)


def test_attach_makes_one_device_and_its_name(md: Disk) -> None:
    md.process()

    device = md.holder.attach()

    assert md.holder.attach() == device
    assert os.readlink(md.link) == device
    assert loopdev.on(md.held.state.path) == [device]


def test_attach_without_a_mirror_process_says_so(md: Disk) -> None:
    with pytest.raises(DeviceError, match="No mirror process of md1"):
        Holder(md.settings, limit_s=0.5).attach()


def test_a_name_that_is_not_ours_stays(md: Disk) -> None:
    md.process()
    md.link.write_text("precious")

    with pytest.raises(DeviceError, match="is there already and not ours"):
        md.holder.attach()

    assert md.link.read_text() == "precious"
    assert loopdev.on(md.held.state.path) == []


def test_detach_refuses_while_somebody_uses_the_device(md: Disk) -> None:
    md.process()
    fd = md.attach()
    device = os.readlink(md.link)

    with pytest.raises(DeviceError, match="still has"):
        Holder(md.settings, limit_s=0.5).detach()

    assert os.readlink(md.link) == device
    os.close(fd)
    until(lambda: loopdev.on(md.held.state.path) == [device])
    md.holder.detach()
    assert not os.path.lexists(md.link)
    assert loopdev.on(md.held.state.path) == []


def test_detach_refuses_a_mounted_device_at_once(md: Disk) -> None:
    md.process()
    fd = os.open(md.holder.attach(), os.O_RDWR | os.O_EXCL)  # as mount does

    with pytest.raises(DeviceError, match="unmount"):
        md.holder.detach()
    os.close(fd)


def test_lazy_detach_takes_the_device_away_with_its_last_user(md: Disk) -> None:
    md.process()
    fd = md.attach()

    md.holder.detach(lazy=True)

    assert not os.path.lexists(md.link)
    assert os.preadv(fd, [mmap.mmap(-1, 4096)], 0) == 4096
    os.close(fd)
    until(lambda: loopdev.on(md.held.state.path) == [])


def test_end_leaves_nothing(md: Disk) -> None:
    process = md.process()
    md.holder.attach()

    md.holder.end()

    assert process.wait(5) == 0
    until(lambda: not os.path.exists(f"/proc/{md.held.pid}"))
    assert md.holder.held() is None
    assert not os.path.lexists(md.link)
    assert not os.path.exists(md.settings.holder)
    assert loopdev.on(md.held.state.path) == []


def test_a_killed_holder_fails_nothing_and_the_mirror_process_starts_another(md: Disk) -> None:
    file = os.open(md.data, os.O_RDWR)
    with serving(Mini(md.connect(), file)) as mini:
        fd = md.attach()
        device = os.readlink(md.link)
        os.kill(md.held.pid, signal.SIGKILL)
        assert os.pwritev(fd, [mmap.mmap(-1, 4096)], 0) == 4096
        until(mini.device.holder_gone)
        with pytest.raises(DeviceError, match="still serves"):
            Holder(md.settings, limit_s=0.5).start(SIZE)

        mini.device.renew_holder(md.settings)

        assert not mini.device.holder_gone()
        held = md.holder.held()
        assert held is not None
        assert (held.owner, held.state.loop, held.state.link) == (os.getpid(), device, str(md.link))
    md.process()
    assert os.pwritev(fd, [mmap.mmap(-1, 4096)], 0) == 4096
    assert md.holder.attach() == device
    os.close(fd)
    os.close(file)


def test_what_a_dead_holder_left_is_taken_away_and_a_new_one_serves(md: Disk) -> None:
    process = md.process()
    fd = md.attach()
    os.kill(md.held.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    with pytest.raises(OSError, match="Input/output error"):
        os.preadv(fd, [mmap.mmap(-1, 4096)], 0)

    # Somebody still has the dead device: it stays with him, and is not taken for the new one.
    held = md.holder.start(SIZE)
    md.process()
    new = md.attach()
    assert os.pwritev(new, [mmap.mmap(-1, 4096)], 0) == 4096
    assert held.state.path != md.held.state.path
    os.close(new)
    os.close(fd)
    until(lambda: loopdev.on(md.held.state.path) == [])


def test_cleanup_removes_loop_device_and_name(md: Disk) -> None:
    process = md.process()
    md.holder.attach()
    os.kill(md.held.pid, signal.SIGKILL)
    process.kill()
    process.wait()

    cleanup(md.settings)

    assert not os.path.lexists(md.link)
    until(lambda: loopdev.on(md.held.state.path) == [])


def test_an_aborted_device_is_replaced_by_start(md: Disk) -> None:
    md.process()
    fd = md.attach()
    md.holder.abort()
    held = md.holder.held()
    assert held is not None
    assert held.dead

    md.holder.detach(lazy=True)
    held = md.holder.start(SIZE)

    assert not held.dead
    assert held.pid != md.held.pid
    os.close(fd)


def test_only_root_may_ask_it(md: Disk) -> None:
    assert os.stat(md.settings.holder).st_mode & 0o777 == 0o600
