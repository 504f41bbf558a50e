"""Who may do what: three roles, and the helpers with which every view begins."""

from __future__ import annotations

from typing import Any, Literal

from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from webmanager import selectors
from webmanager.models import Cluster, Operation

Role = Literal["administrator", "operator", "viewer", ""]


def role_of(user: Any) -> Role:
    """The highest of the user's roles; a user in none of the groups may only look."""
    if not user.is_authenticated or not user.is_active:
        return ""
    if user.is_superuser:
        return "administrator"
    if not hasattr(user, "_openclp_role"):
        groups = set(user.groups.values_list("name", flat=True))
        user._openclp_role = next((r for r in ("administrator", "operator") if r in groups), "viewer")
    return user._openclp_role


def may_operate(user: Any) -> bool:
    return role_of(user) in ("administrator", "operator")


def may_administer(user: Any) -> bool:
    return role_of(user) == "administrator"


def operator_or_403(user: Any) -> None:
    if not may_operate(user):
        raise PermissionDenied(_("You may look but not operate. Ask an administrator for the role “operator”."))


def administrator_or_403(user: Any) -> None:
    if not may_administer(user):
        raise PermissionDenied(_("Only an administrator may do this."))


def chosen_cluster(request: HttpRequest) -> Cluster | None:
    """`?cluster=NAME`, else the one that this session chose last, else the first; None when there is none at all."""
    if name := request.GET.get("cluster", ""):
        cluster = get_cluster_or_404(name)
        request.session["cluster"] = cluster.name
        return cluster
    kept = request.session.get("cluster", "")
    return selectors.cluster(name=kept) or selectors.first_cluster()


def get_cluster_or_404(name: str) -> Cluster:
    """`name` "": the first one."""
    cluster = selectors.cluster(name=name) if name else selectors.first_cluster()
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
    if operation is None:
        raise Http404(_("There is no such operation."))
    return operation
