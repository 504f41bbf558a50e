"""Alerts in the words of their receivers: a line of the alert log, a syslog message, JSON, variables of a command."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from agent.wire.alerts import Alert

LEVELS = {"info": "INFO", "warning": "WARN", "error": "ERR"}
_PRIORITIES = {"info": 6, "warning": 4, "error": 3}
_DAEMON = 3  # facility
_SYSLOG_BYTES = 2048


def stamp(at: float) -> str:
    """In this server's time zone, with its distance from UTC: servers may stand in different ones."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone().isoformat(sep=" ", timespec="milliseconds")


def one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def log_line(alert: Alert) -> str:
    """Of alert.log."""
    where = f"{alert.module}:{alert.event}"
    return f"{stamp(alert.time)} {alert.server} {LEVELS[alert.severity]:<4} {where:<9} {one_line(alert.text)}\n"


def syslog_line(alert: Alert, cluster: str, host: str = "") -> bytes:
    """RFC 3164, which /dev/log and every receiver reads; with `host` for another machine (UDP)."""
    at = datetime.fromtimestamp(alert.time, tz=UTC).astimezone()
    when = f"{at:%b} {at.day:>2} {at:%H:%M:%S}"
    head = f"<{_DAEMON << 3 | _PRIORITIES[alert.severity]}>{when} {f'{host} ' if host else ''}openclp: "
    text = f"{LEVELS[alert.severity]} [{alert.module}:{alert.event}] {one_line(alert.text)}"
    if alert.server != host:
        text += f" ({cluster}/{alert.server})"
    return (head + text).encode("utf-8", "replace")[:_SYSLOG_BYTES].decode("utf-8", "ignore").encode()


def payload(alert: Alert, cluster: str) -> bytes:
    """For webhooks: one JSON object."""
    return msgspec.json.encode({
        "version": 1, "id": alert.id, "cluster": cluster, "server": alert.server,
        "time": datetime.fromtimestamp(alert.time, tz=UTC).isoformat(timespec="milliseconds"),
        "severity": alert.severity, "module": alert.module, "event": alert.event, "kind": alert.kind,
        "name": alert.name, "text": alert.text, "params": alert.params,
    })  # fmt: skip


def variables(alert: Alert, cluster: str) -> dict[str, str]:
    """The environment of commands."""
    return {
        "CLP_ALERT_ID": alert.id, "CLP_ALERT_CLUSTER": cluster, "CLP_ALERT_SERVER": alert.server,
        "CLP_ALERT_TIME": stamp(alert.time), "CLP_ALERT_LEVEL": LEVELS[alert.severity],
        "CLP_ALERT_MODULE": alert.module, "CLP_ALERT_EVENT": str(alert.event), "CLP_ALERT_OBJECT": alert.name,
        "CLP_ALERT_TEXT": one_line(alert.text),
    }  # fmt: skip
