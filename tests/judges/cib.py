"""Writes pacemaker's cluster information base, for the questions that we put to crm_simulate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree as ET

PROGRAM = "crm_simulate"
_AGENT = {"class": "ocf", "provider": "pacemaker", "type": "Dummy"}
_NO_PARAMETERS = "f2317cad3d54cec5d7d7aa7d0bf35cf8"  # pacemaker's digest of none
_KEY = "1:1:0:00000000-0000-0000-0000-000000000001"


class Cib:
    """A cluster without fencing, of dummies."""

    def __init__(self, **options: str) -> None:
        self._root = ET.Element("cib", {"validate-with": "pacemaker-3.0", "epoch": "1", "num_updates": "0",
                                        "admin_epoch": "0", "have-quorum": "1", "dc-uuid": "1"})  # fmt: skip
        configuration, self._status = (ET.SubElement(self._root, tag) for tag in ("configuration", "status"))
        held = {"stonith-enabled": "false", **{name.replace("_", "-"): value for name, value in options.items()}}
        _nvpairs(ET.SubElement(configuration, "crm_config"), "cluster_property_set", "options", held)
        self._nodes, self._resources, self._constraints = (
            ET.SubElement(configuration, tag) for tag in ("nodes", "resources", "constraints")
        )

    def server(self, name: str, runs: Mapping[str, bool], *, up: bool = True, standby: bool = False) -> None:
        """`runs`: what is known of each resource there; who does not know that it is stopped must look first."""
        number = str(len(self._nodes) + 1)
        node = ET.SubElement(self._nodes, "node", {"id": number, "uname": name})
        if standby:
            _nvpairs(node, "instance_attributes", f"n{number}", {"standby": "on"})
        word = "member" if up else "down"
        state = ET.SubElement(self._status, "node_state", {
            "id": number, "uname": name, "in_ccm": str(up).lower(), "crmd": "online" if up else "offline",
            "join": word, "expected": word,
        })  # fmt: skip
        lrm = ET.SubElement(ET.SubElement(state, "lrm", {"id": number}), "lrm_resources")
        for resource, running in runs.items():
            _last_operation(ET.SubElement(lrm, "lrm_resource", {"id": resource, **_AGENT}), resource, name, running)

    def group(self, name: str, resources: Iterable[str], *, stickiness: str = "INFINITY") -> None:
        made = ET.SubElement(self._resources, "group", {"id": name})
        _nvpairs(made, "meta_attributes", f"{name}-meta", {"resource-stickiness": stickiness})
        for resource in resources:
            ET.SubElement(made, "primitive", {"id": resource, **_AGENT})

    def location(self, group: str, server: str, score: str) -> None:
        ET.SubElement(self._constraints, "rsc_location", {"id": f"{group}-{server}", "rsc": group, "node": server,
                                                          "score": score})  # fmt: skip

    def apart(self, first: str, second: str) -> None:
        ET.SubElement(self._constraints, "rsc_colocation", {"id": f"{first}-{second}", "rsc": first,
                                                            "with-rsc": second, "score": "-INFINITY"})  # fmt: skip

    def encoded(self) -> bytes:
        return ET.tostring(self._root)


def _nvpairs(parent: ET.Element, tag: str, name: str, values: Mapping[str, str]) -> None:
    held = ET.SubElement(parent, tag, {"id": name})
    for key, value in values.items():
        ET.SubElement(held, "nvpair", {"id": f"{name}-{key}", "name": key, "value": value})


def _last_operation(parent: ET.Element, resource: str, server: str, running: bool) -> None:
    operation, result = ("start", "0") if running else ("monitor", "7")
    ET.SubElement(parent, "lrm_rsc_op", {
        "id": f"{resource}_last_0", "operation_key": f"{resource}_{operation}_0", "operation": operation,
        "crm-debug-origin": "judge", "crm_feature_set": "3.16.2", "transition-key": _KEY,
        "transition-magic": f"0:{result};{_KEY}", "on_node": server, "call-id": "1", "rc-code": result,
        "op-status": "0", "interval": "0", "op-digest": _NO_PARAMETERS,
    })  # fmt: skip
