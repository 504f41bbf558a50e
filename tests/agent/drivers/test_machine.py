"""Ending a server, in a process namespace that plays the server."""

import signal
import subprocess
import sys

import pytest

from agent.drivers.machine import boot_id

# Twice certain that this is not the machine which runs the tests.
SUICIDE = """
import os, sys
from agent.drivers import machine
assert os.getpid() == 1 and os.stat("/proc/self/ns/pid").st_ino != 4026531836
machine.halt(sys.argv[1])
"""


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("shutdown", signal.SIGINT),
        ("reboot", signal.SIGHUP),
        ("panic", signal.SIGHUP),
        ("reset", signal.SIGHUP),
    ],
)
def test_halt_ends_the_container_and_not_the_kernel_below(how, number):
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", SUICIDE, how]

    done = subprocess.run(command, capture_output=True, timeout=60, check=False)

    # So tells the kernel the parent of a namespace how it ended: SIGHUP asks for a restart.
    assert (done.returncode, done.stderr) == (-number, b"")


def test_boot_id_stays_the_same():
    assert boot_id() == boot_id() != ""
