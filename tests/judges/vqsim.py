"""corosync's own quorum code, driven through corosync-vqsim: who is quorate after splits, losses and reunions?"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import TracebackType

PROGRAM = "corosync-vqsim"
_DEADLINE_S = 10.0
_LINE = re.compile(r"(\d+):(\d+): q=([01]) ring=\[\S+\] nodes=\[([\d ]*)\]")

Parts = list[frozenset[int]]  # servers that hear each other; who is in none is down
Shown = dict[int, tuple[frozenset[int], bool]]  # server -> whom it hears, is it quorate


class Vqsim:
    """A cluster of `count` servers with one vote each, no arbiter and no special rules."""

    def __init__(self, count: int, directory: Path) -> None:
        self.count = count
        self.up = set(range(1, count + 1))
        # The program takes no longer path than this one; hence its working directory.
        (directory / "q.conf").write_text(_configuration(count))
        self.process = subprocess.Popen(
            [PROGRAM, "-c", "q.conf"], cwd=directory, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.rest = b""
        everybody = frozenset(self.up)
        self._until(dict.fromkeys(everybody, (everybody, True)))

    def __enter__(self) -> Vqsim:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Its servers are processes of their own and end with it."""
        if self.process.poll() is None:
            self._say("exit")
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait(5)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()

    def quorate(self, parts: Parts, expected: dict[int, bool]) -> dict[int, bool]:
        """Bring the cluster into these parts; who is quorate? It answers while it still changes its mind, so its
        answer counts when it says `expected` twice in a row; what it says when the time is over counts else."""
        self._bring(parts)
        shown = self._until({s: (part, expected[s]) for part in parts for s in part})
        wrong = {s: part for s, (part, _) in shown.items() if (s, part) not in {(s, p) for p in parts for s in p}}
        assert not wrong, f"corosync-vqsim did not form the parts {parts}: {wrong}"
        return {server: quorate for server, (_, quorate) in shown.items()}

    def _until(self, wanted: Shown) -> Shown:
        """What it says once it has said this twice in a row, or when the time is over."""
        shown, times, deadline = Shown(), 0, time.monotonic() + _DEADLINE_S
        while times < 2 and time.monotonic() < deadline:
            shown = self._show()
            times = times + 1 if shown == wanted else 0
        return shown

    def _bring(self, parts: Parts) -> None:
        """One thing after the other: a server that still goes down cannot come up."""
        present = frozenset().union(*parts)
        for server in sorted(self.up - present):
            self._say(f"down {server}")
            self.up.remove(server)
            self._until_there()
        for server in sorted(present - self.up):
            self._say(f"up {server}")
            self.up.add(server)
            self._until_there()
        self._say("split " + " ".join(f"{number}:{_listed(part)}" for number, part in enumerate(parts)))

    def _until_there(self) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while set(self._show()) != self.up:
            assert time.monotonic() < deadline, f"corosync-vqsim did not bring {self.up} up, and no others"

    def _show(self) -> Shown:
        """Answers to earlier commands may still come: the last block of lines counts."""
        self._say("show")
        found: Shown = {}
        end = time.monotonic() + 0.05
        while (left := end - time.monotonic()) > 0:
            for line in self._lines(left):
                if line.startswith("#vqsim>"):
                    found = {}
                match = _LINE.search(line)
                if match:
                    found[int(match[2])] = (frozenset(int(n) for n in match[4].split()), match[3] == "1")
                if line.startswith("#autofence") and set(found) == self.up:
                    return found
        return found

    def _lines(self, wait_s: float) -> list[str]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], wait_s)[0]:
            return []
        data = os.read(self.process.stdout.fileno(), 65536)
        assert data, "corosync-vqsim has ended"
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _say(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()


def random_parts(random: Random, count: int) -> Parts:
    """Every server in one of up to four parts, or down; one at least is up."""
    several = random.randint(1, min(4, count))
    down = 0.15 if random.random() < 0.5 else 0.0
    places = [random.randrange(several) if random.random() >= down else None for _ in range(count)]
    parts = [frozenset(n for n, place in enumerate(places, 1) if place == p) for p in range(several)]
    return [part for part in parts if part] or [frozenset([1])]


def _listed(servers: Sequence[int] | set[int] | frozenset[int]) -> str:
    return ",".join(str(server) for server in sorted(servers))


def _configuration(count: int) -> str:
    nodes = "".join(f" node {{\n  nodeid: {n}\n  ring0_addr: 127.0.0.{n}\n }}\n" for n in range(1, count + 1))
    return (
        "totem {\n version: 2\n cluster_name: judge\n transport: knet\n}\n"
        f"nodelist {{\n{nodes}}}\nquorum {{\n provider: corosync_votequorum\n}}\n"
    )
