"""What clp.conf says about alerts is read, and what nobody would be told by is said."""

from __future__ import annotations

from agent.clpconf.alert_settings import AlertSettings, Mail, MailServer, Metrics, Override, TrapReceiver
from agent.clpconf.alerts import read_alerts
from agent.clpconf.document import Document
from agent.clpconf.masking import without_secrets

CONF = """<?xml version="1.0" encoding="ASCII"?>
<root>
 <cluster><name>c1</name><messages><use>1</use></messages>
  <mail><address>a@example.com, b@example.com nobody</address><subject>ACME</subject><sendtype>SMTP</sendtype>
   <smtp><timeout>7</timeout>
    <smtpsrv id="0"><priority>2</priority><srvname>second</srvname></smtpsrv>
    <smtpsrv id="1"><priority>1</priority><srvname>first</srvname><port>587</port><auth>1</auth>
     <authmethod>LOGIN</authmethod><username>u</username><passwd>geheim</passwd></smtpsrv>
   </smtp></mail>
  <trap><snmpsrv id="0"><srvname>192.0.2.7</srvname><snmpver>v1</snmpver><snmpcom>hush</snmpcom></snmpsrv>
   <snmpsrv id="1"><port>99</port></snmpsrv></trap>
 </cluster>
 <messages><types name="rc"/><rc id="32"><syslog>1</syslog><mail>0</mail><alertexec>1</alertexec>
  <cmd id="0"><cmdline>/bin/lamp on</cmdline></cmd></rc></messages>
 <webalert><main><alertlog><maxrecordcount>500</maxrecordcount></alertlog></main></webalert>
 <openclp><alerts><webhook>https://example.com/x ftp://example.com/</webhook><webhooktoken>psst</webhooktoken>
  <mailencryption>starttls</mailencryption></alerts><metrics><port>9100</port></metrics></openclp>
</root>
"""


def read(text: str) -> tuple[AlertSettings, list[str]]:
    findings: list = []
    return read_alerts(Document.read(text.encode()).root, findings), [finding.code for finding in findings]


def test_everything_is_read():
    settings, found = read(CONF)

    first = MailServer(host="first", port=587, auth=True, method="LOGIN", user="u", password="geheim")
    assert settings == AlertSettings(
        most=500,
        mail=Mail(
            to=("a@example.com", "b@example.com"), subject="ACME", by_command=False, timeout_s=7.0,
            encryption="starttls", servers=(first, MailServer(host="second")),
        ),
        traps=(TrapReceiver(host="192.0.2.7", version="v1", community="hush"),),
        webhooks=("https://example.com/x",),
        webhook_token="psst",
        overrides={"rc:32": Override(channels=("syslog", "script"), commands=("/bin/lamp on",))},
        metrics=Metrics(port=9100),
    )  # fmt: skip
    assert sorted(found) == ["mail.address", "trap.server", "webhook.url"]


def test_messages_count_only_where_the_cluster_says_so():
    settings, _ = read(CONF.replace("<use>1</use>", "<use>0</use>"))

    assert settings.overrides == {}


def test_mail_without_a_server_is_told():
    settings, found = read(
        "<root><cluster><mail><address>a@b</address><sendtype>SMTP</sendtype></mail></cluster></root>"
    )

    assert (settings.mail, found) == (None, ["mail.server"])


def test_an_empty_file_has_the_defaults():
    assert read("<root/>") == (AlertSettings(), [])


def test_secrets_are_masked():
    shown = without_secrets(CONF.encode(), {}).decode()

    assert [word for word in ("geheim", "hush", "psst") if word in shown] == []
    assert "<cmdline>/bin/lamp on</cmdline>" in shown
    assert shown.count("********") == 3
