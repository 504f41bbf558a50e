"""Where alerts go by default, and where clp.conf sends them."""

from __future__ import annotations

import pytest

from agent.alerts.routing import channels_of, commands_of
from agent.clpconf.alert_settings import AlertSettings, Mail, Override, TrapReceiver
from agent.wire.alerts import Alert

ALL = AlertSettings(
    mail=Mail(to=("root@example.com",)), traps=(TrapReceiver(host="192.0.2.1"),), webhooks=("http://192.0.2.1/",)
)


def alert(module: str, event: int, severity: str = "info", params: tuple[str, ...] = ()) -> Alert:
    return Alert("a:1:1", 0.0, "server1", module, event, severity, "server", "server1", "text", params)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "channels"),
    [
        (alert("pm", 1), ("alert", "syslog")),
        (alert("rm", 4, "warning"), ("alert", "syslog", "webhook")),
        (alert("pm", 20, "error"), ("alert", "syslog", "mail", "trap", "webhook")),
        (alert("nm", 2, "warning"), ("alert", "syslog", "mail", "trap", "webhook")),
        (alert("rc", 30), ("syslog",)),
        (alert("rc", 350), ()),
        (alert("logcmd", 1, "error", ("text", "alert")), ("alert",)),
        (alert("logcmd", 1, "info", ("text", "syslog,mail")), ("syslog", "mail")),
    ],
)
def test_defaults(one: Alert, channels: tuple[str, ...]):
    assert channels_of(one, ALL) == channels


def test_without_receivers_only_the_log_and_syslog_are_left():
    assert channels_of(alert("pm", 20, "error"), AlertSettings()) == ("alert", "syslog")
    assert channels_of(alert("pm", 20, "error"), AlertSettings(keep=False)) == ("syslog",)


def test_clp_conf_replaces_the_default_of_one_message():
    override = Override(channels=("mail", "script"), commands=("/bin/true",))
    settings = AlertSettings(mail=ALL.mail, webhooks=ALL.webhooks, overrides={"rc:30": override})

    assert channels_of(alert("rc", 30), settings) == ("mail", "webhook", "script")
    assert commands_of(alert("rc", 30), settings) == ("/bin/true",)
    assert channels_of(alert("rc", 31), settings) == ("syslog",)
