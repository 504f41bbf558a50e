"""Random stories in the recorded form: whatever the commands, no promise breaks, and nothing lacks a rule."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from agent.sim.replay.player import replay

_SERVER_COMMANDS = ("network {} off", "network {} off", "network {} on", "power {} off", "power {} on", "power {} on",
                    "reboot {}", "shutdown {}", "crm {} enable-node-maintenance", "crm {} disable-node-maintenance",
                    "crm {} disarm-ha freeze", "crm {} arm-ha", "restart-lrm {}", "cfs {} rw fail",
                    "delay 5")  # fmt: skip
_SERVICE_COMMANDS = ("migrate {}", "relocate {}", "started", "stopped", "disabled", "stop 30", "ignored", "delete")


def services(random: Random, servers: list[str]) -> dict[str, Any]:
    found = {}
    for number in range(random.randint(1, 6)):
        plan = f"{random.randint(0, 3)}{random.randint(0, 1)}{random.choice(['', '0', '1'])}"
        name = f"fa:{number}{plan}" if random.random() < 0.3 else f"vm:{number}"
        state = random.choice(["started", "started", "enabled", "stopped", "ignored"])
        limits = {"max_restart": str(random.randint(0, 2)), "max_relocate": str(random.randint(0, 2))}
        found[name] = {"node": random.choice(servers), "state": state, **(limits if random.random() < 0.3 else {})}
    return found


def rule(random: Random, names: list[str], servers: list[str]) -> dict[str, Any]:
    some = ",".join(random.sample(names, random.randint(1, len(names))))
    if random.random() < 0.5:
        affinity = random.choice(["positive", "negative"])
        return {"kind": "resource-affinity", "affinity": affinity, "resources": some}
    nodes = ",".join(
        s + random.choice(["", ":1", ":2"]) for s in random.sample(servers, random.randint(1, len(servers)))
    )
    strict = {"strict": "1"} if random.random() < 0.4 else {}
    return {"kind": "node-affinity", "nodes": nodes, "resources": some, **strict}


def story(seed: int) -> dict[str, Any]:
    random = Random(seed)
    servers = [f"node{n}" for n in range(1, random.choice([3, 3, 3, 5]) + 1)]
    told = services(random, servers)
    stimuli: list[list[Any]] = [[20, f"power {server} on"] for server in servers if random.random() < 0.95]
    at = 20
    for _ in range(random.randint(0, 6)):
        at += random.choice([20, 40, 100, 100, 200])
        service = f"service {random.choice(sorted(told))} {random.choice(_SERVICE_COMMANDS)}"
        command = random.choice([service, random.choice(_SERVER_COMMANDS)])
        stimuli.append([at, command.format(random.choice(servers))])
    off = {"network": "off", "power": "off"}
    rules = [rule(random, sorted(told), servers) for _ in range(random.choice([0, 0, 1, 2, 3]))]
    return {"nodes": dict.fromkeys(servers, off), "services": told, "rules": rules, "stimuli": stimuli, "final": {}}


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 100, 25))
def test_random_stories_break_no_promise(first: int):
    for seed in range(first, first + 25):
        result = replay(story(seed), f"seed {seed}")
        assert result.supported, result.lines()
        assert result.broken == (), result.lines()
        assert result.overlaps == ()
        assert [d for d in result.differences if not d.rule] == [], result.lines()
