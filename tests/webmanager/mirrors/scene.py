"""A cluster with one mirror disk, md1 between server1 and server2, as its servers tell of it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from tests.webmanager import stack
from tests.webmanager.stack import FakeAgent, report

_GROUP = b"""<group name="mirrored"><type>failover</type><comment/><gid>9</gid><resource name="md@md1"/>
<policy name="server1"><order>0</order></policy><policy name="server2"><order>1</order></policy></group><resource>
<types name="md"/><md name="md1"><comment>Data of the shop</comment><parameters><nmppath>/dev/NMP1</nmppath>
<mount><point>/mnt/md1</point></mount><diskdev><dppath>/dev/sdb2</dppath><cppath>/dev/sdb1</cppath></diskdev>
<netdev id="0"><priority>0</priority><device>400</device><mdcname>mdc1</mdcname></netdev></parameters></md>"""


def config(cluster: str) -> bytes:
    data = stack.config(cluster)
    assert data.count(b"<resource>") == 1
    return data.replace(b"<resource>", _GROUP)


def reports(mirror: dict[str, Any], seq: int = 1) -> list[dict[str, Any]]:
    """`mirror` as tests/agent/cli/mirrors.py makes one."""
    found = []
    for server in stack.SERVERS:
        state = mirror["servers"].get(server)
        found.append(report(server, seq, runs=("failover1",) if server == "server1" else (),
                            **({"mirrors": {"md1": state}} if state else {})))  # fmt: skip
    return found


async def greet(one: FakeAgent, mirror: dict[str, Any]) -> None:
    data = config(one.cluster)
    await one.hello(config=base64.b64encode(data).decode(), config_hash=hashlib.sha256(data).hexdigest())
    await one.snapshot(*reports(mirror))
