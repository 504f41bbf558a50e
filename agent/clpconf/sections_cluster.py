"""The sections that concern the whole cluster: all, cluster, what happens at errors, and our own."""

from __future__ import annotations

from collections.abc import Mapping

from agent.clpconf.kinds import numbered, word
from agent.clpconf.schema import BOOLEAN, SECRET, TEXT, Param, TypeSpec, choice, integer, seconds
from agent.clpconf.sections_common import ACTIONS, FORMAT, GUIDE, OWN

_TIME = seconds(0, 604_800)
_COUNT = integer(0, 99)
_HEARTBEAT = "Heartbeat"
_STALLED = "Group resources"
_PARTITION = "Network partition"
_SURVIVE = "Last healthy server"
_ALERTS = "Alerts"
_WINDOWS = "Windows only"

PARTITION_ACTIONS: Mapping[int, str] = {
    0: "No operation",
    1: "Stop the cluster service",
    2: "Stop the cluster service and shut down",
    3: "Stop the cluster service and reboot",
    4: "Panic by sysrq",
    5: "Reset by keepalive",
    6: "Panic by keepalive",
    7: "Reset by BMC",
    8: "Power off by BMC",
    9: "Power cycle by BMC",
    10: "NMI by BMC",
    11: "I/O fencing",
}
# cluster/rsctimeout/rsctoaction has numbers of its own for the first ones: number -> final action.
STALLED_ACTIONS: Mapping[int, int] = {0: 0, 2: 4, 3: 5, **{action: action for action in range(8, 16)}}
_STALLED_LABELS = {0: "An error like others", **{n: ACTIONS[action] for n, action in STALLED_ACTIONS.items() if n}}
_PROCESS_ACTIONS: Mapping[int, str] = {
    2: "Stop the cluster service and shut down",
    3: "Stop the cluster service and reboot",
    5: "Panic by sysrq",
    6: "Reset by keepalive",
    7: "Panic by keepalive",
    8: "Reset by BMC",
    9: "Power off by BMC",
    10: "Power cycle by BMC",
    11: "NMI by BMC",
    12: "I/O fencing",
}

ALL = TypeSpec(
    "all",
    "Language",
    section="all",
    params=(
        Param(
            "charset", "Language of the cluster",
            choice(("ASCII", "English"), ("EUC-JP", "Japanese"), ("GB2312", "Chinese"), ("SJIS", "Japanese (Windows)")),
            default="ASCII", applies="suspend", help="Of alerts and logs; and the encoding of this file.",
            source=f"{FORMAT} 2",
        ),
        Param(
            "encode", "Encoding of the editor's machine", choice("ASCII", "EUC-JP", "GB2312", "SJIS", "UTF-8"),
            default="ASCII", applies="noted", advanced=True,
            help="Code page of the machine on which the configuration was written.", source=f"{FORMAT} 2",
        ),
        Param(
            "serveros", "Operating system of the servers", choice(("linux", "Linux"), ("windows", "Windows")),
            default="linux", applies="stop", source=f"{FORMAT} 2",
        ),
    ),
)  # fmt: skip

CLUSTER = TypeSpec(
    "cluster",
    "Cluster",
    section="cluster",
    params=(
        Param("name", "Cluster name", TEXT, required=True, applies="stop"),
        Param("comment", "Comment", TEXT, default="", applies="noted"),
        Param("uuid", "Identifier", TEXT, default="", applies="noted", advanced=True,
              help="Written by versions from 5 on.", source=f"{FORMAT} 1"),
        Param(
            "heartbeat/interval", "Heartbeat interval", integer(10, 9_999_000), default=3000, unit="ms",
            section=_HEARTBEAT, applies="suspend", source=f"{FORMAT} 5",
        ),
        Param(
            "heartbeat/timeout", "Heartbeat timeout", integer(10, 9_999_000), default=90_000, unit="ms",
            section=_HEARTBEAT, applies="suspend",
            help="A server that was silent for so long is lost, and others take over its groups. "
            "At least three intervals.",
            source=f"{GUIDE} 2; {FORMAT} 5",
        ),
        Param(
            "networkpartition/npaction", "Action at a network partition",
            numbered(*PARTITION_ACTIONS.items()), default=2, section=_PARTITION, applies="suspend",
            help="What a server does with itself that lost the majority or its resolver.", source=f"{FORMAT} 5",
        ),
        Param(
            "haltp", "Shutdown monitoring", BOOLEAN, default=False, section=_PARTITION, applies="suspend",
            help="A server that does not work any more, or does not stop in time, is reset by a watchdog.",
            source=f"{FORMAT} 2",
        ),
        Param(
            "rsctimeout/rsctoaction", "Action when a step never ends", numbered(*_STALLED_LABELS.items()), default=2,
            section=_STALLED, applies="noted", help="Of activation or deactivation, at their timeout.",
            source=f"{FORMAT} 5",
        ),
        Param(
            "survive/rscact", "No final action at activation failure", BOOLEAN, default=False, section=_SURVIVE,
            applies="noted", help="Where it would stop the last healthy server.", source=f"{FORMAT} 5",
        ),
        Param(
            "survive/rscdeact", "No final action at deactivation failure", BOOLEAN, default=False, section=_SURVIVE,
            applies="noted", help="Where it would stop the last healthy server.", source=f"{FORMAT} 5",
        ),
        Param(
            "survive/monitor", "No final action at monitor errors", BOOLEAN, default=False, section=_SURVIVE,
            applies="noted", help="Where it would stop the last healthy server.", source=f"{FORMAT} 5",
        ),
        Param("messages/use", "Own destinations of alerts", BOOLEAN, default=False, section=_ALERTS, applies="suspend",
              help="Alerts go where the section messages says.", source=f"{FORMAT} 5"),
        Param("syslog/format/level", "Level in syslog lines", BOOLEAN, default=True, section=_ALERTS, applies="noted",
              advanced=True, unused=True, source=f"{FORMAT} 5"),
        Param("cialert/use", "Chassis identify lamp", BOOLEAN, default=False, section=_ALERTS, applies="noted",
              advanced=True, help="The lamp of a lost server is switched on by its BMC.", unused=True,
              source=f"{FORMAT} 5"),
        Param("cialert/repeat", "Repeat the lamp's command", BOOLEAN, default=True, section=_ALERTS, applies="noted",
              advanced=True, only_when=(("cialert/use", ("1",)),), unused=True, source=f"{FORMAT} 5"),
        Param("cialert/execcmd_interval", "Interval of the lamp's command", seconds(1, 999), default=120, unit="s",
              section=_ALERTS, applies="noted", advanced=True, only_when=(("cialert/use", ("1",)),),
              unused=True, source=f"{FORMAT} 5"),
        Param("dn1000s/use", "Network warning light", BOOLEAN, default=False, section=_ALERTS, applies="noted",
              advanced=True, unused=True, source=f"{FORMAT} 2"),
        Param("sysinfo/collect", "Collect system information", BOOLEAN, default=False, applies="noted", advanced=True,
              unused=True, source=f"{FORMAT} 5"),
        Param("ocw/use", "Cooperation with another cluster", BOOLEAN, default=False, applies="noted", advanced=True,
              unused=True, source=f"{FORMAT} 5"),
        Param("bootwait", "Wait at start-up", integer(0, 60), default=5, unit="min", section=_WINDOWS, applies="noted",
              advanced=True, unused=True, source=f"{FORMAT} 2"),
        Param("account/list@*/username", "Account", TEXT, default="", section=_WINDOWS, applies="noted", advanced=True,
              unused=True, source=f"{FORMAT} 2"),
        Param("account/list@*/password", "Password of the account", SECRET, section=_WINDOWS, applies="noted",
              advanced=True, unused=True, source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

PM = TypeSpec(
    "pm",
    "Failure of the cluster's own processes",
    section="pm",
    ready=False,
    params=tuple(
        Param(
            f"exec{number}/recover", label, numbered(*_PROCESS_ACTIONS.items()), default=2, applies="suspend",
            help="The three are set alike.", source=f"{FORMAT} 5",
        )
        for number, label in enumerate(
            ("Action when the process manager fails", "Action when the group manager fails",
             "Action when the monitor manager fails")
        )
    ),
)  # fmt: skip

HALTP = TypeSpec(
    "haltp",
    "Shutdown monitoring",
    section="haltp",
    params=(
        Param(
            "method", "Method", choice("keepalive", "softdog", "ipmi"), default="keepalive", applies="suspend",
            help="What ends a server that does not shut down. Where softdog is taken, nothing else may use it.",
            source=f"{FORMAT} 5",
        ),
        Param("action", "Action", choice(("RESET", "Reset"), ("PANIC", "Panic")), default="RESET", applies="suspend",
              source=f"{FORMAT} 5"),
        Param("usehb", "Use the heartbeat timeout", BOOLEAN, default=True, applies="suspend", source=f"{FORMAT} 2"),
        Param("timeout", "Timeout", seconds(2, 9999), default=90, unit="s", applies="suspend",
              only_when=(("usehb", ("0",)),), source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

RC = TypeSpec(
    "rc",
    "Errors of group resources",
    section="rc",
    params=(
        Param("errordetect/rscact/norecovery", "No recovery at activation failure", BOOLEAN, default=False,
              applies="noted", help="The error is shown and nothing follows.", source=f"{FORMAT} 2"),
        Param("errordetect/rscdeact/norecovery", "No recovery at deactivation failure", BOOLEAN, default=False,
              applies="noted", help="The error is shown and nothing follows.", source=f"{FORMAT} 2"),
        Param("checkgroup/downopt", "Check of groups at shutdown", BOOLEAN, default=True, applies="noted",
              advanced=True, unused=True, source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

RM = TypeSpec(
    "rm",
    "Errors of monitors",
    section="rm",
    params=(
        Param("errordetect/norecovery", "No recovery at monitor errors", BOOLEAN, default=False, applies="noted",
              help="The error is shown and nothing follows.", source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

OPENCLP = TypeSpec(
    "openclp",
    "Settings of openclp",
    section="openclp",
    help="Additions of this product; the original's tools leave them alone.",
    params=(
        Param("startupwait", "Wait for absent servers at start-up", seconds(0, 86400), default=300, unit="s",
              applies="noted", help="The first view of a cluster that starts waits so long.", source=OWN),
        Param("grace", "Grace of a dead daemon", seconds(0, 3600), default=5, unit="s", applies="suspend",
              help="It may take so long to come back before its server counts as lost.", source=OWN),
        Param("calm", "Calm of a monitor", _TIME, default=60, unit="s", applies="noted",
              help="A monitor that was normal for so long counts its recoveries anew.", source=OWN),
        Param("failbackwait", "Wait before failback", _TIME, default=10, unit="s", applies="noted",
              help="A group goes home when its servers were at rest so long, and at least one heartbeat timeout.",
              source=OWN),
        Param("delaywarning", "Delay warning rate", integer(0, 100), default=80, unit="%", applies="noted",
              help="A monitor that took more than this part of its timeout is warned of. 100 never warns; 0 always, "
              "for tests.",
              source=f"{GUIDE} 5"),
        Param("maxreboot/count", "Most reboots", _COUNT, default=3, applies="noted",
              help="Final actions that reboot a server; 0 does not limit them.", source=OWN),
        Param("maxreboot/time", "Time in which reboots are counted", _TIME, default=3600, unit="s", applies="noted",
              source=OWN),
        Param("quarantine/count", "Losses until quarantine", _COUNT, default=3, applies="noted",
              help="A server that was lost so often is left alone; 0 never does it.", source=OWN),
        Param("quarantine/window", "Time in which losses are counted", _TIME, default=600, unit="s", applies="noted",
              source=OWN),
        Param("quarantine/time", "Length of the quarantine", _TIME, default=1800, unit="s", applies="noted",
              source=OWN),
    ),
)  # fmt: skip

_VERSION = word(32, r"[0-9][0-9A-Za-z.+-]*", "version", "Write a version, for example 5.3.1-1.")
TREKKING = TypeSpec(
    "trekking",
    "Bookkeeping of the last save",
    section="trekking",
    params=(
        Param("configid", "Identifier of this save", TEXT, default="", applies="noted", advanced=True,
              source=f"{FORMAT} 2"),
        Param("create", "Created", integer(0, 9), default=1, applies="noted", advanced=True, source=f"{FORMAT} 2"),
        Param("restart", "Restarts", integer(0, 9), default=3, applies="noted", advanced=True, source=f"{FORMAT} 2"),
        Param("savededition", "Edition", TEXT, default="", applies="noted", advanced=True, source=f"{FORMAT} 2"),
        Param("savedversion", "Version that saved it", _VERSION, applies="noted", advanced=True, source=f"{FORMAT} 2"),
        Param("savedinnerversion", "Inner version that saved it", _VERSION, applies="noted", advanced=True,
              source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

RSTD = TypeSpec(
    "rstd",
    "Single server",
    section="rstd",
    params=(
        Param("use", "Use", BOOLEAN, default=False, applies="stop", advanced=True,
              help="Found in files of the original's edition for one server.", source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

ROOT = TypeSpec(
    "root",
    "Configuration",
    params=(
        Param("dummyconf", "Placeholder configuration", BOOLEAN, default=False, applies="noted", advanced=True,
              help="Found in files for containers; it has no effect.", unused=True, source=f"{FORMAT} 2"),
    ),
)  # fmt: skip
