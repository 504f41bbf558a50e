"""Alerts as a mail. Apart from the other formats: what it imports is a tenth of the memory of a process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, Policy
from typing import Any

from agent.alerts.formats import LEVELS, one_line, stamp
from agent.clpconf.alert_settings import Mail
from agent.messages.catalog import render
from agent.wire.alerts import Alert

_SUBJECT_CHARACTERS = 160
_GRAVITY = {"info": 0, "warning": 1, "error": 2}


def mail(alerts: Sequence[Alert], cluster: str, settings: Mail, sender: str, message_id: str) -> EmailMessage:
    """One mail for all that waited; the gravest gives the subject."""
    gravest = max(alerts, key=lambda alert: _GRAVITY[alert.severity])
    japanese = settings.charset.lower().replace("_", "-") in ("iso-2022-jp", "shift-jis", "euc-jp")
    language = "ja" if japanese else "en"
    subject = f"{settings.subject} [{cluster}] {LEVELS[gravest.severity]}: {_text(gravest, language)}"
    if len(alerts) > 1:
        subject = (
            f"{settings.subject} [{cluster}] ({len(alerts)}) {LEVELS[gravest.severity]}: {_text(gravest, language)}"
        )
    message = EmailMessage(policy=_policy())
    message["From"] = sender
    message["To"] = ", ".join(settings.to)
    message["Subject"] = one_line(subject)[:_SUBJECT_CHARACTERS]
    message["Date"] = datetime.fromtimestamp(max(alert.time for alert in alerts), tz=UTC)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(_paragraph(alert, cluster, language) for alert in alerts), charset="utf-8")
    return message


def _policy() -> Policy[Any]:
    return SMTP.clone(max_line_length=78)


def _paragraph(alert: Alert, cluster: str, language: str) -> str:
    return (
        f"{stamp(alert.time)}  {LEVELS[alert.severity]}  {alert.module}:{alert.event}\n"
        f"  {one_line(_text(alert, language))}\n"
        f"  {cluster} / {alert.server}, {alert.kind} {alert.name}\n"
    )


def _text(alert: Alert, language: str) -> str:
    return (
        alert.text
        if language == "en" or not alert.params
        else render(alert.module, alert.event, alert.params, language)
    )
