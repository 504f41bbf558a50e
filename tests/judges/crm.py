"""The same placement question to pacemaker's crm_simulate and to our engine: random clusters from a seed."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from random import Random
from typing import NamedTuple
from xml.etree import ElementTree as ET

from msgspec.structs import replace

from agent.clpconf.model import Cluster
from agent.sim.replay.decide import Bench
from agent.sim.replay.placement import Question, question_of
from tests.judges.cib import PROGRAM, Cib

_TIMEOUT_S = 60.0


class Answer(NamedTuple):
    places: dict[str, str]  # group -> server, "" for none
    seconds: float  # of the processor


def question(seed: int) -> Question:
    """Servers up, down in order, fallen or in standby; groups on them or stopped, each with its own policy.

    Up to two groups exclude each other: with more, who comes first decides, and that is not a matter of right.
    """
    random = Random(f"judge {seed}")
    servers = [f"server{n}" for n in range(1, random.randint(2, 8) + 1)]
    groups = {f"group{n}": [f"r{n}a", f"r{n}b"][: random.randint(1, 2)] for n in range(1, random.randint(1, 8) + 1)}
    policies = {g: random.sample(servers, random.randint(1, len(servers))) for g in groups}
    initial = {}
    for group, resources in groups.items():
        server = random.choice([*policies[group], ""])
        initial.update({r: ["Started", server, ""] if server else ["Stopped", "", ""] for r in resources})
    fallen = random.choice(["offline", "UNCLEAN (offline)"])
    states = {s: random.choices(["online", fallen, "standby"], [6, 2, 1])[0] for s in servers}
    states[random.choice(servers)] = "online"
    case = {
        "nodes": {s: {"standby": states[s] == "standby"} for s in servers}, "state": states, "groups": groups,
        "initial": initial, "quorum": True, "policy": {"no-quorum-policy": "ignore", "fencing-enabled": "false"},
        "location": [[g, s, _score(policies[g], s)] for g in groups for s in servers],
    }  # fmt: skip
    return _with_attributes(question_of(case), random)


def _score(policy: list[str], server: str) -> str:
    return str(1000 - 10 * policy.index(server)) if server in policy else "-INFINITY"


def _with_attributes(asked: Question, random: Random) -> Question:
    """Failback by chance, and two groups that never share a server, if nothing runs where that would already be so."""
    back = {g.name: random.random() < 0.5 for g in asked.cluster.groups}
    apart: list[str] = []
    if len(back) > 1 and random.random() < 0.3:
        pair = random.sample(sorted(back), 2)
        places = [asked.items[asked.cluster.group(name).resources[0]].on for name in pair]
        apart = pair if places[0] != places[1] or not places[0] else []
    groups = [
        replace(g, auto_failback=back[g.name], exclusive=2 if g.name in apart else 0) for g in asked.cluster.groups
    ]
    asked.cluster = replace(asked.cluster, groups=tuple(groups))
    return asked


def wrong(asked: Question, places: Mapping[str, str]) -> list[str]:
    """What no answer may say: a group on a server that is not there or not in its policy, on two, or nowhere though it
    could run; two groups together that exclude each other."""
    up = {server for server, condition in asked.conditions.items() if condition == "on"}
    found = []
    for group in asked.cluster.groups:
        server = places[group.name]
        if server and server not in up.intersection(group.policy):
            found.append(f"{group.name} is on {server}")
        if not server and up.intersection(group.policy) and not group.exclusive:
            found.append(f"{group.name} is nowhere")
    apart = [places[g.name] for g in asked.cluster.groups if g.exclusive and places[g.name]]
    return found + ([f"both are on {apart[0]}"] if len(set(apart)) < len(apart) else [])


# Ours -----------------------------------------------------------------------------------------------------------


def ours(asked: Question) -> Answer:
    bench = Bench(asked)
    bench.prepare()  # What crm_simulate gets as its file.
    began = time.process_time()
    stage = bench.decide()
    seconds = time.process_time() - began
    assert not stage.violations, stage.violations
    places = {g.name: ",".join(stage.active_on(g.name)) for g in asked.cluster.groups}
    return Answer(places, seconds)


# Theirs ---------------------------------------------------------------------------------------------------------


def theirs(asked: Question, directory: Path) -> Answer:
    file = directory / "cib.xml"
    file.write_bytes(cib(asked))
    began = _children_s()
    done = subprocess.run([PROGRAM, "--xml-file", str(file), "--simulate", "--output-as", "xml"], check=True,
                          capture_output=True, timeout=_TIMEOUT_S)  # fmt: skip
    seconds = _children_s() - began
    return Answer(_places(done.stdout, asked.cluster), seconds)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _places(xml: bytes, cluster: Cluster) -> dict[str, str]:
    # Bytes of a program that we have just started ourselves.
    after = ET.fromstring(xml).find("revised_cluster_status/resources")
    assert after is not None, xml.decode(errors="replace")[:2000]
    found = {}
    for each in after.iter("resource"):
        nodes = [node.get("name", "") for node in each.iter("node")] if each.get("active") == "true" else []
        found[each.get("id", "")] = ",".join(nodes)
    return {g.name: found[g.resources[-1]] for g in cluster.groups}


def cib(asked: Question) -> bytes:
    """The cluster information base that says the same."""
    told = Cib(no_quorum_policy="ignore", symmetric_cluster="true")
    for server, condition in asked.conditions.items():
        up = condition in ("on", "standby")
        runs = {name: up and server in asked.items[name].on for name in asked.group_of}
        told.server(server, runs, up=up, standby=condition == "standby")
    for group in asked.cluster.groups:
        # Who does not go back stays, whatever the other server is worth.
        told.group(group.name, group.resources, stickiness="0" if group.auto_failback else "INFINITY")
        for server in asked.conditions:
            told.location(group.name, server, _score(list(group.policy), server))
    for first, second in permutations([g.name for g in asked.cluster.groups if g.exclusive], 2):
        told.apart(first, second)
    return told.encoded()
