"""Since when this server has belonged to every view of the cluster: whoever was left out of one knows nothing of it.

A mirror disk asks for it (agent/mirror): a standby may follow an active side that is gone only when the cluster cannot
have gone on without that standby in between.

The argument. A view is in force once its proposer has installed it. Each promise tells the newest view that its server
has installed since its service began (`latest`), and the newest one that it has promised and not seen installed
(`pending`). The proposer of the next view takes the newest of all that may have been in force before, and tells it with
the view (`before`): what a member or an arbiter knows to have been in force, and what was promised to a proposer who is
not here to say that nothing came of it. A member whose own latest view is that one has missed nothing; for any other
one everything begins anew. Two views in turn share somebody who has promised both (quorum.py), where the configuration
has anything that keeps two sides from acting; where it has nothing, no rule here could.

A restart of the daemon changes nothing of this, the end of the service or of the machine ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.clpconf.model import Cluster
from agent.engine.quorum import in_force
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Ballot, Views

if TYPE_CHECKING:
    from agent.engine.view import Proposal, View


class Continuity:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The service begins anew."""
        self.latest = self.since = self._pending = NO_EPOCH

    @property
    def views(self) -> Views:
        return Views(latest=self.latest, pending=self._pending)

    def promising(self, promised: Epoch) -> None:
        """A newer one than `promised` is about to be promised."""
        if promised > self.latest:
            self._pending = promised

    def installed(self, view: View) -> None:
        if view.epoch == self.latest:
            return  # Told again, after a restart of the daemon.
        if self.latest == NO_EPOCH or view.before != self.latest:
            self.since = view.epoch
        self.latest, self._pending = view.epoch, NO_EPOCH

    # ---- over a restart of the daemon ----
    def saved(self) -> dict[str, Any]:
        return {"latest": list(self.latest), "since": list(self.since), "pending": list(self._pending)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.latest, self.since, self._pending = (
            Epoch(*saved.get(name, NO_EPOCH)) for name in ("latest", "since", "pending")
        )


def before(cluster: Cluster, proposal: Proposal, ballots: list[Ballot]) -> Epoch:
    """The newest view that may have been in force before the proposed one. `ballots`: of the members and arbiters."""
    names, absent = cluster.server_names, set(cluster.server_names) - set(proposal.members)
    found = [promise.views.latest for promise in proposal.promises.values()]
    if newest := in_force(ballots):
        found.append(newest.epoch)
    for promise in proposal.promises.values():
        pending = promise.views.pending
        # Of whoever is here we know whether it was installed. After a boot the number stands for anybody's.
        if absent and (pending.proposer >= len(names) or names[pending.proposer] in absent):
            found.append(pending)
    return max(found, default=NO_EPOCH)
