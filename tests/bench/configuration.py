"""Configurations: how long opening and checking a large clp.conf takes."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.catalog import specs
from agent.clpconf.diff import diff
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit
from agent.clpconf.load import load
from agent.clpconf.validate import validate
from tests.bench import editor
from tests.bench.generated import conf
from tests.bench.goals import Goal, Outcome
from tests.bench.survival import HANG_S, storm

SERVERS, GROUPS = 32, 500
_OPEN_S, _VALIDATE_S, _DIFF_S, _SAVE_S = 1.0, 2.0, 1.0, 0.15
_MEMORY_MB = 300
_ROUNDS = 5

Say = Callable[[str], None]


def large_conf(servers: int = SERVERS, groups: int = GROUPS) -> bytes:
    """A correct file in the style of the WebUI: with 500 groups 3000 resources and 2000 monitors."""
    names = [f"server{n:02}" for n in range(1, servers + 1)]
    parts = ['<?xml version="1.0" encoding="ASCII"?>\n<root>\n  <cluster>\n    <name>large</name>\n    <comment/>\n']
    parts.append("    <heartbeat>\n      <timeout>30000</timeout>\n    </heartbeat>\n  </cluster>\n")
    parts.append("  <all>\n    <charset>ASCII</charset>\n    <encode>ASCII</encode>\n    <serveros>linux</serveros>\n")
    parts.append(
        '  </all>\n  <monitor>\n    <types name="pidw"/>\n    <types name="ipw"/>\n    <types name="userw"/>\n'
    )
    parts.append(
        '    <userw name="userw">\n      <relation>\n        <type>cls</type>\n        <name>LocalServer</name>\n'
    )
    parts.append("      </relation>\n    </userw>\n")
    parts += (text for group in range(groups) for text in _monitors(group))
    parts.append("  </monitor>\n")
    parts += (_server(name, number) for number, name in enumerate(names))
    parts.append('  <heartbeat>\n    <types name="lankhb"/>\n')
    for number in range(2):
        parts.append(f'    <lankhb name="lankhb{number + 1}">\n      <priority>{number}</priority>\n')
        parts.append(f"      <device>{number}</device>\n    </lankhb>\n")
    parts.append('  </heartbeat>\n  <networkpartition>\n    <types name="majonp"/>\n    <majonp name="majonp1">\n')
    parts.append("      <priority>0</priority>\n    </majonp>\n  </networkpartition>\n")
    parts += (_group(group, names) for group in range(groups))
    parts.append('  <resource>\n    <types name="fip"/>\n    <types name="exec"/>\n')
    parts += (text for group in range(groups) for text in _resources(group))
    parts.append("  </resource>\n</root>")
    return "".join(parts).encode()


def _server(name: str, number: int) -> str:
    lans = "".join(
        f'    <device id="{lan}">\n      <type>lan</type>\n'
        f"      <info>10.{32 + lan}.0.{number + 1}</info>\n    </device>\n"
        for lan in range(2)
    )
    return f'  <server name="{name}">\n    <priority>{number}</priority>\n{lans}  </server>\n'


def _group(group: int, names: list[str]) -> str:
    links = "".join(f'    <resource name="{kind}@{name}"/>\n' for kind, name in _members(group))
    home = group % len(names)
    order = (names[home:] + names[:home])[:4]
    policy = "".join(f'    <policy name="{n}">\n      <order>{i}</order>\n    </policy>\n' for i, n in enumerate(order))
    return f'  <group name="failover{group + 1}">\n    <comment/>\n{links}    <gid>{group}</gid>\n{policy}  </group>\n'


def _members(group: int) -> Iterator[tuple[str, str]]:
    yield "fip", f"fip{group + 1}"
    for letter in "abcde":
        yield "exec", f"exec{group + 1}{letter}"


def _resources(group: int) -> Iterator[str]:
    yield (
        f'    <fip name="fip{group + 1}">\n      <comment/>\n      <parameters>\n'
        f"        <ip>10.32.{1 + group // 200}.{group % 200 + 1}</ip>\n      </parameters>\n    </fip>\n"
    )
    for _, name in list(_members(group))[1:]:
        yield (
            f'    <exec name="{name}">\n      <comment/>\n      <parameters>\n        <act>\n'
            "          <path>start.sh</path>\n          <sync>0</sync>\n        </act>\n        <deact>\n"
            "          <path>stop.sh</path>\n        </deact>\n        <timeout>\n          <start>300</start>\n"
            "        </timeout>\n      </parameters>\n      <act>\n        <timeout>480</timeout>\n      </act>\n"
            f'      <depend name="fip{group + 1}"/>\n    </exec>\n'
        )


def _monitors(group: int) -> Iterator[str]:
    for kind, suffix, own in (
        ("pidw", "a", ""), ("pidw", "b", ""), ("pidw", "c", ""),
        ("ipw", "", '<list id="0">\n          <ip>10.32.0.254</ip>\n        </list>'),
    ):  # fmt: skip
        target = f"exec{group + 1}{suffix}" if suffix else f"fip{group + 1}"
        parameters = f"      <parameters>\n        {own}\n      </parameters>\n" if own else ""
        yield (
            f'    <{kind} name="{kind}{group + 1}{suffix}">\n      <comment/>\n      <target>{target}</target>\n'
            f"{parameters}      <polling>\n        <interval>5</interval>\n        <timing>1</timing>\n"
            "      </polling>\n"
            f"      <relation>\n        <type>rsc</type>\n        <name>{target}</name>\n      </relation>\n"
            f"      <emergency>\n        <threshold>\n          <restart>1</restart>\n        </threshold>\n"
            f"      </emergency>\n    </{kind}>\n"
        )


def run(say: Say, *, quick: bool = False) -> Outcome:
    data = large_conf()
    catalog = specs()
    noise = [f for f in validate(data, catalog) if f.severity != "note"]
    steps: dict[str, tuple[Callable[[], object], float | None]] = {
        "open": (lambda: load(data, catalog), _OPEN_S),
        "validate": (lambda: validate(data, catalog), _VALIDATE_S),
        "validate a parsed one": (_parsed(data), None),
        **_differences(data),
        "save a field": (_field(data), _SAVE_S),
    }
    outcome = Outcome(f"configuration: {SERVERS} servers, {GROUPS} groups, {10 * GROUPS} objects, {len(data)} bytes",
                      ("step", "median CPU s", "worst CPU s", "median s"))  # fmt: skip
    for name, (step, limit_s) in steps.items():
        say(name)
        times = [_timed(step) for _ in range(1 if quick else _ROUNDS)]
        outcome.rows.append([name, f"{statistics.median(times):.3f}", f"{max(times):.3f}", ""])
        if limit_s is not None:
            outcome.goals.append(Goal(name, statistics.median(times), limit_s, "issue 4", unit="s"))
    for page in editor.measure(data, _edited(data), say, rounds=1 if quick else _ROUNDS):
        outcome.rows.append(page.row)
        outcome.goals += [page.goal] if page.goal is not None else []
    outcome.notes += [f"a correct file must bring no finding, but: {finding}" for finding in noise[:5]]
    return outcome


def _differences(data: bytes) -> dict[str, tuple[Callable[[], object], float | None]]:
    """Two files of that size, in the ways in which they can differ."""
    before, catalog = Document.read(data), specs()
    renamed = Document.read(data)
    Edit(renamed, catalog).rename("server@server01", "other")
    others = {
        "diff: nothing": Document.read(data),
        "diff: some edits": Document.read(_edited(data)),
        "diff: written in another way": Document.read(data.replace(b"\n  ", b"\n\t")),
        "diff: 2000 values": Document.read(data.replace(b"<interval>5<", b"<interval>7<")),
        "diff: a renamed server": renamed,
    }
    return {name: (lambda other=other: diff(before, other, catalog), _DIFF_S) for name, other in others.items()}


def _edited(data: bytes) -> bytes:
    document = Document.read(data)
    edit = Edit(document, specs())
    edit.set("resource/exec@exec250c/parameters/timeout/start", "400")
    edit.rename("resource/exec@exec251c", "renamed")
    edit.remove("group@failover9")
    return document.write()


def _field(data: bytes) -> Callable[[], object]:
    """What one saved field costs: the change and the bytes of the whole file."""
    document = Document.read(data)
    edit, values = Edit(document, specs()), itertools.count(100)

    def save() -> bytes:
        edit.set("resource/exec@exec250c/parameters/timeout/start", str(next(values)))
        return document.write()

    return save


def run_mutations(say: Say, *, quick: bool = False) -> Outcome:
    """Generated files come back byte by byte; broken ones bring no exception, no hang, and not much memory."""
    generated, broken = (300, 1000) if quick else (10_000, 100_000)
    say(f"{generated} generated files")
    moved = round_trip(generated)
    say(f"{len(moved)} came back changed; {broken} broken files")
    found = storm(broken, say)
    outcome = Outcome("mutations: generated and broken configurations", ("what", "count"))
    outcome.rows += [["written back byte by byte", str(generated)], *([end, str(n)] for end, n in found.ends.items())]
    outcome.rows.append([f"longest, CPU (seed {found.worst_seed})", f"{found.worst_s:.2f} s"])
    outcome.goals += [
        Goal("files that came back changed", len(moved), 0, "none"),
        Goal("exceptions", len(found.failures), 0, "none"),
        Goal("longest, CPU", found.worst_s, HANG_S, "issue 4", unit="s"),
        Goal("memory", found.peak_mb, _MEMORY_MB, "issue 4", unit="MB"),
    ]
    outcome.notes += [*moved[:5], *found.failures[:20]]
    return outcome


def round_trip(count: int) -> list[str]:
    """Sentences about generated files that were not written back as they were."""
    moved: list[str] = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**62))
    def check(seed: int) -> None:
        data = conf(seed)
        if Document.read(data).write() != data:
            moved.append(f"seed {seed} was not written back as it was")

    check()
    return moved


def _parsed(data: bytes) -> Callable[[], object]:
    document, catalog = Document.read(data), specs()
    return lambda: validate(document, catalog)


def _timed(step: Callable[[], object]) -> float:
    began = time.process_time()  # Of this process: what else the machine does is not measured.
    step()
    return time.process_time() - began
