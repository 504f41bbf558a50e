"""Who may do what: the one place that pages, sockets and the REST interface ask.

Rules of this file
- Three roles. A user has one on all clusters (the group of that name), on single clusters (ClusterRole), both or none;
  on a cluster the higher one counts.
- The client list of a cluster's clp.conf caps it: from an address that may only look, everybody is a viewer there, and
  from one that is not named the cluster does not exist (accounts/addresses.py).
- A question without a cluster is about all of them, so a role on one cluster does not answer it.
- Where a request comes from is noted by the middleware for as long as it is answered; sockets say it themselves.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Literal, cast

from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from webmanager import selectors
from webmanager.accounts import addresses
from webmanager.accounts.addresses import NOWHERE, Origin
from webmanager.models import Cluster, Operation

Role = Literal["administrator", "operator", "viewer", ""]
_RANKS: dict[str, int] = {"": 0, "viewer": 1, "operator": 2, "administrator": 3}
_ORDER: tuple[Role, ...] = ("administrator", "operator", "viewer")

# The request that is being answered; None in tasks, commands and sockets.
asking: ContextVar[HttpRequest | None] = ContextVar("asking", default=None)


def origin() -> Origin:
    request = asking.get()
    return addresses.of_request(request.META) if request is not None else NOWHERE


def role_of(user: Any, cluster: Cluster | None = None, *, from_: Origin | None = None) -> Role:
    """On this cluster; without one: on all clusters, "" when the user has a role on single ones only."""
    if user is None or not user.is_authenticated or not user.is_active:
        return ""
    everywhere, single = _roles(user)
    if cluster is None:
        return everywhere
    role = max(everywhere, single.get(cluster.pk, ""), key=_RANKS.__getitem__)
    left = addresses.client_list(cluster).leaves(origin() if from_ is None else from_)
    return cast("Role", min(role, left, key=_RANKS.__getitem__))


def highest_role(user: Any) -> Role:
    """On any cluster; what somebody without a cluster before him is shown."""
    if user is None or not user.is_authenticated or not user.is_active:
        return ""
    everywhere, single = _roles(user)
    return max(everywhere, *single.values(), "", key=_RANKS.__getitem__)


def _roles(user: Any) -> tuple[Role, dict[int, Role]]:
    """Asked of the database once a request."""
    if not hasattr(user, "_openclp_roles"):
        groups = set(user.groups.values_list("name", flat=True))
        everywhere = next((role for role in _ORDER if role in groups), "")
        if user.is_superuser:
            everywhere = "administrator"
        user._openclp_roles = (everywhere, dict(user.cluster_roles.values_list("cluster_id", "role")))
    return cast("tuple[Role, dict[int, Role]]", user._openclp_roles)


def may_see(user: Any, cluster: Cluster | None = None) -> bool:
    return role_of(user, cluster) != ""


def may_operate(user: Any, cluster: Cluster | None = None) -> bool:
    return operates(role_of(user, cluster))


def operates(role: Role) -> bool:
    return role in ("administrator", "operator")


def may_administer(user: Any, cluster: Cluster | None = None) -> bool:
    return role_of(user, cluster) == "administrator"


def viewer_or_403(user: Any, cluster: Cluster | None = None) -> None:
    if not may_see(user, cluster):
        raise PermissionDenied(_why_not(user, cluster) or _("You have no role here. Ask an administrator for one."))


def operator_or_403(user: Any, cluster: Cluster | None = None) -> None:
    if not may_operate(user, cluster):
        text = _("You may look but not operate. Ask an administrator for the role “operator”.")
        raise PermissionDenied(_why_not(user, cluster) or text)


def administrator_or_403(user: Any, cluster: Cluster | None = None) -> None:
    if not may_administer(user, cluster):
        raise PermissionDenied(_why_not(user, cluster) or _("Only an administrator may do this."))


def _why_not(user: Any, cluster: Cluster | None) -> str:
    """The sentence about the address, "" when it is not what hinders."""
    if cluster is None:
        return ""
    here = origin()
    left = addresses.client_list(cluster).leaves(here)
    if left == addresses.ALL or not may_see_from_anywhere(user, cluster):
        return ""
    text = {
        addresses.LOOK: _(
            "From %(address)s the cluster %(cluster)s may only be looked at (client list of its clp.conf)."
        ),
        addresses.NOTHING: _("From %(address)s the cluster %(cluster)s is closed (client list of its clp.conf)."),
    }[left]
    return text % {"address": here.address, "cluster": cluster.name}


def may_see_from_anywhere(user: Any, cluster: Cluster) -> bool:
    everywhere, single = _roles(user)
    return bool(everywhere or single.get(cluster.pk))


def asker_may_see(cluster: Cluster | None) -> bool:
    """Whose request is answered; work that nobody asks for sees all."""
    request = asking.get()
    return request is None or may_see(request.user, cluster)


def clusters(user: Any) -> list[Cluster]:
    """Those that the user may see from here."""
    return [cluster for cluster in selectors.clusters() if may_see(user, cluster)]


def chosen_cluster(request: HttpRequest) -> Cluster | None:
    """`?cluster=NAME`, else the one that this session chose last, else the first; None when there is none at all."""
    if name := request.GET.get("cluster", ""):
        cluster = get_cluster_or_404(name, request.user)
        if request.session.get("cluster") != cluster.name:
            request.session["cluster"] = cluster.name
        return cluster
    kept = selectors.cluster(name=request.session.get("cluster", ""))
    if kept is not None and may_see(request.user, kept):
        return kept
    return _first(request.user)


def _first(user: Any) -> Cluster | None:
    """403 when there are clusters, but none for this user or this address."""
    known = selectors.clusters()
    found = next((cluster for cluster in known if may_see(user, cluster)), None)
    if found is None and (known or not role_of(user)):
        reasons = filter(None, (_why_not(user, cluster) for cluster in known))
        raise PermissionDenied(next(reasons, _("You have no role on any cluster. Ask an administrator for one.")))
    return found


def get_cluster_or_404(name: str, user: Any = None) -> Cluster:
    """`name` "": the first one that may be seen. `user`: whose request it is, without it the one that is answered."""
    if user is None and (request := asking.get()) is not None:
        user = request.user
    if name:
        cluster = selectors.cluster(name=name)
        # What somebody may not see is not told from what is not there.
        if cluster is not None and user is not None and not may_see(user, cluster):
            if why := _why_not(user, cluster):
                raise PermissionDenied(why)
            cluster = None
    else:
        cluster = _first(user) if user is not None else selectors.first_cluster()
    if cluster is None:
        text = _("There is no cluster “%(name)s”.") % {"name": name} if name else _("No cluster has reported yet.")
        raise Http404(text)
    return cluster


def get_status_or_404(cluster: Cluster | None) -> dict[str, Any]:
    status = async_to_sync(selectors.status)(cluster=cluster.name) if cluster else None
    if status is None:
        raise Http404(_("No cluster has reported yet."))
    return status


def get_object_or_404(status: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """`kind` is a key of the status: servers, groups, resources, monitors."""
    found = status[kind].get(name)
    if found is None:
        known = ", ".join(status[kind]) or "-"
        raise Http404(_("There is no “%(name)s” here. Known: %(known)s.") % {"name": name, "known": known})
    return found


def get_operation_or_404(key: Any) -> Operation:
    operation = Operation.objects.select_related("cluster").filter(id=key).first()
    if operation is None or not asker_may_see(operation.cluster):
        raise Http404(_("There is no such operation."))
    return operation
