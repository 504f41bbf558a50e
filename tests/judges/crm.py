"""The same placement question to pacemaker's crm_simulate and to our engine: random clusters from a seed."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple
from xml.etree import ElementTree as ET

from msgspec.structs import replace

from agent.clpconf.model import Cluster, Group
from agent.sim.replay.decide import Bench
from agent.sim.replay.placement import Question, question_of

PROGRAM = "crm_simulate"
_TIMEOUT_S = 60.0
_AGENT = {"class": "ocf", "provider": "pacemaker", "type": "Dummy"}
_KEY = "1:1:0:00000000-0000-0000-0000-000000000001"


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
    root = ET.Element("cib", {"validate-with": "pacemaker-3.0", "epoch": "1", "num_updates": "0", "admin_epoch": "0",
                              "have-quorum": "1", "dc-uuid": "1"})  # fmt: skip
    configuration, status = ET.SubElement(root, "configuration"), ET.SubElement(root, "status")
    options = {"stonith-enabled": "false", "no-quorum-policy": "ignore", "symmetric-cluster": "true"}
    _nvpairs(ET.SubElement(configuration, "crm_config"), "cluster_property_set", "options", options)
    nodes = ET.SubElement(configuration, "nodes")
    resources = ET.SubElement(configuration, "resources")
    constraints = ET.SubElement(configuration, "constraints")
    for number, server in enumerate(asked.conditions, 1):
        node = ET.SubElement(nodes, "node", {"id": str(number), "uname": server})
        if asked.conditions[server] == "standby":
            _nvpairs(node, "instance_attributes", f"n{number}", {"standby": "on"})
        _state(status, number, server, asked)
    for group in asked.cluster.groups:
        _group(resources, group)
        _locations(constraints, group, list(asked.conditions))
    _apart(constraints, [g.name for g in asked.cluster.groups if g.exclusive])
    return ET.tostring(root)


def _nvpairs(parent: ET.Element, tag: str, name: str, values: Mapping[str, str]) -> None:
    held = ET.SubElement(parent, tag, {"id": name})
    for key, value in values.items():
        ET.SubElement(held, "nvpair", {"id": f"{name}-{key}", "name": key, "value": value})


def _group(parent: ET.Element, group: Group) -> None:
    made = ET.SubElement(parent, "group", {"id": group.name})
    # Who does not go back stays, whatever the other server is worth.
    stickiness = "0" if group.auto_failback else "INFINITY"
    _nvpairs(made, "meta_attributes", f"{group.name}-meta", {"resource-stickiness": stickiness})
    for name in group.resources:
        ET.SubElement(made, "primitive", {"id": name, **_AGENT})


def _locations(parent: ET.Element, group: Group, servers: list[str]) -> None:
    for server in servers:
        score = _score(list(group.policy), server)
        ET.SubElement(parent, "rsc_location", {"id": f"{group.name}-{server}", "rsc": group.name, "node": server,
                                               "score": score})  # fmt: skip


def _apart(parent: ET.Element, names: list[str]) -> None:
    for first in names:
        for second in names:
            if first != second:
                ET.SubElement(parent, "rsc_colocation", {"id": f"{first}-{second}", "rsc": first, "with-rsc": second,
                                                         "score": "-INFINITY"})  # fmt: skip


def _state(parent: ET.Element, number: int, server: str, asked: Question) -> None:
    up = asked.conditions[server] in ("on", "standby")
    word = "member" if up else "down"
    state = ET.SubElement(parent, "node_state", {
        "id": str(number), "uname": server, "in_ccm": str(up).lower(), "crmd": "online" if up else "offline",
        "join": word, "expected": word,
    })  # fmt: skip
    lrm = ET.SubElement(ET.SubElement(state, "lrm", {"id": str(number)}), "lrm_resources")
    for name in asked.group_of:
        runs = up and server in asked.items[name].on
        held = ET.SubElement(lrm, "lrm_resource", {"id": name, **_AGENT})
        operation, result = ("start", "0") if runs else ("monitor", "7")
        ET.SubElement(held, "lrm_rsc_op", {
            "id": f"{name}_last_0", "operation_key": f"{name}_{operation}_0", "operation": operation,
            "crm-debug-origin": "judge", "crm_feature_set": "3.16.2", "transition-key": _KEY,
            "transition-magic": f"0:{result};{_KEY}", "on_node": server, "call-id": "1", "rc-code": result,
            "op-status": "0", "interval": "0",
        })  # fmt: skip
