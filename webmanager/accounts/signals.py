"""What others do and the audit tells: operations, drafts, configurations that are applied, tokens of REST."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save

from webmanager.accounts import audit


def connect() -> None:
    """By name, since nothing here needs the Builder or the tokens to be there."""
    post_save.connect(_operation, sender="webmanager.Operation", dispatch_uid="audit-operation")
    post_save.connect(_apply, sender="builder.Apply", dispatch_uid="audit-apply")
    post_save.connect(_draft, sender="builder.Draft", dispatch_uid="audit-draft")
    post_delete.connect(_draft_gone, sender="builder.Draft", dispatch_uid="audit-draft-gone")
    post_save.connect(_token, sender="webmanager.ApiToken", dispatch_uid="audit-token")
    post_delete.connect(_token_gone, sender="webmanager.ApiToken", dispatch_uid="audit-token-gone")


def _split(by: str) -> tuple[str, str]:
    """USER@ADDRESS, as operations keep it."""
    who, _, address = by.rpartition("@")
    return (who, address) if who else (by, "")


def _operation(instance: Any, created: bool, **_: Any) -> None:
    if not created and not instance.ended:
        return
    who, address = _split(instance.by)
    told = {"operation": str(instance.pk)}
    if instance.server:
        told["server"] = instance.server
    if instance.why:
        told["why"] = instance.why
    if instance.ended and instance.text:
        told["text"] = instance.text[:500]
    audit.add(
        f"operation.{instance.op}", who=who, address=address, target=instance.target, cluster=instance.cluster.name,
        result=instance.state if instance.ended else "asked", detail=told,
    )  # fmt: skip


def _apply(instance: Any, created: bool, **_: Any) -> None:
    """Its end is told by the one process that ends it (builder/applying.py)."""
    if created:
        applied(instance, "asked")


def applied(row: Any, result: str) -> None:
    who, address = _split(row.by)
    audit.add(
        "configuration.apply", who=who, address=address, target=str(row.name), cluster=row.cluster.name, result=result,
        detail={"apply": str(row.pk)},
    )  # fmt: skip


def _draft(instance: Any, created: bool, **_: Any) -> None:
    """What is changed in it, its own steps tell."""
    if created:
        _tell_draft("draft.add", instance)


def _draft_gone(instance: Any, **_: Any) -> None:
    _tell_draft("draft.delete", instance)


def _tell_draft(action: str, draft: Any) -> None:
    from webmanager import access, throttle

    request = access.asking.get()
    user = getattr(request, "user", None)
    if request is not None and user is not None:
        audit.add(
            action, who=user.get_username() or "-", address=throttle.client_address(request),
            target=str(draft.name), cluster=draft.cluster.name if draft.cluster is not None else "",
            detail={"draft": str(draft.pk), "revision": str(draft.revision)},
        )  # fmt: skip


def _token(instance: Any, created: bool, **_: Any) -> None:
    if created:
        _tell_token("token.add", instance)


def _token_gone(instance: Any, **_: Any) -> None:
    _tell_token("token.revoke", instance)


def _tell_token(action: str, token: Any) -> None:
    from webmanager import access, throttle

    request = access.asking.get()
    who, address = "console", ""
    if request is not None:
        who, address = request.user.get_username() or "-", throttle.client_address(request)
    audit.add(action, who=who, address=address, target=token.user.get_username(), detail={"name": token.name})
