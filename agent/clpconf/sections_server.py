"""Servers with their numbered devices, and failover groups."""

from __future__ import annotations

from collections.abc import Mapping

from agent.clpconf.kinds import DEVICE, HOST, IP, Kind, choice
from agent.clpconf.schema import BOOLEAN, LINK, TEXT, Param, TypeSpec, integer
from agent.clpconf.sections_common import COMMENT, COUNT, FORMAT, OWN, PRIORITY, WAIT

DEVICE_ID = integer(0, 999_999)
_TABLE = f"{FORMAT} 4"
# Kind of device -> (first number, last number). Every server carries the same number for the same path.
DEVICE_IDS: Mapping[str, tuple[int, int]] = {
    "lan": (0, 299),
    "disk": (300, 399),
    "mdc": (400, 499),
    "com": (500, 599),  # Ours: no public file shows one.
    "bmc": (600, 699),
    "witness": (700, 799),
    "disknp": (10100, 10199),
    "ping": (10200, 10299),
    "http": (10700, 10799),
    "dn1000s": (20000, 20099),
    "dn1500gl": (20000, 20099),
    "patlite": (20000, 20099),
    "nhfv1": (20000, 20099),
}
_USE = choice(("1", "Use"), ("0", "Do not use"))


def _device(name: str, label: str, info: str, kind: Kind, help_text: str = "", *more: Param) -> TypeSpec:
    required = kind in (IP, DEVICE)
    return TypeSpec(
        name,
        label,
        section="server/device",
        help=help_text,
        params=(
            Param("info", info, kind, required=required, default=None if required else "", applies="suspend",
                  source=_TABLE),
            *more,
        ),
    )  # fmt: skip


def _extend(label: str, kind: Kind = TEXT, help_text: str = "") -> Param:
    return Param("extend", label, kind, default="", applies="suspend", help=help_text, source=_TABLE)


_LIGHT = _extend("Extension", help_text="Kind of the light's voice.")
DEVICES: Mapping[str, TypeSpec] = {
    spec.name: spec
    for spec in (
        _device("lan", "LAN", "IP address", IP, "A network card that carries heartbeats."),
        _device("disk", "Disk heartbeat partition", "Device", DEVICE,
                "A partition of the shared disk, 10 MB, used for nothing else.", _extend("Raw device")),
        _device("mdc", "Mirror disk connect", "IP address", IP, "A network card that carries mirrored writes."),
        _device("com", "Serial port", "Device", DEVICE, "The serial port that carries heartbeats.",
                _extend("Second device")),
        _device("bmc", "BMC", "IP address", IP, "The management board of the server."),
        _device("witness", "Witness", "Use", _USE, "Whether this server uses the witness.",
                _extend("Witness server", HOST, "HOST:PORT.")),
        _device("disknp", "Disk resolution", "Device", TEXT, "The partition through which servers ask for a vote.",
                _extend("Drive", help_text="Written by Windows versions.")),
        _device("ping", "Ping resolution", "Use", _USE, "Whether this server uses the resource."),
        _device("http", "HTTP resolution", "Use", _USE, "Whether this server uses the witness."),
        _device("dn1000s", "Warning light DN-1000S", "IP address", IP, "", _LIGHT),
        _device("dn1500gl", "Warning light DN-1500GL", "IP address", IP, "", _LIGHT),
        _device("patlite", "Warning light of PATLITE", "IP address", IP, "", _LIGHT),
        _device("nhfv1", "Warning light NH-FV1", "IP address", IP, "", _LIGHT),
    )
}  # fmt: skip

SERVER = TypeSpec(
    "server",
    "Server",
    section="server",
    params=(
        COMMENT,
        Param("priority", "Priority", PRIORITY, default=0, applies="stop",
              help="0 is the master; the living server with the lowest number coordinates.", source=f"{FORMAT} 2"),
        Param("survive", "Stays when a group is active twice", BOOLEAN, default=False, applies="noted",
              help="When a group is found active on two servers, this one is not shut down.", source=f"{FORMAT} 5"),
        Param("device@*/type", "Kind of device", choice(*((name, spec.label) for name, spec in DEVICES.items())),
              section="Device", applies="suspend", source=_TABLE),
        Param("device@*/info", "Device", TEXT, default="", section="Device", applies="suspend",
              help="An address, a path, or 1 for use.", source=_TABLE),
        Param("device@*/extend", "Extension", TEXT, default="", section="Device", applies="suspend", advanced=True,
              source=_TABLE),
        *(
            Param(f"device@*/{name}/{field}", label, TEXT, default="", section="Device", applies="suspend",
                  advanced=True, help="The same once more, as older files write it.", source=_TABLE)
            for name in DEVICES for field, label in (("info", "Device"), ("extend", "Extension"))
        ),
        Param("hba@*/portnumber", "Port of the host bus adapter", COUNT, section="Host bus adapters (Windows only)",
              applies="stop", advanced=True, source=f"{FORMAT} 2"),
        Param("hba@*/deviceid", "Device of the host bus adapter", TEXT, section="Host bus adapters (Windows only)",
              applies="stop", advanced=True, source=f"{FORMAT} 2"),
        Param("hba@*/instanceid", "Instance of the host bus adapter", TEXT,
              section="Host bus adapters (Windows only)", applies="stop", advanced=True, source=f"{FORMAT} 2"),
    ),
)  # fmt: skip

_POLICY = "Failover policy"
_START = "Start order"
_STOP = "Stop order"
GROUP = TypeSpec(
    "group",
    "Group",
    section="group",
    params=(
        COMMENT,
        Param("type", "Kind of group",
              choice(("failover", "Failover"), ("cluster", "Management"), ("virtualmachine", "Virtual machine")),
              default="failover", applies="stop", source=f"{FORMAT} 6"),
        Param("gid", "Number", COUNT, default=0, applies="noted", advanced=True,
              help="Each group has its own, from 0 on.", source=f"{FORMAT} 6"),
        Param("resource@*", "Resources", LINK, refers="resource", applies="group", source=f"{FORMAT} 6"),
        Param("start", "Startup attribute", choice(("1", "Automatic"), ("0", "Manual")), default="1",
              section=_POLICY, applies="noted", help="Automatic: it starts with the cluster.", source=f"{FORMAT} 6"),
        Param("failover", "Failover attribute", choice(("1", "Automatic"), ("0", "Manual")), default="1",
              section=_POLICY, applies="noted", help="Automatic: it moves when its server is lost.",
              source=f"{FORMAT} 6"),
        Param("failback", "Failback attribute", choice(("1", "Automatic"), ("0", "Manual")), default="0",
              section=_POLICY, applies="noted", help="Automatic: it goes home when its first server is back.",
              source=f"{FORMAT} 6"),
        Param("exclusive", "Exclusion",
              choice(("0", "None"), ("1", "Prefers a server of its own"), ("2", "Never shares a server")),
              default="0", section=_POLICY, applies="noted",
              help="Towards other groups that have this set as well.", source=f"{FORMAT} 6"),
        Param("policy@*", "Servers", LINK, section=_POLICY, refers="server", applies="noted",
              help="Without an entry all servers, in the order of their priority.", source=f"{FORMAT} 6"),
        Param("policy@*/order", "Order", COUNT, section=_POLICY, applies="noted",
              help="0 is the home of the group.", source=f"{FORMAT} 6"),
        Param("depend/act/depend@*", "Starts after", LINK, section=_START, refers="group", applies="noted",
              help="Groups that must be online first.", source=f"{FORMAT} 6"),
        Param("depend/act/depend@*/sameserver", "Only on the same server", BOOLEAN, default=False, section=_START,
              applies="noted", help="It waits only where both come to one server.", source=f"{FORMAT} 6"),
        Param("depend/act/timeout", "Longest wait before starting", WAIT, default=1800, unit="s", section=_START,
              applies="noted", help="Then the group is not started.", source=f"{FORMAT} 6"),
        Param("depend/deact/depend@*", "Stops after", LINK, section=_STOP, refers="group", applies="noted",
              help="Groups that stop first, when both stop.", source=f"{FORMAT} 6"),
        Param("depend/deact/depend@*/sameserver", "Only on the same server", BOOLEAN, default=False, section=_STOP,
              applies="noted", advanced=True, source=OWN),
        Param("depend/deact/timeout", "Longest wait before stopping", WAIT, default=1800, unit="s", section=_STOP,
              applies="noted", help="Then the group stops all the same.", source=f"{FORMAT} 6"),
        Param("depend/deact/cluster/use", "When the cluster stops", BOOLEAN, default=True, section=_STOP,
              applies="noted", source=f"{FORMAT} 6"),
        Param("depend/deact/server/use", "When a server stops", BOOLEAN, default=False, section=_STOP,
              applies="noted", source=f"{FORMAT} 6"),
        Param("depend/deact/other/use", "When groups stop or move", BOOLEAN, default=False, section=_STOP,
              applies="noted", source=f"{FORMAT} 6"),
    ),
)  # fmt: skip
