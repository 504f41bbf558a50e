"""The file that drbdadm reads: what it says, and that no name can say anything in it."""

from __future__ import annotations

import re

import msgspec
import pytest

from agent.drbdd.resource import device_of, resource_text, secret_of, unfit
from agent.mirrord.settings import Connect, Settings

SETTINGS = Settings(
    mirror="md1", engine="drbd", cluster="office", server="a", peer="b", key="5a" * 32, data="/dev/sdb2",
    partition="/dev/sdb1", run="/run/openclp", boot="boot1",
    connects=(Connect(name="mdc1", own="10.0.0.1", peer="10.0.0.2"),),
)  # fmt: skip
HANDLER = "/usr/bin/python3 -I -S handler.py /run/openclp/mirror-md1.sock"
# As drbdadm's reader cuts a file: a string, a word, a sign.
_TOKEN = re.compile(r'\s+|#[^\n]*|("(?:[^"\\\n]|\\[^\n]){0,255}")|([a-zA-Z0-9/._-]{1,128})|([{};:\[\]])')
_OURS = {
    "resource", "net", "disk", "handlers", "on", "device", "minor", "meta-disk", "address", "protocol", "C", "ipv6",
    "cram-hmac-alg", "sha256", "shared-secret", "fencing", "resource-and-stonith", "after-sb-0pri", "after-sb-1pri",
    "after-sb-2pri", "disconnect", "verify-alg", "crc32c", "ping-int", "ping-timeout", "timeout", "connect-int",
    "on-io-error", "detach", "c-plan-ahead", "c-fill-target", "c-min-rate", "c-max-rate", "fence-peer", "split-brain",
    "node-id",
}  # fmt: skip


def changed(**changes):
    return msgspec.structs.replace(SETTINGS, **changes)


def text_of(settings=SETTINGS, host="a", handler=HANDLER, version=(8, 4), digest="sha256"):
    return resource_text(settings, host, handler, version, digest)


def tokens(text):
    """Strings without their quotes, in a list of their own."""
    words, strings, at = [], [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found, f"drbdadm cannot read {text[at : at + 40]!r}"
        if found[1] is not None:
            strings.append(re.sub(r"\\(.)", r"\1", found[1][1:-1]))
        elif found[2] or found[3]:
            words.append(found[2] or found[3])
        at = found.end()
    return words, strings


def within(text, section):
    return text.split(f"  {section} {{\n")[1].split("\n  }\n")[0]


def test_both_sides_are_described():
    text = text_of()

    assert within(text, 'on "a"').split("\n") == [
        "    device /dev/drbd29051 minor 29051;",
        '    disk "/dev/sdb2";',
        '    meta-disk "/dev/sdb1";',
        "    address 10.0.0.1:29051;",
    ]
    assert "    address 10.0.0.2:29051;" in within(text, 'on "b"')
    assert device_of(SETTINGS) == "/dev/drbd29051"


def test_a_write_waits_for_both_and_nobody_is_joined_unasked():
    net, disk = within(text_of(), "net"), within(text_of(), "disk")

    assert "    protocol C;" in net
    assert re.findall(r"after-sb-\dpri \w+;", net) == [f"after-sb-{count}pri disconnect;" for count in range(3)]
    assert "    fencing resource-and-stonith;" in disk
    assert "    on-io-error detach;" in disk


def test_kernel_asks_our_handler():
    assert within(text_of(), "handlers").split("\n") == [
        f'    fence-peer "{HANDLER} fence";', f'    split-brain "{HANDLER} parted";',
    ]  # fmt: skip


def test_version_9_has_fencing_elsewhere_and_numbers_that_both_sides_agree_on():
    ours = text_of(version=(9, 2))
    theirs = text_of(
        changed(server="b", peer="a", connects=(Connect(name="mdc1", own="10.0.0.2", peer="10.0.0.1"),)), "b",
        version=(9, 2),
    )  # fmt: skip

    assert ("fencing" in within(ours, "net"), "fencing" in within(ours, "disk")) == (True, False)
    assert "node-id 0;" in within(ours, 'on "a"')
    assert "node-id 1;" in within(ours, 'on "b"')
    assert [within(theirs, f'on "{host}"') for host in "ab"] == [within(ours, f'on "{host}"') for host in "ab"]
    assert "node-id" not in text_of()


def test_both_sides_have_one_secret_that_does_not_tell_the_key():
    secret = secret_of(SETTINGS)

    assert f'shared-secret "{secret}";' in text_of()
    assert secret == secret_of(changed(server="b", peer="a"))
    assert len({secret, *(secret_of(changed(**one)) for one in ({"mirror": "md2"}, {"cluster": "lab"}))}) == 3
    assert secret != secret_of(changed(key="a5" * 32))
    assert SETTINGS.key not in text_of()


def test_kernel_without_digest_gets_no_secret():
    assert re.findall("cram-hmac|shared-secret", text_of(digest="")) == []


@pytest.mark.parametrize(("silent_s", "ping", "timeout"), [(0.5, 2, 15), (3.0, 2, 15), (10.0, 9, 85)])
def test_timeout_is_shorter_than_the_ping(silent_s, ping, timeout):
    """drbdadm refuses the file otherwise."""
    net = within(text_of(changed(silent_s=silent_s)), "net")

    assert f"    ping-int {ping};" in net
    assert f"    timeout {timeout};" in net


def test_ipv6_is_named_so():
    text = text_of(changed(connects=(Connect(name="mdc1", own="fd00::1", peer="fd00::2"),)))

    assert "    address ipv6 [fd00::1]:29051;" in text
    assert "    address ipv6 [fd00::2]:29051;" in text


def test_host_that_has_the_name_of_the_other_server_is_still_two_sides():
    assert re.findall(r'on "(\S+)"', text_of(host="b")) == ["b", "b-peer"]


def test_first_mirror_connect_is_taken():
    second = Connect(name="mdc2", own="10.9.0.1", peer="10.9.0.2", priority=1)

    assert "10.9." not in text_of(changed(connects=(*SETTINGS.connects, second)))


@pytest.mark.parametrize(
    "path", ['/dev/x"; } handlers { fence-peer "true', "/dev/a b", "/dev/back\\slash", '/dev/end\\"', "/dev/#1;{}"]
)
def test_path_stays_one_string(path):
    words, strings = tokens(text_of(changed(data=path)))

    assert strings.count(path) == 2
    assert {word for word in words if re.match("[a-z]", word)} <= _OURS
    assert (words.count("{"), words.count("}")) == (6, 6)


@pytest.mark.parametrize("host", ['b" { } on "c', "no", "disk", "10.0.0.1"])
def test_host_stays_one_string(host):
    assert host in tokens(text_of(changed(peer=host)))[1]


@pytest.mark.parametrize("mirror", ["no", "disk", "net", "1", "10.0.0.1", "md.1_a-b"])
def test_word_of_drbd_can_be_the_name_of_a_mirror(mirror):
    assert tokens(text_of(changed(mirror=mirror)))[1][0] == mirror


def test_name_of_the_cluster_stays_a_comment():
    cluster = 'office\nresource r0 { handlers { fence-peer "true"; } }\r\x0b\u2028#'
    text = text_of(changed(cluster=cluster))

    assert tokens(text)[0].count("resource") == 1
    assert text.splitlines()[1] == 'resource "md1" {'


@pytest.mark.parametrize(
    "mirror", ["", "md1 {", "md1\nresource", "-force", "../md1", "md1/0", 'md"1', "md1:b", ".md1", "m" * 64, "m\u00e9"]
)
def test_name_that_drbd_would_misread_is_refused(mirror):
    with pytest.raises(ValueError, match=r"cannot be the name of a DRBD resource\. Use letters, digits"):
        text_of(changed(mirror=mirror))


def test_name_for_all_resources_is_refused():
    with pytest.raises(ValueError, match=r'cannot be named "all": to drbdadm that is every resource of the server'):
        text_of(changed(mirror="all"))


def test_mirror_without_addresses_is_refused_with_the_remedy():
    assert unfit(changed(connects=())) == "md1 has no mirror connect: give it the addresses of both servers."
    with pytest.raises(ValueError, match="md1 has no mirror connect"):
        text_of(changed(connects=()))


@pytest.mark.parametrize("path", ["/dev/a\nb", "/dev/a\x00", "/dev/a\x7f"])
def test_unprintable_path_is_refused(path):
    with pytest.raises(ValueError, match="has characters that DRBD's configuration cannot have"):
        text_of(changed(partition=path))


def test_text_longer_than_drbdadm_reads_is_refused():
    with pytest.raises(ValueError, match=r"is longer than the 255 bytes"):
        text_of(changed(data="/dev/" + "x" * 251))
    assert unfit(SETTINGS) == ""
