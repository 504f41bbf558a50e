"""Where an alert goes: by module and number, unless clp.conf says otherwise."""

from __future__ import annotations

from agent.clpconf.alert_settings import AlertSettings, Channel
from agent.wire.alerts import Alert

#: Told by one server for the whole cluster; the others are each server's own.
ONCE: tuple[Channel, ...] = ("mail", "trap", "webhook")
WRITTEN = "logcmd"  # module of what scripts write (clplogcmd); the last parameter names the destinations
_NOTICED = {"mail", "trap"}
# Not errors, but somebody has to know of them at once.
_GRAVE = frozenset((("nm", 2), ("rc", 60), ("rc", 66), ("cp", 13), ("cp", 18), ("cp", 61)))
_SYSLOG_ONLY = frozenset(("rc", number) for number in (30, 31, 40, 41))
_NOWHERE = frozenset((("rc", 350), ("rc", 351)))
_CHANNELS: tuple[Channel, ...] = ("alert", "syslog", "mail", "trap", "webhook", "script")


def is_grave(alert: Alert) -> bool:
    return alert.severity == "error" or (alert.module, alert.event) in _GRAVE


def channels_of(alert: Alert, settings: AlertSettings) -> tuple[Channel, ...]:
    """Without those for which clp.conf names no receiver."""
    override = settings.overrides.get(f"{alert.module}:{alert.event}")
    wanted = set(override.channels) if override else _default(alert)
    if override and wanted & _NOTICED:
        wanted.add("webhook")  # The original's files do not know them: they follow mail and trap.
    return tuple(channel for channel in _CHANNELS if channel in wanted and _has_receiver(channel, alert, settings))


def commands_of(alert: Alert, settings: AlertSettings) -> tuple[str, ...]:
    override = settings.overrides.get(f"{alert.module}:{alert.event}")
    return override.commands if override else ()


def _default(alert: Alert) -> set[Channel]:
    key = (alert.module, alert.event)
    if alert.module == WRITTEN:
        named = alert.params[-1].split(",") if len(alert.params) > 1 else ["alert"]
        return {channel for channel in _CHANNELS if channel in named}
    if key in _NOWHERE:
        return set()
    if key in _SYSLOG_ONLY:
        return {"syslog"}
    wanted: set[Channel] = {"alert", "syslog"}
    if alert.severity != "info":
        wanted.add("webhook")
    return wanted | {"mail", "trap", "webhook"} if is_grave(alert) else wanted


def _has_receiver(channel: Channel, alert: Alert, settings: AlertSettings) -> bool:
    if channel == "alert":
        return settings.keep
    if channel == "script":
        return bool(commands_of(alert, settings))
    receivers = {"syslog": True, "mail": settings.mail, "trap": settings.traps, "webhook": settings.webhooks}
    return bool(receivers[channel])
