"""A network namespace of a test, held by a process that ends with the test run at the latest."""

from __future__ import annotations

import shutil
import subprocess

NSENTER = shutil.which("nsenter") or "nsenter"


class NetworkNamespace:
    def __init__(self) -> None:
        holder = ["unshare", "--net", "sh", "-c", "echo ready; exec cat"]
        self._holder = subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self.pid = self._holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        self.enter = [NSENTER, f"--net={self.path}"]
        self.sh("ip link set lo up")

    def sh(self, script: str) -> str:
        done = subprocess.run([*self.enter, "sh", "-ec", script], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{script}: {done.stderr}"
        return done.stdout

    def close(self) -> None:
        # It ends with its standard input.
        self._holder.communicate(timeout=10)
