"""vm: a virtual machine that runs where its group runs."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, HOST, PATH, SECRET, TEXT, Param, TypeSpec, choice, seconds
from agent.resources import ResourceType

_SOURCE = "clp-conf-format 7"
_VSPHERE = (("parameters/vmtype", ("0",)),)
_VCENTER = "vCenter"

SPEC = TypeSpec(
    "vm",
    "Virtual machine resource",
    params=(
        Param("parameters/vmtype", "Kind of virtual machine", choice(("0", "vSphere"), ("1", "KVM"), ("2", "Xen")),
              default="0", source=_SOURCE),
        Param("parameters/vmname", "Name of the virtual machine", TEXT, default="", source=_SOURCE),
        Param("parameters/uuid", "Identifier", TEXT, default="",
              only_when=(("parameters/vmtype", ("1", "2")),), source=_SOURCE),
        Param("parameters/vmconfigpath", "Path of its configuration", TEXT, default="", source=_SOURCE),
        Param("parameters/libpath", "Path of the library", PATH, default="", advanced=True, source=_SOURCE),
        Param("parameters/guestos/use", "The cluster runs in a guest", BOOLEAN, default=False, advanced=True,
              only_when=_VSPHERE, source=_SOURCE),
        Param("parameters/guestos/datastore", "Data store", TEXT, default="", only_when=_VSPHERE, source=_SOURCE),
        Param("parameters/ipaddress", "Host", HOST, default="", only_when=_VSPHERE, source="openclp"),
        Param("parameters/username", "User name", TEXT, default="", only_when=_VSPHERE, source=_SOURCE),
        Param("parameters/password", "Password", SECRET, only_when=_VSPHERE, source=_SOURCE),
        Param("parameters/vcenter/use", "Use vCenter", BOOLEAN, default=False, section=_VCENTER,
              only_when=_VSPHERE, source=_SOURCE),
        Param("parameters/vcenter/host", "Host of vCenter", HOST, default="", section=_VCENTER,
              only_when=(*_VSPHERE, ("parameters/vcenter/use", ("1",))), source=_SOURCE),
        Param("parameters/vcenter/username", "User name", TEXT, default="", section=_VCENTER,
              only_when=(*_VSPHERE, ("parameters/vcenter/use", ("1",))), source=_SOURCE),
        Param("parameters/vcenter/password", "Password", SECRET, section=_VCENTER,
              only_when=(*_VSPHERE, ("parameters/vcenter/use", ("1",))), source=_SOURCE),
        Param("parameters/vcenter/resourcepool", "Resource pool", TEXT, default="", section=_VCENTER,
              only_when=(*_VSPHERE, ("parameters/vcenter/use", ("1",))), source=_SOURCE),
        Param("parameters/reqtimeout", "Timeout of requests", seconds(1, 9999), default=30, unit="s", advanced=True,
              source=_SOURCE),
        Param("parameters/starttimeout", "Wait after the start", seconds(0, 9999), default=0, unit="s",
              advanced=True, source=_SOURCE),
        Param("parameters/stoptimeout", "Stop timeout", seconds(0, 9999), default=240, unit="s", advanced=True,
              source=_SOURCE),
    ),
    depends_on=("disk", "md", "nas", "volmgr"),
    activation_timeout_s=210,
    deactivation_timeout_s=420,
    help="Starts, stops and moves a virtual machine.",
    ready=False,
    family="Virtual machines",
)  # fmt: skip

TYPE = ResourceType(SPEC)
