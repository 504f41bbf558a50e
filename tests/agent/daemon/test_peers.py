"""Peer links over real TCP on loopback: who is let in, what arrives, and what a stranger can do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from agent.clpconf.model import Cluster, Device, Heartbeat, Server
from agent.daemon import session
from agent.daemon.peers import Carry, Envelope, PeerLinks
from agent.wire.peer import Answer
from tests.agent.waiting import until_true

KEY = b"k" * 32
OTHER_KEY = b"o" * 32


def make_cluster(*names: str, timeout_s: float = 1.0) -> Cluster:
    """Servers on two LANs: 127.0.1.N and 127.0.2.N."""
    servers = tuple(
        Server(
            name=name,
            priority=number,
            devices=tuple(Device(id=lan, type="lan", info=f"127.0.{lan + 1}.{int(name[-1])}") for lan in (0, 1)),
        )
        for number, name in enumerate(names)
    )
    heartbeats = tuple(Heartbeat(name=f"lanhb{n + 1}", type="lanhb", priority=n, device=n) for n in (0, 1))
    return Cluster(name="c", interval_s=0.1, timeout_s=timeout_s, servers=servers, heartbeats=heartbeats)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.1.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class End:
    """One agent's links and all that they told it."""

    links: PeerLinks
    received: list[tuple[str, Envelope]] = field(default_factory=list)
    complaints: list[tuple[str, str, str]] = field(default_factory=list)

    def texts(self) -> list[str]:
        return [e.message.text for _, e in self.received if isinstance(e, Carry) and isinstance(e.message, Answer)]

    def reasons(self) -> set[str]:
        return {reason for reason, _, _ in self.complaints}


def make_end(cluster: Cluster, me: str, port: int, *, key: bytes = KEY, incarnation: int = 1) -> End:
    received: list[tuple[str, Envelope]] = []
    complaints: list[tuple[str, str, str]] = []
    links = PeerLinks(
        cluster, me, incarnation, key,
        receive=lambda peer, envelope: received.append((peer, envelope)),
        complain=lambda *words: complaints.append(words), port=port,
    )  # fmt: skip
    return End(links, received, complaints)


@contextlib.asynccontextmanager
async def running(*ends: End) -> AsyncIterator[None]:
    try:
        for end in ends:
            await end.links.start()
        yield
    finally:
        for end in ends:
            await end.links.close()


def word(text: str) -> Carry:
    return Carry(Answer(id="1", code=0, text=text))


@contextlib.asynccontextmanager
async def raw_client(
    port: int, address: str = "127.0.1.2", to: str = "127.0.1.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(to, port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def greet_as(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], me: str, key: bytes = KEY
) -> session.Sealer:
    return await session.greet(*streams, key=key, cluster="c", me=me, peer="server1", incarnation=1)


async def test_what_all_are_told_is_encoded_once_and_arrives_everywhere():
    cluster, port = make_cluster("server1", "server2", "server3"), free_port()
    ends = [make_end(cluster, name, port) for name in cluster.server_names]
    one, *others = ends
    async with running(*ends):
        await until_true(lambda: len(one.links.linked()) == 2)
        for text in ("first", "second"):
            told = Answer(id="1", code=0, text=text)
            for peer in ("server2", "server3"):
                one.links.send(peer, Carry(told))
        one.links.send("server2", word("other"))
        one.links.send("server2", word("other"))  # Equal, but another message.
        await until_true(lambda: len(others[0].received) == 4 and len(others[1].received) == 2)
        assert others[0].texts() == ["first", "second", "other", "other"]
        assert others[1].texts() == ["first", "second"]
        assert one.links._encoded(Carry(told)) is one.links._encoded(Carry(told))


async def test_messages_arrive_both_ways_over_the_first_path():
    cluster, port = make_cluster("server1", "server2"), free_port()
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port)
    async with running(one, two):
        await until_true(lambda: one.links.linked() and two.links.linked())
        one.links.send("server2", word("there"))
        two.links.send("server1", word("back"))
        await until_true(lambda: one.received and two.received)

        assert one.received == [("server2", word("back"))]
        assert two.received == [("server1", word("there"))]
        assert one.links.linked() == {"server2": "lanhb1"}
        assert one.complaints == two.complaints == []


async def test_messages_without_a_link_are_dropped_at_once():
    end = make_end(make_cluster("server1", "server2"), "server1", free_port())
    async with running(end):
        assert end.links.send("server2", word("lost")) is False


async def test_wrong_key_is_refused_by_both_and_nothing_moves():
    cluster, port = make_cluster("server1", "server2"), free_port()
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port, key=OTHER_KEY)
    async with running(one, two):
        await until_true(lambda: one.complaints and two.complaints)

        assert one.reasons() == two.reasons() == {"wrong_key"}
        assert "cluster.key" in one.complaints[0][2]
        assert one.links.linked() == {}
        assert one.received == two.received == []


async def test_server_that_the_configuration_does_not_know_is_refused():
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    three = make_end(make_cluster("server1", "server3"), "server3", port)
    async with running(one, three):
        await until_true(lambda: one.complaints)

        assert one.reasons() == {"stranger"}
        assert "server3 is no server of this cluster" in one.complaints[0][2]
        assert three.links.linked() == {}


async def test_second_agent_of_a_name_at_another_address_is_refused():
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    async with running(one), raw_client(port, address="127.0.9.9") as streams:
        with pytest.raises((session.LinkError, EOFError, OSError)):
            await greet_as(streams, "server2")
        await until_true(lambda: one.complaints)

        assert one.reasons() == {"double"}
        assert "127.0.9.9" in one.complaints[0][2]


async def test_agent_with_our_own_name_is_refused():
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    async with running(one), raw_client(port) as streams:
        with pytest.raises((session.LinkError, EOFError, OSError)):
            await greet_as(streams, "server1")
        await until_true(lambda: one.complaints)

        assert one.reasons() == {"double"}
        assert "calls itself server1" in one.complaints[0][2]


async def test_older_incarnation_does_not_displace_a_newer_one():
    cluster, port = make_cluster("server1", "server2"), free_port()
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port, incarnation=7)
    async with running(one, two):
        await until_true(lambda: two.links.linked() and one.links.unlinked_s("server2") == 0)
        async with raw_client(port) as streams:
            await greet_as(streams, "server2")  # incarnation 1
            await until_true(lambda: one.complaints)

        assert one.reasons() == {"double"}
        two.links.send("server1", word("still here"))
        await until_true(lambda: one.texts() == ["still here"])


async def test_repeated_frame_closes_the_link():
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    async with running(one), raw_client(port) as streams:
        frame = (await greet_as(streams, "server2")).seal(msgspec.json.encode(word("once")))
        streams[1].write(frame + frame)

        assert await streams[0].read() == b""
        assert one.texts() == ["once"]
        assert one.reasons() == {"replay"}


async def test_frame_of_an_earlier_session_is_refused():
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    async with running(one):
        async with raw_client(port) as streams:
            captured = (await greet_as(streams, "server2")).seal(msgspec.json.encode(word("captured")))
        async with raw_client(port) as streams:
            await greet_as(streams, "server2")
            streams[1].write(captured)

            assert await streams[0].read() == b""
        assert one.received == []
        assert one.reasons() == {"bad_mac"}


async def test_captured_greeting_opens_no_session():
    """A spy sends again what server2 sent when it connected; the nonce of server1 is another one now."""
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    async with running(one):
        async with raw_client(port) as (reader, writer):
            sent: list[bytes] = []
            original = writer.write
            writer.write = lambda data: (sent.append(bytes(data)), original(data))[1]  # type: ignore[method-assign]
            sealer = await greet_as((reader, writer), "server2")
            writer.write(sealer.seal(msgspec.json.encode(word("real"))))
            await until_true(lambda: one.texts() == ["real"])
        async with raw_client(port) as (reader, writer):
            writer.write(b"".join(sent))
            await until_true(lambda: one.complaints)

        assert one.texts() == ["real"]
        assert one.reasons() == {"wrong_key"}


async def test_oversize_frame_is_refused_before_it_is_read():
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    async with running(one), raw_client(port) as streams:
        await greet_as(streams, "server2")
        streams[1].write(session._HEAD.pack(session.FRAME_LIMIT + 1, 0))

        assert await streams[0].read() == b""
        assert one.reasons() == {"oversize"}


async def test_message_that_is_no_message_closes_the_link_with_a_note():
    port = free_port()
    one = make_end(make_cluster("server1", "server2"), "server1", port)
    async with running(one), raw_client(port) as streams:
        streams[1].write((await greet_as(streams, "server2")).seal(b'{"t":"m","message":{"type":"Nonsense"}}'))

        assert await streams[0].read() == b""
        assert one.reasons() == {"decode"}


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\5hello", b"\xff" * 64, b""])
async def test_rubbish_is_refused_and_the_others_go_on(rubbish: bytes):
    cluster, port = make_cluster("server1", "server2"), free_port()
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port)
    async with running(one, two):
        async with raw_client(port, address="127.0.7.7") as (reader, writer):
            writer.write(rubbish)
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        await until_true(lambda: two.links.linked())
        two.links.send("server1", word("fine"))
        await until_true(lambda: one.texts() == ["fine"])


async def test_silent_path_is_left_for_one_that_is_heard():
    cluster, port = make_cluster("server1", "server2"), free_port()
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port)
    async with running(one, two):
        await until_true(lambda: one.links.linked() == {"server2": "lanhb1"})

        one.links.path_changed("server2", "lanhb1", False)

        await until_true(lambda: one.links.linked() == {"server2": "lanhb2"})
        one.links.send("server2", word("by the other way"))
        await until_true(lambda: two.texts() == ["by the other way"])


@pytest.mark.slow
async def test_restarted_peer_is_linked_again_at_once_when_it_is_heard():
    cluster, port = make_cluster("server1", "server2", timeout_s=30), free_port()
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port)
    async with running(one):
        async with running(two):
            await until_true(lambda: one.links.linked())
        await until_true(lambda: not one.links.linked())
        assert one.links.unlinked_s("server2") >= 0
        again = make_end(cluster, "server2", port, incarnation=2)
        async with running(again):
            one.links.heard("server2")
            await until_true(lambda: one.links.linked())


async def test_peer_that_does_not_read_costs_bounded_memory_and_no_time():
    """The peer greets and then sleeps: what does not fit is dropped, the newest stays."""
    cluster, port = make_cluster("server1", "server2"), free_port()
    one = make_end(cluster, "server1", port)
    greeted = asyncio.Event()

    async def sleepy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw, hello = await session.read_hello(reader, cluster="c", me="server2")
        await session.admit(reader, writer, key=KEY, raw_hello=raw, hello=hello, incarnation=1)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        greeted.set()

    server = await asyncio.start_server(sleepy, "127.0.1.2", port)
    async with server, running(one):
        await greeted.wait()
        await until_true(lambda: one.links.linked())
        began = asyncio.get_running_loop().time()
        for number in range(3000):
            one.links.send("server2", word(f"{number} " + "x" * 10_000))

        assert asyncio.get_running_loop().time() - began < 2
        link = one.links._links["server2"]
        assert len(link.queue) <= 256
        assert b"2999 " in link.queue[-1]
        assert link.writer is not None
        assert link.writer.transport.get_write_buffer_size() < 1 << 20
        server.close()


async def test_address_that_is_absent_now_hinders_nothing():
    """A cable is out at boot: the other LAN works, and this one as soon as its address is there."""
    cluster, port = make_cluster("server1", "server2"), free_port()
    servers = tuple(
        msgspec.structs.replace(
            s, devices=(Device(id=0, type="lan", info=f"198.51.100.{s.priority + 1}"), s.devices[1])
        )
        for s in cluster.servers
    )
    cluster = msgspec.structs.replace(cluster, servers=servers)
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port)
    async with running(one, two):
        await until_true(lambda: one.links.linked() == {"server2": "lanhb2"})
        one.links.send("server2", word("there"))
        await until_true(lambda: two.texts() == ["there"])


async def test_port_in_use_is_named():
    cluster, port = make_cluster("server1", "server2"), free_port()
    with socket.socket() as sock:
        sock.bind(("127.0.1.1", port))
        sock.listen()
        end = make_end(cluster, "server1", port)

        with pytest.raises(OSError, match=rf"Cannot listen on 127.0.1.1 port {port} \(TCP\).*Stop the program"):
            await end.links.start()
        await end.links.close()


async def test_an_agent_that_is_late_itself_links_all_the_same():
    """32 agents that start at once are; a connection that was given up for that would be tried again for ever."""
    cluster, port = make_cluster("server1", "server2", timeout_s=0.2), free_port()
    one, two = make_end(cluster, "server1", port), make_end(cluster, "server2", port)

    async def be_late() -> None:
        while True:
            time.sleep(0.12)  # Longer than a connection may take.
            await asyncio.sleep(0)

    async with running(one, two):
        late = asyncio.create_task(be_late())
        try:
            await until_true(lambda: one.links.linked() and two.links.linked())
        finally:
            late.cancel()
