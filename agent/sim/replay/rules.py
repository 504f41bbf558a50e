"""The rules of ours by which a recorded case may end differently, each with the sentence that explains it."""

from __future__ import annotations

#: Rules that the engine names in its notes are explained by the note itself; these stand beside them.
RULES = {
    "unknown-form": "the case has none of the known forms",
    "unknown-command": "the case uses a command that has no counterpart here",
    "too-large": "the case is larger than a cluster of ours may be",
    "configuration-change": "a group leaves or joins the configuration when the operator applies it; until then the "
    "cluster goes on to care for it",
    "move-is-stop-and-start": "a group is moved by stopping it here and starting it there; there is no live migration "
    "that could fail and leave it where it was",
    "drain": "an orderly stop, shutdown or reboot of a server moves its groups to the next server of their policies",
    "stay": "a group that runs well stays where it is: nothing is moved to balance the load",
    "failover-policy": "the failover policy is an ordered list, and its first available server takes the group; the "
    "load of the servers does not count",
    "failback-attribute": "a group goes back by itself only with failback auto, and only to the first server of its "
    "policy",
    "startup-attribute": "a group with startup attribute auto starts on the first available server of its policy",
    "held": "nobody has asked for it: a group with startup attribute manual, or stopped by the operator, is started by "
    "the operator only",
    "startup-wait": "the first view waits for servers that nobody has heard of yet, since they may run a group",
    "group-is-the-unit": "a group is online on one server with all of its resources; single members are neither "
    "stopped, moved nor left out",
    "failover-threshold": "failed activations are retried and tried elsewhere as often as the resource's thresholds "
    "say; then the group rests until the operator acts",
    "stop-failure": "what could not be stopped holds its group where it is, until the server is reset or the operator "
    "acts",
    "reactivation": "an error of a resource is met by restarting it in place first, and elsewhere only when that did "
    "not help",
    "well-one-survives": "of a group that is active twice, a server where it has failed or shall leave gives way",
    "newest-start-survives": "of a group that is active twice the newest start survives and the others are stopped",
    "majority": "without a majority nothing runs: a server that loses it stops its groups by itself and starts nothing",
    "self-fencing": "a server that lost the majority stops its groups by itself when its lease ends; it is reset only "
    "when something is still held then",
    "fence-holders": "only a lost server that may hold a group is forced off",
    "fencing": "a lost server that may hold a group is forced off before the group starts elsewhere",
    "startup-fencing": "a server that nobody has heard of since the start may run a group; it is forced off before its "
    "groups are started",
    "nobody-left": "no server of the cluster is left that could decide or act",
    "lost-is-not-stopped": "a group is not started elsewhere before its old server has certainly stopped",
    "node-health": "health scores of servers are unknown here; monitors and their recoveries say what a sick server "
    "may run",
    "suspended": "while the cluster is suspended, nothing is started, stopped or moved",
    "shutdown-lock": "a group is not tied to a server that was shut down; the next of its policy takes it",
    "start-order": "the start of a group waits for those before it in the order of groups",
    "exclusion": "exclusive groups form one class: all of them avoid each other",
    "same-server": "what must run together is one group here, and moves as one",
    "preference": "a wish to run near another group that is no must has no counterpart",
    "unknown-name": "a constraint names something that the case does not describe",
    "resource-lock": "locks of single services by other programs are unknown here",
    "no-counterpart": "this step concerns a part that our product does not have",
    "unreadable": "the expectation of the case cannot be read",
    "unknown-reason": "the case does not say why it expects this; nothing that it states forbids what ours does",
}  # fmt: skip


def sentence(rule: str) -> str:
    return RULES.get(rule, rule)
