"""A status as Prometheus reads it, and dashboard and rules that ask for what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from agent.wire.metrics import _HELP, Sample, of_status, text

MONITORING = Path(__file__).parents[3] / "docs/monitoring"
STATUS = {
    "cluster": {"name": 'c"1', "suspended": False, "coordinator": "s1", "fencing": {"armed": True, "covered": ["s1"]},
                "partition": {"sides": [{"acts": True}, {"acts": False}]}},
    "servers": {"s1": {"status": "Online", "age_s": 0.25, "quarantine": None, "heartbeats": {
        "lanhb1": {"peers": {"s2": {"status": "Normal", "gaps": {"worst_ms": 365.0}}}}}},
        "s2": {"status": "Offline", "age_s": None, "heartbeats": {}}},
    "groups": {"web": {"status": "Online", "active_on": ["s1"]}},
    "resources": {"ip": {"status": "Online", "type": "fip", "group": "web"}},
    "monitors": {"w": {"type": "pidw", "servers": {"s1": {"status": "Error", "elapsed_ms": 12.5, "restarts": 2,
        "responses": {"p99_ms": 40.0, "worst_ms": 400.0, "timeouts": 3}}}}},
}  # fmt: skip


def test_status_is_told_in_the_format_of_prometheus():
    lines = text(of_status(STATUS)).splitlines()

    for line in lines:
        assert re.fullmatch(r'# (HELP|TYPE) .+|[a-z_]+\{([a-z_]+="(\\.|[^"\\])*",?)*\} [0-9.e+-]+', line), line
    assert r'openclp_server_up{cluster="c\"1",server="s2"} 0' in lines
    assert (
        r'openclp_heartbeat_gap_worst_seconds{cluster="c\"1",server="s1",heartbeat="lanhb1",peer="s2"} 0.365' in lines
    )
    assert r'openclp_group_state{cluster="c\"1",group="web",state="Online"} 1' in lines
    assert r'openclp_group_state{cluster="c\"1",group="web",state="Offline"} 0' in lines
    assert r'openclp_group_active{cluster="c\"1",group="web",server="s2"} 0' in lines
    assert r'openclp_monitor_recoveries{cluster="c\"1",monitor="w",type="pidw",server="s1",kind="restart"} 2' in lines
    assert r'openclp_monitor_response_worst_seconds{cluster="c\"1",monitor="w",type="pidw",server="s1"} 0.4' in lines
    assert r'openclp_monitor_timeouts{cluster="c\"1",monitor="w",type="pidw",server="s1"} 3' in lines
    assert r'openclp_cluster_split_brain{cluster="c\"1"} 0' in lines


def test_every_name_stands_together_with_its_type():
    names = [
        line.split("{")[0] for line in text([*of_status(STATUS), *of_status(STATUS)]).splitlines() if line[0] != "#"
    ]

    assert len(list(dict.fromkeys(names))) == sum(a != b for a, b in zip(names, [*names[1:], ""], strict=True))


def test_every_metric_is_explained():
    assert {sample.name for sample in of_status(STATUS)} <= set(_HELP)
    assert text([Sample("openclp_agent_up", {}, 1.0)]).endswith("\nopenclp_agent_up 1\n")


def test_dashboard_and_rules_ask_for_what_there_is():
    board = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    asked = {target["expr"] for panel in board["panels"] for target in panel["targets"]}
    rules = (MONITORING / "prometheus-rules.yml").read_text()

    names = {name for expression in asked for name in re.findall(r"openclp_[a-z_]+", expression)}
    names |= set(re.findall(r"openclp_[a-z_]+", rules))

    assert len(asked) > 5
    assert names <= set(_HELP)
