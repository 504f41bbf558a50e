"""Users and what they may: every change is told to the audit, and what it takes away ends at once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from webmanager.accounts import audit, sign_ins, totp
from webmanager.accounts.actor import Actor
from webmanager.accounts.models import ROLES, Account, ClusterRole
from webmanager.accounts.seal import SealError, seal, unseal
from webmanager.api import tokens
from webmanager.models import Cluster

_TOTP = "totp"


class ProblemError(Exception):
    """What is wrong with a wish, in the reader's language; nothing was changed."""


def account_of(user: Any) -> Account:
    return Account.objects.get_or_create(user=user)[0]


def must_change(user: Any) -> bool:
    if not hasattr(user, "_openclp_must_change"):
        user._openclp_must_change = Account.objects.filter(user=user, must_change=True).exists()
    return bool(user._openclp_must_change)


def first_password() -> str:
    return secrets.token_urlsafe(12)


def add(*, name: str, role: str, actor: Actor, own_choice: bool = True) -> tuple[Any, str]:
    """(user, the password, which is shown once). `own_choice`: the user must choose another one at first."""
    users = get_user_model().objects
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError as error:
        raise ProblemError(" ".join(error.messages)) from None
    if not 0 < len(name) <= 150:
        raise ProblemError(_("A user name has 1 to 150 letters."))
    if users.filter(username__iexact=name).exists():
        raise ProblemError(_("There is a user “%(name)s” already.") % {"name": name})
    password = first_password()
    with transaction.atomic():
        user = users.create_user(name, password=password)
        Account.objects.create(user=user, must_change=own_choice)
        _set_role(user, role)
        _tell("user.add", actor, name, {"role": role})
    return user, password


def _set_role(user: Any, role: str) -> None:
    assert role in (*ROLES, "")
    kept = [group for group in user.groups.all() if group.name not in ROLES]
    user.groups.set([*kept, *([Group.objects.get(name=role)] if role else [])])


def set_roles(*, user: Any, everywhere: str, single: Mapping[str, str], actor: Actor) -> None:
    """`single`: cluster name -> role, "" for none."""
    before = roles(user)
    with transaction.atomic():
        _keep_an_administrator(user, everywhere == "administrator")
        _set_role(user, everywhere)
        for cluster in Cluster.objects.filter(name__in=single).defer("config"):
            if role := single[cluster.name]:
                ClusterRole.objects.update_or_create(user=user, cluster=cluster, defaults={"role": role})
            else:
                ClusterRole.objects.filter(user=user, cluster=cluster).delete()
        after = roles(user)
        if after != before:
            _tell("user.roles", actor, user.get_username(), {"before": before, "after": after})
    sign_ins.recheck(user)


def roles(user: Any) -> dict[str, str]:
    """ "*" is every cluster."""
    names = set(user.groups.values_list("name", flat=True))
    everywhere = next((role for role in ROLES if role in names), "")
    single = ClusterRole.objects.filter(user=user).values_list("cluster__name", "role")
    return {"*": "administrator" if user.is_superuser else everywhere} | dict(single)


def _keep_an_administrator(user: Any, stays: bool) -> None:
    """Somebody must be able to let others in."""
    if stays or user.is_superuser:
        return
    others = get_user_model().objects.filter(is_active=True).exclude(pk=user.pk)
    if not others.filter(groups__name="administrator").exists() and not others.filter(is_superuser=True).exists():
        raise ProblemError(_("This is the last administrator. Make somebody else one first."))


def set_active(*, user: Any, active: bool, actor: Actor) -> None:
    with transaction.atomic():
        if not active:
            _keep_an_administrator(user, stays=False)
        user.is_active = active
        user.save(update_fields=["is_active"])
        _tell("user.enable" if active else "user.disable", actor, user.get_username())
    if not active:
        sign_ins.end_all(user)


def remove(*, user: Any, actor: Actor) -> None:
    with transaction.atomic():
        _keep_an_administrator(user, stays=False)
        sign_ins.end_all(user)
        _tell("user.remove", actor, user.get_username())
        user.delete()


def reset_password(*, user: Any, actor: Actor) -> str:
    """The new one, shown once. Whoever was signed in with the old one is not any more, and tokens end as well."""
    password = first_password()
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        Account.objects.update_or_create(user=user, defaults={"must_change": True})
        tokens.revoke_all(user=user)
        _tell("user.password", actor, user.get_username(), {"by": "administrator"})
    sign_ins.end_all(user)
    return password


def changed_own_password(*, user: Any, keep: str, actor: Actor) -> None:
    """After the form has stored it. `keep`: the session that did it."""
    Account.objects.filter(user=user).update(must_change=False)
    user._openclp_must_change = False
    sign_ins.end_all(user, but=keep)
    _tell("user.password", actor, user.get_username(), {"by": "user"})


# The second factor.


def has_second_factor(user: Any) -> bool:
    return Account.objects.filter(user=user).exclude(totp="").exists()


def begin_second_factor(*, user: Any) -> bytes:
    """The secret that waits for its first right code; the same one until then."""
    account = account_of(user)
    if account.totp_pending:
        try:
            return unseal(_TOTP, account.totp_pending)
        except SealError:
            pass  # SECRET_KEY is another one now: a new secret takes its place.
    secret = totp.make()
    account.totp_pending = seal(_TOTP, secret)
    account.save(update_fields=["totp_pending"])
    return secret


def confirm_second_factor(*, user: Any, code: str, actor: Actor) -> list[str] | None:
    """The recovery codes, shown once; None when the code was wrong."""
    with transaction.atomic():
        account = Account.objects.select_for_update().filter(user=user).first()
        if account is None or not account.totp_pending:
            return None
        try:
            step = totp.matching_step(unseal(_TOTP, account.totp_pending), code, 0)
        except SealError:
            return None
        if not step:
            return None
        codes = totp.recovery_codes()
        account.totp, account.totp_pending, account.totp_step = account.totp_pending, "", step
        account.recovery = [totp.recovery_hash(one) for one in codes]
        account.save()
        _tell("second_factor.on", actor, user.get_username())
    return codes


def drop_second_factor(*, user: Any, actor: Actor) -> None:
    with transaction.atomic():
        Account.objects.filter(user=user).update(totp="", totp_pending="", totp_step=0, recovery=[])
        _tell("second_factor.off", actor, user.get_username())


def check_second_factor(*, user: Any, code: str) -> str:
    """ "code", "recovery", or "" when it is wrong. Neither works twice, in whichever process."""
    with transaction.atomic():
        account = Account.objects.select_for_update().filter(user=user).first()
        if account is None or not account.totp:
            return ""
        hashed = totp.recovery_hash(code)
        if hashed in account.recovery:
            account.recovery = [one for one in account.recovery if one != hashed]
            account.save(update_fields=["recovery"])
            return "recovery"
        try:
            step = totp.matching_step(unseal(_TOTP, account.totp), code, account.totp_step)
        except SealError:
            return ""
        if not step:
            return ""
        account.totp_step = step
        account.save(update_fields=["totp_step"])
        return "code"


def listed() -> list[dict[str, Any]]:
    """Everybody with roles and second factor; the number of queries does not grow with the number of users."""
    users = get_user_model().objects.order_by("username").select_related("account").prefetch_related(
        "groups", "cluster_roles__cluster"
    )  # fmt: skip
    return [_row(user) for user in users]


def _row(user: Any) -> dict[str, Any]:
    names = {group.name for group in user.groups.all()}
    everywhere = "administrator" if user.is_superuser else next((role for role in ROLES if role in names), "")
    account = getattr(user, "account", None)
    return {
        "user": user,
        "everywhere": everywhere,
        "single": [(one.cluster.name, one.role) for one in user.cluster_roles.all()],
        "second_factor": bool(account and account.totp),
        "must_change": bool(account and account.must_change),
    }


def _tell(action: str, actor: Actor, target: str, detail: dict[str, Any] | None = None) -> None:
    audit.add(action, who=actor.who, address=actor.address, target=target, detail=detail)
