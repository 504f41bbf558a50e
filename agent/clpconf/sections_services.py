"""The sections of what surrounds the cluster: WebManager, mail, traps, alerts, metrics."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, HOST, LINK, SECRET, TEXT, Param, TypeSpec, choice, integer, seconds
from agent.clpconf.sections_common import FORMAT, GUIDE, OWN

_PORT = integer(1, 65535)
_CLIENTS = "Clients"
_SERVERS = "Servers"

WEBMGR = TypeSpec(
    "webmgr",
    "WebManager",
    section="webmgr",
    params=(
        Param("client/objectnumber", "Number of objects", integer(0, 999_999), applies="noted", advanced=True,
              unused=True, help="Bookkeeping of the original, computed at each save.", source=f"{FORMAT} 2"),
        Param("client/pollinginterval", "Reload interval", integer(1, 999), default=90, unit="s", applies="noted",
              advanced=True, unused=True,
              help="Not below 30 in the original. Here the console is told of each change at once.",
              source=f"{GUIDE} 5; {FORMAT} 2"),
        Param("security/clientlist/iprest", "Only listed clients", BOOLEAN, default=False, section=_CLIENTS,
              applies="noted", help="Others may not connect to the WebManager, except from its own machine.",
              source=f"{FORMAT} 5"),
        Param("security/clientlist/ip@*", "Clients that may operate", LINK, section=_CLIENTS, applies="noted",
              help="An address or a network, for example 192.0.2.0/24.", source=f"{FORMAT} 5"),
        Param("security/clientlist/ipro@*", "Clients that may only look", LINK, section=_CLIENTS, applies="noted",
              help="An address or a network, for example 192.0.2.0/24.", source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

MAIL = TypeSpec(
    "mail",
    "Mail",
    section="cluster/mail",
    params=(
        Param("address", "Addresses", TEXT, default="", applies="noted",
              help="Who gets alerts; several are separated by commas.", source=f"{FORMAT} 5"),
        Param("subject", "Subject", TEXT, default="CLUSTERPRO", applies="noted", source=f"{FORMAT} 5"),
        Param("sendtype", "Way of sending", choice(("MAIL", "mail command"), ("SMTP", "SMTP")), default="MAIL",
              applies="noted", source=f"{FORMAT} 5"),
        Param("smtp/charset", "Character set", TEXT, default="", section="SMTP", applies="noted",
              only_when=(("sendtype", ("SMTP",)),), source=f"{FORMAT} 5"),
        Param("smtp/timeout", "Timeout", seconds(1, 999), default=30, unit="s", section="SMTP", applies="noted",
              only_when=(("sendtype", ("SMTP",)),), source=f"{FORMAT} 5"),
        Param("smtp/subencode", "Encode the subject", BOOLEAN, default=False, section="SMTP", applies="noted",
              only_when=(("sendtype", ("SMTP",)),), source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/priority", "Priority", integer(0, 99), default=0, section=_SERVERS, applies="noted",
              source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/srvname", "Server", HOST, section=_SERVERS, applies="noted", source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/port", "Port", _PORT, default=25, section=_SERVERS, applies="noted",
              source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/senderaddress", "Sender", TEXT, default="", section=_SERVERS, applies="noted",
              source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/auth", "Authentication", BOOLEAN, default=False, section=_SERVERS, applies="noted",
              source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/authmethod", "Authentication method", TEXT, default="", section=_SERVERS,
              applies="noted", help="For example LOGIN or CRAM-MD5.", source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/username", "User name", TEXT, default="", section=_SERVERS, applies="noted",
              source=f"{FORMAT} 5"),
        Param("smtp/smtpsrv@*/passwd", "Password", SECRET, section=_SERVERS, applies="noted", source=f"{FORMAT} 5"),
    ),
)  # fmt: skip

TRAP = TypeSpec(
    "trap",
    "SNMP traps",
    section="cluster/trap",
    params=(
        Param("snmpsrv@*/srvname", "Server", HOST, applies="noted", source=f"{FORMAT} 5"),
        Param("snmpsrv@*/port", "Port", _PORT, default=162, applies="noted", source=f"{FORMAT} 5"),
        Param("snmpsrv@*/snmpver", "Version", choice("v1", "v2c"), default="v2c", applies="noted",
              source=f"{FORMAT} 5"),
        Param("snmpsrv@*/snmpcom", "Community", SECRET, applies="noted", source=f"{FORMAT} 5"),
    ),
)  # fmt: skip

_DESTINATIONS = (
    ("syslog", "syslog"), ("alert", "Alert log"), ("mail", "Mail"), ("trap", "SNMP trap"),
    ("pubsub", "Cloud messaging"),
    ("alertexec", "Command"), ("altexec", "Command (older files)"),
)  # fmt: skip
MESSAGES = TypeSpec(
    "messages",
    "Destinations of alerts",
    section="messages",
    help="Where the alert of a module with a number goes, instead of its default. Counts when the cluster says so.",
    params=(
        Param("types@*", "Modules", LINK, applies="suspend", source=f"{FORMAT} 2"),
        *(
            Param(f"*@*/{name}", label, BOOLEAN, default=False, applies="suspend", unused=name == "pubsub",
                  source=f"{FORMAT} 2")
            for name, label in _DESTINATIONS
        ),
        Param("*@*/cmd@*/cmdline", "Command line", TEXT, default="", applies="suspend", source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

ALERTSERVICE = TypeSpec(
    "alertservice",
    "Warning lights",
    section="alertservice",
    ready=False,
    params=(
        Param("types@*", "Kinds of warning light", LINK, applies="noted", source=f"{FORMAT} 2"),
        Param("*@*/priority", "Priority", integer(0, 99), default=0, applies="noted", source=f"{FORMAT} 2"),
        Param("*@*/device", "Device number", integer(20000, 20099), default=20000, applies="noted",
              source=f"{FORMAT} 2"),
        Param("*@*/username", "User name", TEXT, default="", applies="noted", source=f"{FORMAT} 2"),
        Param("*@*/password", "Password", SECRET, applies="noted", source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

WEBALERT = TypeSpec(
    "webalert",
    "Alert log",
    section="webalert",
    params=(
        Param("use", "Keep an alert log", BOOLEAN, default=True, applies="noted", source=f"{FORMAT} 2"),
        Param("main/alertlog/maxrecordcount", "Most alerts kept", integer(1, 99_999), default=10_000, applies="noted",
              source=f"{FORMAT} 2"),
        Param("daemon/timeout", "Timeout", seconds(1, 999), default=30, unit="s", applies="noted", unused=True,
              source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

ALERTS = TypeSpec(
    "alerts",
    "Receivers of alerts",
    section="openclp/alerts",
    help="Additions of this product to the mail, traps and commands of the original.",
    params=(
        Param("webhook", "Webhooks", TEXT, default="", applies="noted",
              help="Warnings and errors are posted there as JSON. URLs; several are separated by blanks.", source=OWN),
        Param("webhooktoken", "Token of the webhooks", SECRET, applies="noted",
              help="Sent as Authorization: Bearer.", source=OWN),
        Param("sysloghost", "syslog of another machine", HOST, default="", applies="noted",
              help="Empty: the syslog of each server itself.", source=OWN),
        Param("syslogport", "Port of that syslog", _PORT, default=514, applies="noted", help="UDP.", source=OWN),
        Param("mailencryption", "Encryption of mail", choice(
                  ("auto", "where the server offers it"), ("starttls", "always, by STARTTLS"),
                  ("tls", "always, from the start"), ("none", "no encryption")),
              default="auto", applies="noted", source=OWN,
              help="Of SMTP. A password goes without encryption only where this says so."),
    ),
)  # fmt: skip

METRICS = TypeSpec(
    "metrics",
    "Metrics of each server",
    section="openclp/metrics",
    help="For Prometheus: each server answers GET /metrics. The manager has all clusters at its own /metrics.",
    params=(
        Param("port", "Port", integer(0, 65535), default=0, applies="noted", help="0: no server listens.", source=OWN),
        Param("address", "Address", HOST, default="127.0.0.1", applies="noted",
              help="Whoever reaches it reads names and states. 0.0.0.0 is every address of the server.", source=OWN),
    ),
)  # fmt: skip

STATSD = TypeSpec(
    "statsd",
    "Metrics to StatsD",
    section="statsd",
    ready=False,
    params=(
        Param("mode", "Send metrics", integer(0, 9), default=0, applies="noted", source=f"{FORMAT} 2"),
        Param("server/host", "Server", HOST, default="", applies="noted", source=f"{FORMAT} 2"),
        Param("server/port", "Port", _PORT, default=8125, applies="noted", source=f"{FORMAT} 2"),
    ),
)  # fmt: skip
