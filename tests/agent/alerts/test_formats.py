"""The bytes that receivers get."""

from __future__ import annotations

import email
import email.policy
import json
import re
from pathlib import Path

import pytest

from agent.alerts import formats, trap
from agent.alerts.mail_text import mail
from agent.clpconf.alert_settings import Mail
from agent.wire.alerts import Alert

ALERT = Alert(
    "s1:1:7", 1795400000.25, "server1", "rc", 62, "error", "group", "web", "Group web\ncould not", ("web", "s1")
)


def read_ber(data: bytes) -> tuple[int, object, bytes]:
    """(tag, content, rest): constructed ones as lists. Written from the standard, not from the encoder."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    body, rest = data[start : start + length], data[start + length :]
    assert len(body) == length
    if tag & 0x20:
        parts = []
        while body:
            one, content, body = read_ber(body)
            parts.append((one, content))
        return tag, parts, rest
    if tag == 0x02:
        return tag, int.from_bytes(body, "big", signed=True), rest
    if tag == 0x06:
        numbers, value = [body[0] // 40, body[0] % 40], 0
        for byte in body[1:]:
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                numbers.append(value)
                value = 0
        return tag, tuple(numbers), rest
    return tag, body, rest


def test_trap_of_version_2c_can_be_read_as_the_standard_says():
    data = trap.trap(ALERT, "c1", version="v2c", community="private", request=77, uptime_s=1.5)

    tag, message, rest = read_ber(data)

    assert (tag, rest) == (0x30, b"")
    assert message[:2] == [(0x02, 1), (0x04, b"private")]
    assert message[2][0] == 0xA7
    request, status, index, (_, bindings) = message[2][1]
    assert (request, status, index) == ((2, 77), (2, 0), (2, 0))
    values = {one[0][1]: one[1] for _, one in bindings}
    assert values[(1, 3, 6, 1, 2, 1, 1, 3, 0)] == (0x43, b"\x00\x96")
    assert values[(1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)] == (0x06, (*trap.NOTIFICATIONS, 3))
    assert values[(*trap.OBJECTS, 4, 0)] == (0x02, 62)
    assert values[(*trap.OBJECTS, 2, 0)] == (0x04, b"server1")


def test_trap_of_version_1_is_specific_to_the_enterprise():
    _, message, _ = read_ber(trap.trap(ALERT, "c1", version="v1", community="public", request=1, uptime_s=0))

    tag, fields = message[2]

    assert (message[0], tag) == ((0x02, 0), 0xA4)
    assert fields[0] == (0x06, trap.ROOT)
    assert fields[2:4] == [(0x02, 6), (0x02, 3)]


@pytest.mark.parametrize(("number", "body"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x00\x80"), (-129, b"\xff\x7f")])
def test_integers_are_as_short_as_they_can_be(number: int, body: bytes):
    assert trap.integer(number) == bytes((2, len(body))) + body


def test_a_long_text_is_cut_between_two_characters():
    _, body, _ = read_ber(trap.octets("日" * 1000))

    assert body.decode() == "日" * 341  # type: ignore[attr-defined]


def test_mib_declares_what_is_sent():
    text = (Path(trap.__file__).parent / "OPENCLP-MIB.txt").read_text()

    objects = [int(number) for number in re.findall(r"::= \{ openclpObjects (\d+) \}", text)]
    notifications = [int(number) for number in re.findall(r"::= \{ openclpNotifications (\d+) \}", text)]

    assert objects == list(range(1, 1 + len(trap._variables(ALERT, "c1"))))
    assert notifications == sorted(trap.SPECIFIC.values())
    assert "{ enterprises 8072 9999 9999 29003 }" in text


def test_mail_can_be_read_and_no_text_becomes_a_header():
    evil = Alert(
        "s:1:8", 1.0, "server1", "logcmd", 1, "info", "server", "server1", "x\r\nBcc: all@example.com\r\n\r\nhi", ()
    )
    message = mail([evil, ALERT], "c1", Mail(to=("a@example.com", "b@example.com")), "c@example.com", "<1@c1>")

    read = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)

    assert read["Bcc"] is None
    assert read["To"] == "a@example.com, b@example.com"
    assert read["Subject"] == "CLUSTERPRO [c1] (2) ERR: Group web could not"
    assert "x Bcc: all@example.com hi" in read.get_content()


def test_mail_is_japanese_where_clp_conf_has_a_japanese_character_set():
    alert = Alert("s:1:9", 1.0, "server1", "pm", 20, "error", "server", "server1", "Process x has died.", ("x",))
    settings = Mail(to=("a@example.com",), charset="ISO-2022-JP")

    read = email.message_from_bytes(mail([alert], "c1", settings, "c@example.com", "<1@c1>").as_bytes(),
                                    policy=email.policy.default)  # fmt: skip

    assert "プロセス x が異常終了しました" in read["Subject"]


def test_syslog_line_and_json():
    line = formats.syslog_line(ALERT, "c1", "server9").decode()
    said = json.loads(formats.payload(ALERT, "c1"))

    assert re.fullmatch(
        r"<27>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d server9 openclp: ERR \[rc:62\] Group web could not \(c1/server1\)",
        line,
    )
    assert (said["severity"], said["params"], said["time"]) == ("error", ["web", "s1"], "2026-11-23T02:13:20.250+00:00")
