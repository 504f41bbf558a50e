"""/ws/overview/: all clusters that the user may see, in a few words each; `?cluster=NAME` for one of them."""

from __future__ import annotations

from webmanager import access, selectors
from webmanager.accounts import people
from webmanager.consumers import FORBIDDEN, NO_CLUSTER, NOT_AUTHENTICATED, ConsoleConsumer
from webmanager.overview import summaries
from webmanager.sessions import session_user


class OverviewConsumer(ConsoleConsumer):
    visible: frozenset[str] = frozenset()
    roles: dict[str, str]

    def _judge(self) -> tuple[int, int, str]:
        user = session_user(self.scope.get("session_key", ""))
        self.visible, self.roles = frozenset(), {}
        if user is None:
            return NOT_AUTHENTICATED, 0, ""
        if people.must_change(user):
            return FORBIDDEN, user.pk, ""
        found = [c for c in selectors.clusters() if not self.cluster or c.name == self.cluster]
        roles = {c.name: role for c in found if (role := access.role_of(user, c, from_=self._origin))}
        if not roles and (self.cluster or not access.may_see(user)):
            return (NO_CLUSTER if self.cluster else FORBIDDEN), user.pk, self.cluster
        self.visible, self.roles = frozenset(roles), dict(roles)
        return 0, user.pk, self.cluster

    def _enter(self) -> None:
        summaries.of_hub(self.hub).watch(self, self.roles)

    def _exit(self) -> None:
        summaries.of_hub(self.hub).watchers.discard(self)

    async def recheck(self) -> None:
        """Another role may mean other clusters."""
        before = self.roles
        await super().recheck()
        if self._live and self.roles != before:
            self._enter()
