"""The second factor by the vectors of its standard, and sealed secrets."""

from __future__ import annotations

import pytest

from webmanager.accounts import totp
from webmanager.accounts.seal import SealError, seal, unseal

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("now", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037"),
     (20000000000, "353130")],
)  # fmt: skip
def test_codes_are_those_of_rfc_6238(now, code):
    assert totp.code(SECRET, now // 30) == code


def test_code_works_one_step_around_now_and_only_once():
    step = 40_000_000
    for shift, right in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = totp.matching_step(SECRET, totp.code(SECRET, step + shift), 0, now=step * 30.0)
        assert found == (step + shift if right else 0), shift
    assert totp.matching_step(SECRET, totp.code(SECRET, step), step, now=step * 30.0) == 0
    typed = f" {totp.code(SECRET, step)[:3]} {totp.code(SECRET, step)[3:]} "
    assert totp.matching_step(SECRET, typed, 0, now=step * 30.0) == step
    assert totp.matching_step(SECRET, " 123 456 ", 0, now=600.0) == 0
    assert totp.matching_step(SECRET, "日本", 0) == 0


def test_address_for_the_authenticator():
    assert totp.shown(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert totp.uri(SECRET, "a&b", "h:1").startswith("otpauth://totp/openclp%20h%3A1%3Aa%26b?secret=GEZD")


def test_recovery_codes_are_recognised_however_they_are_typed():
    first, *others = totp.recovery_codes()
    assert len({first, *others}) == 10
    assert totp.recovery_hash(first) == totp.recovery_hash(f" {first.upper().replace('-', ' ')}")


def test_sealed_is_not_readable_and_not_changeable():
    secret = bytes(range(200))
    text = seal("a", secret)
    assert unseal("a", text) == secret
    assert text != seal("a", secret)
    for wrong in (text[:-4] + "AAAA", "B" + text[1:], "", "x"):
        with pytest.raises(SealError):
            unseal("a", wrong)
    with pytest.raises(SealError):
        unseal("b", text)


def test_another_key_opens_nothing(settings):
    text = seal("a", b"secret")
    settings.SECRET_KEY = "another"
    with pytest.raises(SealError):
        unseal("a", text)
