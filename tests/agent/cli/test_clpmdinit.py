"""clpmdinit: makes the cluster partition on a real file, never while the service runs, and says what was there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import clpmdinit
from agent.mirrord.partition import label_of

CONF = """<root><cluster><name>shop</name></cluster><all><charset>ASCII</charset><serveros>linux</serveros>
<encode>ASCII</encode></all>
<server name="server1"><priority>0</priority><device id="0"><type>lan</type><info>10.0.0.1</info></device>
<device id="400"><type>mdc</type><info>10.0.0.1</info></device></server>
<server name="server2"><priority>1</priority><device id="0"><type>lan</type><info>10.0.0.2</info></device>
<device id="400"><type>mdc</type><info>10.0.0.2</info></device></server>
<heartbeat><types name="lanhb"/><lanhb name="lanhb1"><priority>0</priority><device>0</device></lanhb></heartbeat>
<group name="g1"><type>failover</type><gid>0</gid><resource name="md@md1"/><policy name="server1"><order>0</order>
</policy><policy name="server2"><order>1</order></policy></group>
<resource><types name="md"/><md name="md1"><parameters><nmppath>/dev/NMP1</nmppath><fs>none</fs>
<diskdev><dppath>{data}</dppath><cppath>{partition}</cppath></diskdev>
<netdev id="0"><priority>0</priority><device>400</device><mdcname>mdc1</mdcname></netdev></parameters></md></resource>
</root>"""


@pytest.fixture
def partition(home: Path) -> Iterator[Path]:
    """In memory, below /dev, where clp.conf wants partitions."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="openclp-clpmdinit-") as place:
        data, partition = Path(place, "data"), Path(place, "partition")
        for path, size in ((data, 64 << 20), (partition, 10 << 20)):
            with path.open("wb") as file:
                file.truncate(size)
        (home / "etc" / "clp.conf").write_text(CONF.format(data=data, partition=partition))
        yield partition


def run(capsys: pytest.CaptureFixture[str], words: str) -> tuple[int, str, str]:
    code = clpmdinit.main(words.split())
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_empty_partition_is_made(partition: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--create normal md1")

    assert (code, out.splitlines()[-1]) == (0, "Command succeeded.")
    label = label_of(str(partition))
    assert label is not None
    assert (label.mirror, label.cluster, label.server, label.size) == ("md1", "shop", "server1", 64 << 20)


def test_what_is_used_is_made_again_by_force_only(partition: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "--create normal md1")
    first = label_of(str(partition))

    code, _, err = run(capsys, "--create normal md1")
    assert code == 1
    assert "is not empty" in err
    assert label_of(str(partition)) == first

    code, out, _ = run(capsys, "--create force md1")
    assert code == 0
    assert "held the mirror md1 of the cluster shop; that is forgotten." in out
    assert label_of(str(partition)) != first


def test_running_service_is_left_alone(partition: Path, agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--create force md1")

    assert code == 1
    assert "Stop it first: clpcl -t." in err
    assert label_of(str(partition)) is None


def test_unknown_mirror_and_missing_file_are_told(
    home: Path, partition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "There is no mirror disk md9 in clp.conf. Known: md1." in run(capsys, "--create force md9")[2]
    partition.unlink()
    assert str(partition) in run(capsys, "--create force md1")[2]
    (home / "etc" / "clp.conf").unlink()
    assert "cannot be read" in run(capsys, "--create force md1")[2]
