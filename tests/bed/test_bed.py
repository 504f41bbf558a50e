"""The bed: machines are apart, faults are real, and nothing is left however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from webmanager.demo.bed import MANAGEMENT, ROOT, SWITCH_HOST, Bed
from webmanager.demo.machine import DISK, BedError, MachineGoneError, until
from webmanager.demo.relay import Relay

pytestmark = pytest.mark.root

ECHO = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE: whoever waits for the processor loses nothing
server.bind(("0.0.0.0", 7000))
print("ready", flush=True)
while True:
    data, peer = server.recvfrom(100)
    server.sendto(data, peer)
"""
ASK = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
count, lost = int(sys.argv[2]), 0
for _ in range(count):
    client.sendto(b"x", (sys.argv[1], 7000))
    try:
        client.recv(10)
    except (TimeoutError, OSError):
        lost += 1
print(lost)
"""
# A hundred at a time: what a slow machine has not answered yet must fit into the buffers of both ends.
BURST = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)
heard, count = 0, int(sys.argv[2])
for sent in range(1, count + 1):
    client.sendto(b"x", (sys.argv[1], 7000))
    if sent % 100 == 0:
        client.settimeout(0.1 if sent < count else 2)
        try:
            while client.recv(10):
                heard += 1
        except TimeoutError:
            client.settimeout(None)
print(heard)
"""


def echo(bed: Bed, server: str) -> None:
    bed[server].spawn([sys.executable, "-c", ECHO])
    # Bound when the port shows up in the kernel's table (7000 = 0x1B58).
    until(lambda: "1B58" in bed[server].run(["cat", "/proc/net/udp"]).out, f"echo on {server}", 30)


def lost(bed: Bed, asker: str, address: str, count: int = 1) -> int:
    machine = bed.client if asker == "client" else bed[asker]
    return int(machine.run([sys.executable, "-c", ASK, address, str(count)], timeout_s=60).out)


def reached(bed: Bed, asker: str, address: str) -> None:
    """ARP may need a second to find again what it had given up."""
    until(lambda: lost(bed, asker, address) == 0, f"{asker} reaches {address}", 30)


def test_machines_have_their_own_name_addresses_disk_and_processes(bed: Bed):
    one, two = bed["server1"], bed["server2"]
    one.sh(f"echo one >{DISK}/state/x; echo volatile >/run/openclp/x")

    assert one.run(["cat", "/proc/sys/kernel/hostname"]).out == "server1\n"
    assert "10.29.1.1/24" in one.run(["ip", "-o", "address"]).out
    assert "fd00:29:3::2/64" in two.run(["ip", "-o", "address"]).out
    assert not two.path(f"{DISK}/state/x").exists()
    assert one.path(f"{DISK}/state/x").read_text() == "one\n"
    assert len(one.processes()) == 0


def test_run_gives_exit_code_output_and_input(bed: Bed):
    result = bed["server1"].run(["sh", "-c", "cat; echo bad >&2; exit 3"], input="hello", check=False)

    assert (result.code, result.out, result.err) == (3, "hello", "bad\n")
    with pytest.raises(BedError, match="server1 gave 1"):
        bed["server1"].run(["false"])
    with pytest.raises(BedError, match="nosuchprogram"):
        bed["server1"].run(["nosuchprogram"])


def test_run_ends_what_takes_too_long(bed: Bed):
    with pytest.raises(BedError, match="did not end"):
        bed["server1"].run(["sleep", "77"], timeout_s=0.2)

    until(lambda: not bed["server1"].pids("77"), "sleep is gone", 30)


@pytest.mark.slow
def test_power_loss_kills_everything_at_once_and_the_disk_survives(bed: Bed):
    bed["server1"].sh(f"echo kept >{DISK}/state/x; echo gone >/run/openclp/x")
    job = bed["server1"].spawn(["sleep", "1000"])

    start = time.monotonic()
    bed.faults.power_off("server1")
    took = time.monotonic() - start

    assert job.wait(10) == -signal.SIGKILL
    assert took < 10
    with pytest.raises(MachineGoneError):
        bed["server1"].run(["true"])
    bed.faults.power_on("server1")
    assert bed["server1"].path(f"{DISK}/state/x").read_text() == "kept\n"
    assert not bed["server1"].path("/run/openclp/x").exists()
    assert lost(bed, "server2", bed.address("server1", "ic1")) == 1  # nothing answers, but there is a way
    echo(bed, "server1")
    reached(bed, "server2", bed.address("server1", "ic1"))


@pytest.mark.slow
def test_power_loss_sends_no_farewell(bed: Bed):
    """A TCP peer of a server that lost its power hears nothing, where a mere kill would close the connection."""
    listener = bed["server1"].listen(bed.address("server1", "ic1"), 7001)
    listener.close()
    script = (
        f"import socket; s=socket.create_server(('{bed.address('server1', 'ic1')}',7001)); c,_=s.accept(); c.recv(9)"
    )
    bed["server1"].spawn([sys.executable, "-c", script])
    ask = (
        "import socket,time\n"
        "end=time.monotonic()+30\n"
        "while True:\n"
        "  try: c=socket.create_connection(('%s',7001),1); break\n"
        "  except OSError:\n"
        "    if time.monotonic()>end: raise\n"
        "    time.sleep(0.02)\n"
        "print('open',flush=True); c.settimeout(1)\n"
        "try: print(repr(c.recv(9)))\n"
        "except TimeoutError: print('silence')\n"
    ).replace("%s", bed.address("server1", "ic1"))
    source, sink = os.pipe()
    bed["server2"].spawn([sys.executable, "-c", ask], stdout=sink)
    os.close(sink)
    with os.fdopen(source) as lines:
        assert lines.readline() == "open\n"
        bed.faults.power_off("server1")
        assert lines.readline() == "silence\n"


def test_pulled_cable_shows_no_carrier_and_only_there(bed: Bed):
    bed.faults.pull("ic1", "server1")

    links = bed["server1"].run(["ip", "-br", "link"]).out.splitlines()
    assert [line.split()[0].split("@")[0] for line in links if "NO-CARRIER" in line] == ["ic1"]
    assert "NO-CARRIER" not in bed["server2"].run(["ip", "-br", "link"]).out
    assert bed.faults.now() == ["the cable of server1 to ic1 is pulled"]
    bed.faults.heal()
    assert "NO-CARRIER" not in bed["server1"].run(["ip", "-br", "link"]).out


@pytest.mark.slow
def test_cut_lan_parts_all_servers_on_it_and_no_other(bed: Bed):
    echo(bed, "server1")
    bed.faults.cut("ic1")

    assert lost(bed, "server2", bed.address("server1", "ic1")) == 1
    reached(bed, "server2", bed.address("server1", "ic2"))
    bed.faults.heal()
    reached(bed, "server2", bed.address("server1", "ic1"))


@pytest.mark.slow
def test_deaf_is_one_way_and_for_one_sender_only(bed: Bed):
    echo(bed, "server1")
    bed.faults.deaf("ic1", "server1", "server2")

    assert lost(bed, "server2", bed.address("server1", "ic1")) == 1
    reached(bed, "server3", bed.address("server1", "ic1"))
    bed.faults.heal()
    reached(bed, "server2", bed.address("server1", "ic1"))


@pytest.mark.slow
def test_loss_is_about_as_much_as_asked(bed: Bed):
    echo(bed, "server1")
    reached(
        bed, "server2", bed.address("server1", "ic1")
    )  # What waits for an answer of ARP is lost in the asker's queue.
    bed.faults.lose("ic1", "server1", 30)

    heard = int(
        bed["server2"].run([sys.executable, "-c", BURST, bed.address("server1", "ic1"), "2000"], timeout_s=60).out
    )

    assert 1300 <= heard <= 1500  # 1400 +- 5 standard deviations


@pytest.mark.slow
def test_freeze_stops_every_process_and_thaw_lets_them_go_on(bed: Bed):
    echo(bed, "server1")
    bed.faults.freeze("server1")

    assert lost(bed, "server2", bed.address("server1", "ic1")) == 1
    assert bed.faults.now() == ["every process of server1 is stopped"]
    bed.faults.thaw("server1")
    reached(bed, "server2", bed.address("server1", "ic1"))


def test_frozen_server_can_lose_its_power(bed: Bed):
    bed["server1"].spawn(["sleep", "1000"])
    bed.faults.freeze("server1")

    bed.faults.power_off("server1")

    assert bed.faults.now() == ["server1 has no power"]


def test_kill_hits_by_command_line_and_names_what_is_missing(bed: Bed):
    job = bed["server1"].spawn(["sleep", "4711"])
    until(lambda: bool(bed["server1"].pids("4711")), "sleep runs", 30)

    assert bed.faults.kill("server1", "4711") == [job.pid]
    assert job.wait(30) == -signal.SIGKILL
    with pytest.raises(BedError, match="no process with '4711'"):
        bed.faults.kill("server1", "4711")


def test_switch_keeps_its_address_when_servers_come_and_go(bed: Bed):
    """Else whoever knows it by ARP would not reach the manager and the witness for half a minute."""

    def address() -> str:
        shown = bed.switch.run(["ip", "-o", "link", "show", "dev", MANAGEMENT]).out.split()
        return shown[shown.index("link/ether") + 1]

    before = address()
    assert before == bed.mac(MANAGEMENT, "switch")
    for server in ("server1", "server2"):
        bed.faults.power_off(server)
        bed.faults.power_on(server)
        assert address() == before


@pytest.mark.slow
def test_isolated_server_reaches_nobody_and_comes_back(bed: Bed):
    echo(bed, "server2")
    bed.faults.isolate("server1")
    for lan in bed.lans:
        assert lost(bed, "server1", bed.address("server2", lan)) == 1
    assert len(bed.faults.now()) == len(bed.lans)
    bed.faults.heal()

    assert bed.faults.now() == []
    for lan in bed.lans:
        reached(bed, "server1", bed.address("server2", lan))


def test_cable_that_was_pulled_stays_pulled_over_a_power_cycle(bed: Bed):
    bed.faults.pull("ic1", "server1")
    bed.faults.power_off("server1")
    bed.faults.power_on("server1")

    assert "NO-CARRIER" in bed["server1"].run(["ip", "-br", "link", "show", "ic1"]).out


def test_reboot_and_sysrq_of_a_server_stay_its_own(bed: Bed):
    """A server may reset itself; the machine that the bed runs on must live."""
    bed["server1"].sh("if [ -e /proc/sysrq-trigger ]; then echo b >/proc/sysrq-trigger; fi")
    bed["server1"].spawn(
        [sys.executable, "-c", "import ctypes; ctypes.CDLL(None).reboot(0x1234567)"],
    )

    until(lambda: not bed["server1"].on, "server1 has reset itself", 30)
    bed.faults.power_on("server1")
    assert bed["server1"].run(["true"]).code == 0
    assert bed["server2"].on


def test_unknown_names_are_refused_with_the_known_ones(bed: Bed):
    with pytest.raises(BedError, match="server1, server2, server3"):
        bed.faults.power_off("server9")
    with pytest.raises(BedError, match="ic1, ic2, pub"):
        bed.faults.cut("ic9")


def test_relay_carries_from_the_bed_to_a_port_of_the_machine(bed: Bed):
    with socket.create_server(("127.0.0.1", 0)) as manager:
        relay = Relay(bed.switch.listen(bed.address(SWITCH_HOST, MANAGEMENT), 29003), *manager.getsockname()[:2])
        threading.Thread(target=_shout, args=(manager,), daemon=True).start()
        script = (
            "import socket; c=socket.create_connection(('%s',29003),15); c.sendall(b'hello'); "
            "c.shutdown(1); print(c.makefile().read())"
        )
        out = bed["server2"].run([sys.executable, "-c", script % bed.address(SWITCH_HOST, MANAGEMENT)]).out
        relay.close()

    assert out == "HELLO\n"


def _shout(manager: socket.socket) -> None:
    connection, _ = manager.accept()
    with connection:
        connection.sendall(connection.makefile("rb").read().upper())


HOLD = """
import sys, time
from webmanager.demo.bed import Bed
with Bed() as bed:
    job = bed["server1"].spawn(["sleep", "31337"])
    bed.faults.freeze("server2")
    print(bed.switch.pid, *(bed[name].pid for name in bed.servers), flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_nothing_is_left_however_the_builder_dies(number: signal.Signals):
    before = _interfaces() | _mounts()
    builder = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    assert builder.stdout
    pids = [int(word) for word in builder.stdout.readline().split()]
    assert len(pids) == 4
    assert all(os.path.exists(f"/proc/{pid}") for pid in pids)

    builder.send_signal(number)
    builder.wait(60)
    builder.stdout.close()

    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all processes are gone", 30)
    assert (_interfaces() | _mounts()) - before == set()


def _interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def _mounts() -> set[str]:
    """But those of mirror disks, which other tests mount on the machine itself."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line for line in lines if " fuse" not in line and "/dev/loop" not in line}


@pytest.mark.slow
def test_two_beds_live_side_by_side(bed: Bed):
    with Bed(lans=("ic1", "pub"), servers=2) as other:
        echo(bed, "server1")
        assert lost(other, "server2", other.address("server1", "ic1")) == 1
        reached(bed, "server2", bed.address("server1", "ic1"))


@pytest.mark.slow
def test_ordinary_user_builds_the_same_bed(tmp_path: Path):
    if os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("is an ordinary user's user namespace already")
    # The checkout may lie where nobody may read; the bed itself needs only the standard library.
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from webmanager.demo.bed import Bed\n"
        "with Bed() as bed:\n"
        "    bed.faults.lose('ic1', 'server1', 30); bed.faults.cut('ic2'); bed.faults.heal()\n"
        "    bed.faults.power_off('server1'); bed.faults.power_on('server1')\n"
        "    print(bed['server1'].run(['cat', '/proc/sys/kernel/hostname']).out)\n"
    )
    copy = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    try:
        subprocess.run(["cp", "-r", str(ROOT / "webmanager" / "demo"), str(copy / "demo")], check=True)
        (copy / "webmanager").mkdir()
        (copy / "demo").rename(copy / "webmanager" / "demo")
        subprocess.run(["chmod", "-R", "a+rX", str(copy)], check=True)
        python = "/usr/bin/python3"
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-I", "-c", script, str(copy)],
            capture_output=True, text=True, timeout=60, cwd="/",
        )  # fmt: skip
    finally:
        subprocess.run(["rm", "-rf", str(copy)], check=True)
    assert done.stdout == "server1\n\n", done.stderr
