"""whatif: one failure, all single failures and all pairs on a large cluster, beside pacemaker's crm_simulate."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from agent.catalog import RESOURCES
from agent.clpconf.model import Cluster, Group
from agent.sim.sweep import Sweep, sweep
from agent.sim.whatif import Outlook
from tests.bench.goals import Goal, Outcome, figure, median
from tests.bench.large import large

Say = Callable[[str], None]
DEFAULTS = {name: kind.spec.depends_on for name, kind in RESOURCES.items()}
SIZE, QUICK_SIZE = (32, 1000), (8, 100)
QUESTIONS, QUICK_QUESTIONS = 9, 3
FASTER = 30  # than crm_simulate
_PROGRAM = "crm_simulate"
_TIMEOUT_S = 900.0
_TO_OTHERS = 2  # questions: one takes minutes
_AGENT = {"class": "ocf", "provider": "pacemaker", "type": "Dummy"}
_NO_PARAMETERS = "f2317cad3d54cec5d7d7aa7d0bf35cf8"  # pacemaker's digest of none
_KEY = "1:1:0:00000000-0000-0000-0000-000000000001"


def run(say: Say, *, quick: bool) -> Outcome:
    servers, resources = QUICK_SIZE if quick else SIZE
    cluster = large(servers, resources)
    names = cluster.server_names
    chosen = names[:: max(1, len(names) // (QUICK_QUESTIONS if quick else QUESTIONS))]
    out = Outcome(f"whatif: {servers} servers, {len(cluster.groups)} groups, {resources} resources",
                  ("", "questions", "time", "each", "not covered"))  # fmt: skip
    say(f"{len(chosen)} questions")
    ours = [_ask(cluster, name) for name in chosen]
    out.rows.append(["a server fails", str(len(ours)), figure(sum(ours), "s"), figure(1e3 * median(ours), "ms"), ""])
    single, single_s = _sweep(say, cluster, double=False)
    double, double_s = _sweep(say, cluster, double=True)
    for text, found, took_s in (("every failure", single, single_s), ("every pair of servers", double, double_s)):
        count = len(found.rows)
        out.rows.append(
            [text, str(count), figure(took_s, "s"), figure(1e3 * took_s / count, "ms"), str(len(found.gaps))]
        )
    say(f"{_PROGRAM}, the same questions")
    theirs = _theirs(cluster, chosen[:_TO_OTHERS])
    if theirs:
        out.rows.append([f"{_PROGRAM}: a server fails", str(len(theirs)), figure(sum(theirs), "s"),
                         figure(1e3 * median(theirs), "ms"), ""])  # fmt: skip
    out.goals = _goals(ours, single_s, double_s, theirs)
    out.notes.append(f"A question is asked of a fresh outlook. Sweeps: {_cores()} processes, everything included.")
    return out


def _goals(ours: list[float], single_s: float, double_s: float, theirs: list[float]) -> list[Goal]:
    return [
        Goal("what-if, median", 1e3 * median(ours), 100.0, "goal", unit="ms"),
        Goal("every single failure", single_s, 5.0, "goal", unit="s"),
        Goal("every pair of servers", double_s, 60.0, "goal", unit="s"),
        Goal(
            "what-if, median", 1e3 * median(ours), 1e3 * median(theirs) if theirs else None, _PROGRAM, 1 / FASTER, "ms"
        ),
    ]


def _ask(cluster: Cluster, name: str) -> float:
    """Seconds of the processor, from nothing to the whole story."""
    began = time.process_time()
    outlook = Outlook(cluster, DEFAULTS)
    story = outlook.whole(outlook.ask([f"crash {name}"]))
    seconds = time.process_time() - began
    moved = [fate for fate in story.fates.values() if fate.before == name]
    assert {fate.outcome for fate in moved} == {"moves"}, "the question was not answered"
    return seconds


def _sweep(say: Say, cluster: Cluster, *, double: bool) -> tuple[Sweep, float]:
    say("every pair of servers" if double else "every single failure")
    began = time.monotonic()
    found = sweep(cluster, DEFAULTS, double=double, jobs=_cores(), context=multiprocessing.get_context("fork"))
    return found, time.monotonic() - began


def _cores() -> int:
    return len(os.sched_getaffinity(0))


# The same to crm_simulate -------------------------------------------------------------------------------------------


def _theirs(cluster: Cluster, names: tuple[str, ...]) -> list[float]:
    """Seconds of the processor; none when it is not installed."""
    if shutil.which(_PROGRAM) is None:
        return []
    with tempfile.TemporaryDirectory(prefix="openclp-bench-") as directory:
        file = Path(directory) / "cib.xml"
        file.write_bytes(cib(cluster))
        return [_simulate(file, name) for name in names]


def _simulate(file: Path, name: str) -> float:
    began = _children_s()
    done = subprocess.run([_PROGRAM, "--xml-file", str(file), "--simulate", f"--node-fail={name}"], check=True,
                          capture_output=True, timeout=_TIMEOUT_S)  # fmt: skip
    assert b"Executing Cluster Transition" in done.stdout, done.stdout[:1000]
    return _children_s() - began


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cib(cluster: Cluster) -> bytes:
    """The same cluster, all servers up and every group at its home, as a cluster information base."""
    root = ET.Element("cib", {"validate-with": "pacemaker-3.0", "epoch": "1", "num_updates": "0", "admin_epoch": "0",
                              "have-quorum": "1", "dc-uuid": "1"})  # fmt: skip
    configuration, status = ET.SubElement(root, "configuration"), ET.SubElement(root, "status")
    options = {"stonith-enabled": "false", "no-quorum-policy": "stop", "symmetric-cluster": "false"}
    _nvpairs(ET.SubElement(configuration, "crm_config"), "cluster_property_set", "options", options)
    nodes = ET.SubElement(configuration, "nodes")
    resources, constraints = ET.SubElement(configuration, "resources"), ET.SubElement(configuration, "constraints")
    for number, server in enumerate(cluster.server_names, 1):
        ET.SubElement(nodes, "node", {"id": str(number), "uname": server})
        _state(status, number, server, cluster)
    for group in cluster.groups:
        _group(resources, constraints, group)
    return ET.tostring(root)


def _nvpairs(parent: ET.Element, tag: str, name: str, values: Mapping[str, str]) -> None:
    held = ET.SubElement(parent, tag, {"id": name})
    for key, value in values.items():
        ET.SubElement(held, "nvpair", {"id": f"{name}-{key}", "name": key, "value": value})


def _group(resources: ET.Element, constraints: ET.Element, group: Group) -> None:
    made = ET.SubElement(resources, "group", {"id": group.name})
    _nvpairs(made, "meta_attributes", f"{group.name}-meta", {"resource-stickiness": "INFINITY"})
    for name in group.resources:
        ET.SubElement(made, "primitive", {"id": name, **_AGENT})
    for place, server in enumerate(group.policy):
        ET.SubElement(constraints, "rsc_location", {"id": f"{group.name}-{server}", "rsc": group.name, "node": server,
                                                    "score": str(1000 - 10 * place)})  # fmt: skip


def _state(parent: ET.Element, number: int, server: str, cluster: Cluster) -> None:
    state = ET.SubElement(parent, "node_state", {
        "id": str(number), "uname": server, "in_ccm": "true", "crmd": "online", "join": "member", "expected": "member",
    })  # fmt: skip
    lrm = ET.SubElement(ET.SubElement(state, "lrm", {"id": str(number)}), "lrm_resources")
    for group in cluster.groups:
        # Who does not know that a resource is stopped there must look first; that would not be the same question.
        operation, result = ("start", "0") if group.policy[0] == server else ("monitor", "7")
        for name in group.resources:
            held = ET.SubElement(lrm, "lrm_resource", {"id": name, **_AGENT})
            ET.SubElement(held, "lrm_rsc_op", {
                "id": f"{name}_last_0", "operation_key": f"{name}_{operation}_0", "operation": operation,
                "crm-debug-origin": "bench", "crm_feature_set": "3.16.2", "transition-key": _KEY,
                "transition-magic": f"0:{result};{_KEY}", "on_node": server, "call-id": "1", "rc-code": result,
                "op-status": "0", "interval": "0", "op-digest": _NO_PARAMETERS,
            })  # fmt: skip
