"""Reads what clp.conf says about alerts: cluster/mail, cluster/trap, messages, webalert and our own openclp/alerts.

A receiver that is not described well enough is left out with a warning: a wrong mail address must not keep a cluster
from starting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

from agent.clpconf.alert_settings import (
    AlertSettings,
    Channel,
    Encryption,
    Mail,
    MailServer,
    Metrics,
    Override,
    TrapReceiver,
)
from agent.clpconf.element import Element
from agent.clpconf.entry import Entry, placed
from agent.clpconf.findings import Finding
from agent.clpconf.schema import Param
from agent.clpconf.sections_cluster import CLUSTER
from agent.clpconf.sections_common import by_path
from agent.clpconf.sections_services import ALERTS, MAIL, METRICS, TRAP, WEBALERT

_CLUSTER, _OWN, _METRICS = by_path(CLUSTER.params), by_path(ALERTS.params), by_path(METRICS.params)
_MAIL, _TRAP, _WEBALERT = by_path(MAIL.params), by_path(TRAP.params), by_path(WEBALERT.params)
_CHANNELS: dict[str, Channel] = {
    "alert": "alert", "syslog": "syslog", "mail": "mail", "trap": "trap", "alertexec": "script", "altexec": "script",
}  # fmt: skip
_ADDRESS = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,255}")
_MODULE = re.compile(r"[A-Za-z0-9_]{1,31}")
_SEPARATORS = re.compile(r"[,;\s]+")
MOST_RECEIVERS = 64


def read_alerts(root: Element, findings: list[Finding]) -> AlertSettings:
    """Bad numbers are the findings of those who look at all sections; here only what would not be told is said."""
    quiet: list[Finding] = []
    cluster, own, log = _part(root, "cluster", quiet), _part(root, "openclp", quiet), _part(root, "webalert", quiet)
    return AlertSettings(
        keep=log.get(_WEBALERT["use"]),
        most=log.get(_WEBALERT["main/alertlog/maxrecordcount"]),
        mail=_mail(cluster, own, findings),
        traps=tuple(_traps(cluster, findings)),
        webhooks=tuple(_webhooks(own, findings)),
        webhook_token=own.text("alerts/webhooktoken"),
        syslog=own.text("alerts/sysloghost"),
        syslog_port=_at(own, "alerts/syslogport", _OWN["syslogport"]),
        overrides=_overrides(root) if cluster.get(_CLUSTER["messages/use"]) else {},
        metrics=Metrics(
            address=_at(own, "metrics/address", _METRICS["address"]), port=_at(own, "metrics/port", _METRICS["port"])
        ),
    )


def _at(entry: Entry, path: str, param: Param) -> Any:
    """The value of a parameter that stands deeper than its section says."""
    return entry.read(path, param.kind, param.default)


def _part(root: Element, name: str, findings: list[Finding]) -> Entry:
    parts = root.named(name)
    if not parts:
        return Entry(Element(root.source, name, b"", b"", root.offset), findings)
    merged = Entry(parts[0], findings)
    for part in parts[1:]:
        for path, leaf in Entry(part, findings).leaves.items():
            merged.leaves.setdefault(path, leaf)
    return merged


# Mail ----------------------------------------------------------------------------------------------------------------


def _mail(cluster: Entry, own: Entry, findings: list[Finding]) -> Mail | None:
    """None where nobody is named."""
    written = [word for word in _SEPARATORS.split(cluster.text("mail/address")) if word]
    to = tuple(word for word in written if _ADDRESS.fullmatch(word))[:MOST_RECEIVERS]
    for word in written:
        if not _ADDRESS.fullmatch(word):
            text = f'"{word[:60]}" is no mail address: nobody is told there.'
            _warn(cluster, "mail/address", "mail.address", text, "Write name@domain; several are separated by commas.",
                  findings)  # fmt: skip
    if not to:
        return None
    servers = tuple(_mail_servers(cluster))
    by_command = _at(cluster, "mail/sendtype", _MAIL["sendtype"]) == "MAIL"
    if not by_command and not servers:
        text = "Mail shall go by SMTP, but no SMTP server is named: no mail is sent."
        _warn(cluster, "mail/sendtype", "mail.server", text, "Add one (clpcfset add smtpsrv).", findings)
        return None
    encryption: Encryption = _at(own, "alerts/mailencryption", _OWN["mailencryption"])
    return Mail(
        to=to,
        subject=cluster.text("mail/subject") or _MAIL["subject"].default_text,
        by_command=by_command,
        charset=cluster.text("mail/smtp/charset"),
        timeout_s=float(_at(cluster, "mail/smtp/timeout", _MAIL["smtp/timeout"])),
        encryption=encryption,
        servers=servers,
    )


def _mail_servers(cluster: Entry) -> Iterator[MailServer]:
    found: list[tuple[int, int, MailServer]] = []
    for key in _numbers(cluster, "mail/smtp/smtpsrv"):

        def at(name: str, key: str = key) -> str:
            return f"{key}/{name}"

        host = cluster.text(at("srvname"))
        if not host:
            continue
        priority = _at(cluster, at("priority"), _MAIL["smtp/smtpsrv@*/priority"])
        server = MailServer(
            host=host,
            port=_at(cluster, at("port"), _MAIL["smtp/smtpsrv@*/port"]),
            sender=cluster.text(at("senderaddress")),
            auth=_at(cluster, at("auth"), _MAIL["smtp/smtpsrv@*/auth"]),
            method=cluster.text(at("authmethod")).upper(),
            user=cluster.text(at("username")),
            password=cluster.text(at("passwd")),
        )
        found.append((priority, len(found), server))
    return (server for _, _, server in sorted(found, key=lambda one: one[:2])[:MOST_RECEIVERS])


# Traps, webhooks, destinations ---------------------------------------------------------------------------------------


def _traps(cluster: Entry, findings: list[Finding]) -> Iterator[TrapReceiver]:
    for key in _numbers(cluster, "trap/snmpsrv")[:MOST_RECEIVERS]:
        host = cluster.text(f"{key}/srvname")
        if not host:
            text = "This receiver of SNMP traps has no server: it is told nothing."
            _warn(cluster, f"{key}/port", "trap.server", text, "Write <srvname>.", findings)
            continue
        version: Literal["v1", "v2c"] = _at(cluster, f"{key}/snmpver", _TRAP["snmpsrv@*/snmpver"])
        yield TrapReceiver(
            host=host,
            port=_at(cluster, f"{key}/port", _TRAP["snmpsrv@*/port"]),
            version=version,
            community=cluster.text(f"{key}/snmpcom") or "public",
        )


def _webhooks(own: Entry, findings: list[Finding]) -> Iterator[str]:
    for word in own.text("alerts/webhook").split()[:MOST_RECEIVERS]:
        try:
            url = urlsplit(word)
            good = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
        except ValueError:
            good = False
        if good:
            yield word
            continue
        text = "An address for webhooks is no URL: nobody is told there."
        _warn(own, "alerts/webhook", "webhook.url", text, "Write http://HOST/PATH or https://HOST/PATH.", findings)


def _overrides(root: Element) -> dict[str, Override]:
    found: dict[str, Override] = {}
    for part in root.named("messages"):
        for element in part.children:
            number = element.identity or ""
            if element.name == "types" or not number.isdigit() or not _MODULE.fullmatch(element.name):
                continue
            entry = Entry(element, [])
            channels = dict.fromkeys(channel for tag, channel in _CHANNELS.items() if entry.text(tag) == "1")
            commands = (entry.text(f"{key}/cmdline") for key in _numbers(entry, "cmd"))
            override = Override(channels=tuple(channels), commands=tuple(c for c in commands if c)[:16])
            found.setdefault(f"{element.name}:{int(number)}", override)
    return found


def _numbers(entry: Entry, path: str) -> list[str]:
    """The entries of a list, in the order of the file: "trap/snmpsrv@0", "trap/snmpsrv@1"."""
    depth = path.count("/") + 1
    keys = ("/".join(leaf.split("/")[:depth]) for leaf in entry.leaves if leaf.startswith(f"{path}@"))
    return list(dict.fromkeys(keys))


def _warn(entry: Entry, path: str, code: str, text: str, remedy: str, findings: list[Finding]) -> None:
    leaf = entry.leaves.get(path, entry.element)
    findings.append(placed(Finding(code, "warning", leaf.path, text, remedy), leaf))
