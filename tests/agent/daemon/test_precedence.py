"""Precedence over other programs, of a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, os, subprocess
from pathlib import Path
from agent.daemon.precedence import Precedence

def shown():
    group = Path("/proc/self/autogroup")
    shared = group.read_text().split()[-1] if group.exists() else os.getpriority(os.PRIO_PROCESS, 0)
    script = subprocess.run(["nice"], capture_output=True, text=True).stdout.strip()
    print(os.getpriority(os.PRIO_PROCESS, 0), shared, script, end=", ")

async def main():
    precedence = Precedence()
    shown()
    precedence.take(60)
    shown()
    precedence.give_back()
    shown()
    precedence.take(60)
    precedence.take(0.01)
    while os.getpriority(os.PRIO_PROCESS, 0):
        await asyncio.sleep(0.005)
    shown()

asyncio.run(main())
"""


@pytest.mark.root
@pytest.mark.slow
def test_precedence_is_for_a_while_and_not_for_what_is_started():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, check=True, timeout=20,
        start_new_session=True, env=dict(os.environ),
    )  # fmt: skip

    assert done.stdout == "0 0 0, -20 -20 0, 0 0 0, 0 0 0, "
