"""What a server on the losing side of a network partition does with itself (cluster/networkpartition/npaction).

It always stops its groups: when its lease is lost (agent/engine/detector.py), or when it misses a member of its view
and reaches no ping target - then already at the suspicion, since the other side starts them when the timeout is over.
When one timeout later it is still on the losing side, with nothing held, the configured action follows. A server that
has not been in any view since its start waits instead: it may have been the first to boot.
"""

from __future__ import annotations

from typing import Literal

from agent.engine.core import NEVER, Core
from agent.engine.effects import HaltServer
from agent.engine.groups import LocalGroups
from agent.engine.membership import Membership
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Answer, Request

_HOW: dict[int, Literal["shutdown", "reboot", "panic", "reset"]] = {2: "shutdown", 3: "reboot", 4: "panic"}
_WORDS = {1: "stop the cluster service", 2: "shut the server down", 3: "reboot the server", 4: "panic"}


class PartitionAction:
    def __init__(self, core: Core, membership: Membership, groups: LocalGroups) -> None:
        self.core = core
        self.membership = membership
        self.groups = groups
        self._since = NEVER  # on the losing side
        self._acted = False

    def advance(self, evidence: str) -> None:
        """`evidence`: note of what has just happened."""
        self._watch_ping(evidence)
        if not self._loses():
            if self._since != NEVER:
                self.core.touch()
            self._since, self._acted = NEVER, False
            self.core.timers.pop("partition action", None)
            return
        if self._since == NEVER:
            self.core.touch()
            self._since = self.core.now
            self.core.timers["partition action"] = self._since + self.core.cluster.timeout_s
        if self.core.now >= self._since + self.core.cluster.timeout_s:
            self._act()

    def _loses(self) -> bool:
        membership = self.membership
        if membership.service != "online" or membership.view.epoch == NO_EPOCH:
            return False
        return not membership.lease_held or bool(membership.partition.cut_off)

    def _watch_ping(self, evidence: str) -> None:
        partition, membership = self.membership.partition, self.membership
        if not self.core.cluster.pings:
            return
        missing = [] if membership.service == "stopped" else self._missing()
        if partition.cut_off and (not missing or partition.settled):
            partition.cut_off = ""
            self.groups.resume()
        elif missing and not (partition.inside or partition.cut_off):
            partition.cut_off = self.core.note("cp", 23, "server", self.core.me, self.core.me, ", ".join(missing),
                                               rule="ping-resolution", causes=(evidence,))  # fmt: skip
            self.groups.stop_all("GROUPSTOP", partition.cut_off)

    def _missing(self) -> list[str]:
        """Members of our view that are lost, or may soon be."""
        view, peers = self.membership.view, self.membership.peers
        others = [m for m in view.members if m != self.core.me]
        return [m for m in others if self.membership.suspects(m) or not peers[m].alive]

    def _act(self) -> None:
        number = self.core.cluster.npaction
        if self._acted or number == 0 or self.groups.holding():
            return
        self._acted = True
        words = _WORDS.get(number, "reset the server")
        note = self.core.note("cp", 24, "server", self.core.me, self.core.me, words, rule="partition-action",
                              causes=(self.membership.partition.cut_off or self.membership.evidence,))  # fmt: skip
        if number == 1:
            self.membership.leave(note)
        else:
            self.core.emit(HaltServer(how=_HOW.get(number, "reset"), reason="network partition"))


def force_quorum(core: Core, membership: Membership, request: Request) -> Answer:
    """The operator says that every server which is not here is off, so that those who are here may act without it."""
    here = membership.alive()
    absent = [name for name in core.cluster.server_names if name not in here]
    why = ""
    if membership.service != "online":
        why = f"The cluster service does not run on {core.me}; start it first (clpcl -s)."
    elif not (core.cluster.majority and absent and (membership.partition.hopeful(here) or membership.lacking)):
        why = "There is nothing to force: the servers that are here may act."
    elif here[0] != core.me:
        why = f"{here[0]} coordinates these servers; give the command there (clpcl --force-quorum -h {here[0]})."
    if why:
        return Answer(id=request.id, code=2, reason="not_needed", text=why)
    by, names = request.by or "somebody", ", ".join(absent)
    asked = core.note("apisv", 1, "request", core.me, by, "go on without absent servers", names, rule="operator")
    membership.evidence = core.note("cp", 25, "cluster", core.cluster.name, names, by, rule="operator",
                                    causes=(asked,))  # fmt: skip
    membership.departed.sworn_off.update(absent)
    newest = max(membership.seen, membership.promised)
    membership.partition.ballots.force(Epoch(newest.counter, len(here)), here)
    membership.forget_refusal()
    core.save_dirty = core.durable = True
    return Answer(id=request.id, code=0, text=f"Going on without {names}. They must stay off until they can be joined.")
