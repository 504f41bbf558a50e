"""The declaration language: typed values with defaults, and every finding about bad ones."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from agent.clpconf.schema import (
    BOOLEAN,
    IP,
    PATH,
    SCRIPT,
    SECONDS,
    SECRET,
    TEXT,
    Kind,
    OutOfRangeError,
    Param,
    TypeSpec,
    choice,
    integer,
    seconds,
)

SPEC = TypeSpec(
    "sample",
    "Sample",
    params=(
        Param("parameters/ip", "Address", IP, required=True),
        Param("parameters/retry", "Retries", integer(0, 99), default=3),
        Param("parameters/sync", "Wait", BOOLEAN, default=True),
        Param("parameters/password", "Password", SECRET),
        Param("parameters/list@*/ip", "Targets", IP),
        Param("parameters/list@*/weight", "Weight", integer(1, 10), default=1),
    ),
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (TEXT, "any text", "any text"),
        (IP, "192.0.2.1", ip_address("192.0.2.1")),
        (IP, "2001:db8::1", ip_address("2001:db8::1")),
        (BOOLEAN, "1", True),
        (BOOLEAN, "0", False),
        (integer(-5, 10), "-5", -5),
        (integer(0, 10), "007", 7),
        (SECONDS, "180", 180),
        (seconds(0.1, 9), "0.5", 0.5),
        (choice("rw", "ro"), "ro", "ro"),
        (PATH, "/opt/a b", "/opt/a b"),
        (SCRIPT, "start.sh", "start.sh"),
        (SCRIPT, "/opt/start.sh", "/opt/start.sh"),
    ],
)
def test_kind_reads_what_the_file_writes(kind: Kind, text: str, value: object) -> None:
    assert kind.parse(text) == value
    assert type(kind.parse(text)) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (IP, "192.0.2"), (IP, "192.0.2.1/24"), (IP, "host"), (IP, "１.1.1.1"),
        (BOOLEAN, "2"), (BOOLEAN, "yes"), (BOOLEAN, "True"),
        (integer(0, 9), "x"), (integer(0, 9), "1.0"), (integer(0, 9), "1_0"), (integer(0, 9), "٣"), (integer(0, 9), ""),
        (integer(0, 9), "9" * 5000),
        (SECONDS, "-1"), (SECONDS, "1s"), (SECONDS, "nan"), (SECONDS, "inf"), (SECONDS, "1e3"),
        (choice("rw", ("ro", "read only")), "rx"),
        (PATH, "relative"), (PATH, "/a\nb"),
        (SCRIPT, "../start.sh"), (SCRIPT, "a/b"), (SCRIPT, "-x"), (SCRIPT, ".hidden"),
    ],
)  # fmt: skip
def test_kind_refuses_with_a_sentence(kind: Kind, text: str) -> None:
    with pytest.raises(ValueError, match=r"^Write .*\.$") as caught:
        kind.parse(text)
    assert not isinstance(caught.value, OutOfRangeError)


@pytest.mark.parametrize(("kind", "text"), [(integer(0, 9), "10"), (integer(1, 9), "0"), (seconds(1, 9), "9.5")])
def test_number_outside_its_range_is_told_apart(kind: Kind, text: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"Write .* from \d to 9\."):
        kind.parse(text)


def test_values_are_typed_with_defaults() -> None:
    assert SPEC.values({"parameters/ip": "10.0.0.1", "parameters/sync": "0", "parameters/retry": " "}) == {
        "parameters/ip": ip_address("10.0.0.1"),
        "parameters/retry": 3,
        "parameters/sync": False,
        "parameters/password": None,
        "parameters/list@*/ip": (),
        "parameters/list@*/weight": (),
    }


def test_list_is_in_the_order_of_its_numbers_and_its_fields_stay_aligned() -> None:
    raw = {
        "parameters/ip": "10.0.0.1",
        "parameters/list@10/ip": "10.0.0.10",
        "parameters/list@9/ip": "10.0.0.9",
        "parameters/list@9/weight": "2",
        "parameters/list@11/weight": "5",
    }

    values = SPEC.values(raw)

    assert values["parameters/list@*/ip"] == (ip_address("10.0.0.9"), ip_address("10.0.0.10"), None)
    assert values["parameters/list@*/weight"] == (2, 1, 5)


def test_nested_lists_are_one_tuple() -> None:
    spec = TypeSpec("pingnp", "", params=(Param("grp@*/list@*/ip", "Targets", IP, required=True),))
    raw = {"grp@1/list@0/ip": "10.0.0.3", "grp@0/list@1/ip": "10.0.0.2", "grp@0/list@0/ip": "10.0.0.1"}

    assert spec.values(raw)["grp@*/list@*/ip"] == tuple(map(ip_address, ("10.0.0.1", "10.0.0.2", "10.0.0.3")))
    assert spec.check("/root/x", raw) == []
    assert [f.path for f in spec.check("/root/x", {})] == ["/root/x/grp@0/list@0/ip"]


@pytest.mark.parametrize(
    ("raw", "path"),
    [({}, "parameters/ip"), ({"parameters/ip": "10.0.0.1", "parameters/retry": "x"}, "parameters/retry")],
)
def test_values_name_the_path_of_the_first_bad_one(raw: dict[str, str], path: str) -> None:
    with pytest.raises(ValueError, match=f"^{path}: "):
        SPEC.values(raw)


def test_check_finds_everything_at_once() -> None:
    raw = {
        "parameters/ip": "%%FIP%%",
        "parameters/retry": "100",
        "parameters/sync": "yes",
        "parameters/list@0/ip": "x",
        "parameters/ipp": "1",
    }

    findings = SPEC.check("/root/resource/sample@s1", raw)

    assert [(f.code, f.severity, f.path.removeprefix("/root/resource/sample@s1/parameters/")) for f in findings] == [
        ("value.placeholder", "error", "ip"),
        ("value.range", "error", "retry"),
        ("value.syntax", "error", "sync"),
        ("value.syntax", "error", "list@0/ip"),
        ("value.unknown", "note", "ipp"),
    ]
    assert all(f.text and f.remedy for f in findings)
    assert findings[1].text == '"100" is out of range.'
    assert findings[1].remedy == "Write a whole number from 0 to 99."


def test_missing_value_says_what_to_write() -> None:
    findings = SPEC.check("/root/resource/sample@s1", {})

    assert [(f.code, f.text) for f in findings] == [("value.missing", "Address is missing.")]
    assert findings[0].remedy == IP.help


def test_secret_is_not_repeated_in_a_finding() -> None:
    def refuse(_text: str) -> object:
        raise ValueError("Write another one.")

    spec = TypeSpec("s", "", params=(Param("parameters/password", "Password", Kind("secret", refuse, secret=True)),))

    findings = spec.check("/x", {"parameters/password": "swordfish"})

    assert len(findings) == 1
    assert "swordfish" not in str(findings[0])
