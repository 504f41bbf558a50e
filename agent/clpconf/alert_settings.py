"""What clp.conf says about alerts: which go where, and how the receivers are reached."""

from __future__ import annotations

from typing import Literal

import msgspec

Channel = Literal["alert", "syslog", "mail", "trap", "webhook", "script"]
Encryption = Literal["auto", "starttls", "tls", "none"]


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """As the model of the cluster: immutable, comparable, JSON both ways."""


class MailServer(_Frozen, frozen=True, kw_only=True):
    host: str
    port: int = 25
    sender: str = ""
    auth: bool = False
    method: str = ""  # "" takes what the server offers
    user: str = ""
    password: str = ""


class Mail(_Frozen, frozen=True, kw_only=True):
    to: tuple[str, ...] = ()
    subject: str = "CLUSTERPRO"
    by_command: bool = True  # the mail command of this machine; else SMTP to the servers, in their order
    charset: str = ""
    timeout_s: float = 30.0
    encryption: Encryption = "auto"
    servers: tuple[MailServer, ...] = ()


class TrapReceiver(_Frozen, frozen=True, kw_only=True):
    host: str
    port: int = 162
    version: Literal["v1", "v2c"] = "v2c"
    community: str = "public"


class Override(_Frozen, frozen=True, kw_only=True):
    """Where one alert goes instead of its default."""

    channels: tuple[Channel, ...] = ()
    commands: tuple[str, ...] = ()


class Metrics(_Frozen, frozen=True, kw_only=True):
    address: str = "127.0.0.1"
    port: int = 0  # 0: nobody is told


class AlertSettings(_Frozen, frozen=True, kw_only=True):
    keep: bool = True  # an alert log
    most: int = 10_000  # alerts kept of all servers together
    mail: Mail | None = None
    traps: tuple[TrapReceiver, ...] = ()
    webhooks: tuple[str, ...] = ()
    webhook_token: str = ""
    syslog: str = ""  # host of another machine; "" is this one's /dev/log
    syslog_port: int = 514
    overrides: dict[str, Override] = {}  # "rc:32"
    metrics: Metrics = Metrics()
