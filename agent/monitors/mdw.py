"""mdw: watches the state of a mirror disk.

An error is what a start on the other server may mend: the own disk cannot be used, or the mirror process does not come
back. That the other side is away, behind or being copied to is a warning: the data are served, from one disk only.
"""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec, Values
from agent.monitors import Health, MonitorType
from agent.ports import Ports
from agent.wire.mirror import MirrorState, percent_of

SPEC = TypeSpec(
    "mdw",
    "Mirror disk monitor",
    params=(
        Param("parameters/object", "Mirror disk", TEXT, required=True, refers="resource",
              help="Name of a mirror disk resource.", source="clp-conf-format 8"),
    ),
    help="Abnormal when the own side of a mirror cannot be used; warns when the two sides are not the same.",
    family="Storage",
)  # fmt: skip

_COPY = ("source", "finishing", "target")


async def check(values: Values, _target: str, _watched: Values, ports: Ports) -> Health:
    name = str(values["parameters/object"])
    state = await ports.mirrors.state(name)
    if state is None:
        return Health(False, f"the mirror process of {name} does not answer")
    if state.error:
        return Health(False, state.error)
    return _compared(name, state)


def _compared(name: str, state: MirrorState) -> Health:
    if not state.constructed:
        return Health(True, f"{name} has no data yet; the first start of its group constructs it", warning=True)
    if found := int(state.verify.get("differs") or 0):
        return Health(True, f"the comparison of both disks found {found} bytes that differ", warning=True)
    if state.isolated:
        return Health(True, f"{name} is kept apart by an operator", warning=True)
    if state.relation == "foreign":
        return Health(False, state.doubt or f"the two sides of {name} have no common past")
    if state.relation in _COPY:
        share = percent_of({"to_copy": state.to_copy, "copied": state.copied})
        done = f" ({share:.0f} % done)" if share is not None else ""
        source = state.peer if state.relation == "target" else state.server
        return Health(True, f"{source} copies what differs{done}", warning=True)
    if state.mode == "stalled":
        return Health(True, f"writes wait: {state.peer} does not answer, and may still be going on", warning=True)
    if state.relation != "equal":
        return Health(True, f"{state.peer} is not connected: nothing has a second copy", warning=True)
    return Health(True)


TYPE = MonitorType(SPEC, check)
