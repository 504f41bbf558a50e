"""The note that nobody decides in a network partition says what `clpsim prove` finds by playing it."""

from __future__ import annotations

import pytest

from agent.catalog import specs
from agent.cli.sim.common import defaults
from agent.clpconf.load import load
from agent.sim.prove import prove

HTTP = (
    '<networkpartition><types name="httpnp"/><httpnp name="httpnp1"><priority>0</priority><device>10700</device>'
    "<host>192.0.2.9</host></httpnp></networkpartition>"
)
USE = '<device id="10700"><type>http</type><info>1</info></device></server>'
GROUPS = '<group name="failover1"><resource name="exec@exec1"/><gid>0</gid>{}</group>'
ALONE = '<policy name="server1"><order>0</order></policy>'


@pytest.mark.slow
@pytest.mark.parametrize(("witness", "policy"), [(False, ""), (True, ""), (False, ALONE)])
def test_note_agrees_with_the_proof(conf, judge, witness, policy):
    conf.cluster += "<heartbeat><interval>500</interval><timeout>3000</timeout></heartbeat>"
    conf.group, conf.resource = GROUPS.format(policy), '<types name="exec"/><exec name="exec1"/>'
    conf.monitor = '<types name="userw"/><userw name="userw"/>'
    if witness:
        conf.more, conf.servers = HTTP, conf.servers.replace("</server>", USE)
    cluster = load(conf.write(), specs()).cluster
    assert cluster is not None

    proof = prove(cluster, defaults(), 1)

    assert bool(judge("quorum.none")) == proof.can_split


def test_note_names_every_way_that_has_to_fail(conf, judge):
    assert [f.text for f in judge("quorum.none")] == [
        "Nobody decides who may act in a network partition: when a fault of lanhb1 and lanhb2 parts server1 from "
        "server2, both run failover1; also when a server stands still for longer than the heartbeat timeout and goes "
        "on."
    ]
