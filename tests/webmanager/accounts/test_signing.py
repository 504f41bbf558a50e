"""Signing in: password, second factor, throttling, first password, sessions; each told by the audit."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.webmanager.accounts.visitor import Visitor, rows
from tests.webmanager.stack import PASSWORD, browser

pytestmark = pytest.mark.slow
NEW = "seven-green-hills-17"


def test_right_and_wrong_passwords_are_told(visitor, user):
    name = user().get_username()
    guest = visitor()
    assert guest.sign_in(name, "wrong") == 200
    assert "do not match" in guest.text
    assert guest.sign_in(name, next="/servers/") == 302
    assert guest.place == "/servers/"
    assert guest.post("/logout/") == 302
    assert guest.get("/account/") == 302
    found = [(row.action, row.result, row.address) for row in rows("sign_in", who=name) + rows("sign_out", who=name)]
    assert found == [
        ("sign_in", "failed", "127.0.0.1"), ("sign_in", "done", "127.0.0.1"), ("sign_out", "done", "127.0.0.1"),
    ]  # fmt: skip


def test_guesser_is_slowed_down_but_others_of_the_same_account_are_not(manager, visitor, user):
    name = user().get_username()
    known = visitor()
    assert known.sign_in(name) == 302
    guesser = visitor()
    assert [guesser.sign_in(name, f"guess{n}") for n in range(11)] == [200] * 10 + [429]
    assert guesser.sign_in(name) == 429
    assert known.get("/account/") == 200


def test_attack_from_many_addresses_does_not_lock_out_who_was_here_before(environment, user, monkeypatch):
    from types import SimpleNamespace

    from django.core.cache.backends.locmem import LocMemCache

    from webmanager import throttle

    monkeypatch.setattr(throttle, "cache", LocMemCache("attack", {}))
    name = user().get_username()

    def at(address: str) -> SimpleNamespace:
        return SimpleNamespace(META={"REMOTE_ADDR": address})

    home = at("192.0.2.7")
    assert throttle.claim(home, name) == 0
    throttle.succeeded(home, name)
    for n in range(60):
        assert throttle.claim(at(f"198.51.100.{n}"), name) == 0
    assert throttle.claim(at("203.0.113.1"), name) == throttle.WINDOW_S
    assert throttle.claim(home, name) == 0
    # Another account at a new address is not concerned.
    assert throttle.claim(at("203.0.113.1"), "somebody-else") == 0


def test_hosts_of_one_ipv6_network_are_one_guesser(environment, monkeypatch):
    from types import SimpleNamespace

    from django.core.cache.backends.locmem import LocMemCache

    from webmanager import throttle

    monkeypatch.setattr(throttle, "cache", LocMemCache("ipv6", {}))
    found = [
        throttle.claim(SimpleNamespace(META={"REMOTE_ADDR": f"2001:db8::{n:x}"}), f"user{n}") for n in range(1, 32)
    ]
    assert found == [0] * 30 + [throttle.WINDOW_S]


def first_password(user) -> None:
    from webmanager.accounts.models import Account

    Account.objects.create(user=user, must_change=True)


async def test_first_password_must_be_changed(manager, visitor, user):
    one = user("administrator")
    first_password(one)
    guest = visitor()
    assert guest.sign_in(one.get_username()) == 302
    for path in ("/", "/users/", "/account/", "/builder/"):
        assert (guest.get(path), guest.place) == (302, "/account/password"), path
    assert manager.call("GET", "/api/v1/cluster", user=one.get_username())[0] == 403
    assert guest.get("/api/v2/clusters") == 403
    async with browser(manager, "", guest.session) as view:
        assert (await view.closed())[0] == 4403

    refused = guest.post("/account/password", old_password=PASSWORD, new_password1="12345678", new_password2="12345678")
    assert (refused, "too short" in guest.text) == (200, True)
    assert guest.post("/account/password", old_password=PASSWORD, new_password1=NEW, new_password2=NEW) == 302
    assert guest.get("/account/") == 200
    assert manager.call("GET", "/api/v1/cluster", user=one.get_username(), password=NEW)[0] in (200, 404)
    assert [row.detail for row in rows("user.password", target=one.get_username())] == [{"by": "user"}]


def test_changed_password_ends_other_sessions(visitor, user):
    one = user()
    here, there = visitor(), visitor()
    for each in (here, there):
        each.sign_in(one.get_username())
    assert here.post("/account/password", old_password=PASSWORD, new_password1=NEW, new_password2=NEW) == 302
    assert (here.get("/account/"), there.get("/account/")) == (200, 302)
    assert here.text.count("this session") == 1


def switch_on(guest: Visitor) -> tuple[bytes, list[str]]:
    """(secret, recovery codes)"""
    import base64
    import re

    from webmanager.accounts import totp

    assert guest.get("/account/second-factor") == 200
    text = guest.shown("secret")
    secret = base64.b32decode(text + "=" * (-len(text) % 8))
    assert f"secret={text}" in guest.shown("uri")
    assert 'aria-label="QR"' in guest.text
    # The step before: the next code may be used at once.
    code = totp.code(secret, int(time.time() // 30) - 1)
    assert guest.post("/account/second-factor", code=code) == 200
    codes = re.findall(r"<li>([0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4})</li>", guest.text)
    assert len(codes) == 10
    return secret, codes


def test_second_factor_is_asked_for_and_works_once(manager, visitor, user):
    from webmanager.accounts import totp
    from webmanager.accounts.models import Account

    one = user()
    name = one.get_username()
    owner = visitor()
    owner.sign_in(name)
    secret, codes = switch_on(owner)
    stored = Account.objects.get(user=one)
    assert secret.hex() not in stored.totp
    assert codes[0] not in str(stored.recovery)

    guest = visitor()
    assert guest.sign_in(name, next="/servers/") == 200
    assert guest.get("/account/") == 302
    assert guest.post("/login/code", code="000000") == 200
    code = totp.code(secret, int(time.time() // 30))
    assert guest.post("/login/code", code=code, next="/servers/") == 302
    assert guest.place == "/servers/"
    assert guest.get("/account/") == 200

    again = visitor()
    again.sign_in(name)
    assert again.post("/login/code", code=code) == 200
    assert again.get("/account/") == 302
    assert again.post("/login/code", code=codes[3].upper()) == 302
    third = visitor()
    third.sign_in(name)
    assert third.post("/login/code", code=codes[3]) == 200
    assert manager.call("GET", "/api/v1/cluster", user=name)[0] == 403
    assert [row.detail.get("how") for row in rows("sign_in", who=name, result="done")] == [
        "password",
        "code",
        "recovery",
    ]

    assert owner.post("/account/second-factor", password="wrong") == 302
    assert Account.objects.get(user=one).totp
    assert owner.post("/account/second-factor", password=PASSWORD) == 302
    assert not Account.objects.get(user=one).totp
    assert visitor().sign_in(name) == 302


def test_codes_are_not_guessed(visitor, user):
    one = user()
    owner = visitor()
    owner.sign_in(one.get_username())
    switch_on(owner)
    guest = visitor()
    guest.sign_in(one.get_username())
    # One of the ten was the right one that switched it on.
    assert [guest.post("/login/code", code="000000") for _ in range(10)][-1] == 429


def test_code_without_a_password_is_nothing(visitor):
    guest = visitor()
    assert (guest.post("/login/code", code="123456"), guest.place) == (302, "/login/")


def test_sessions_are_listed_and_ended(visitor, user):
    from webmanager.accounts.models import SignIn

    one = user()
    here, there = visitor(**{"User-Agent": "Here/1"}), visitor(**{"User-Agent": "There/2"})
    for each in (here, there):
        each.sign_in(one.get_username())
    assert here.get("/account/") == 200
    assert "There/2" in here.text
    for row in SignIn.objects.filter(user=one):
        assert row.session_id not in here.text  # The key is the credential.
    key = next(part.split('"')[0] for part in here.text.split('name="session" value="')[1:])
    assert here.post("/account/end-session", session=key) == 302
    assert (here.get("/account/"), there.get("/account/")) == (200, 302)
    assert len(rows("session.end", target=one.get_username())) == 1


async def test_administrator_ends_sessions_and_the_live_view_with_them(manager, people, visitor, user):
    one = user()
    guest, alice = visitor(), visitor(people["alice"])
    guest.sign_in(one.get_username())
    async with browser(manager, "", guest.session) as view:
        await view.read()
        assert await asyncio.to_thread(alice.post, f"/users/{one.pk}/do", do="disable") == 302
        assert (await view.closed())[0] == 4401
    assert guest.get("/account/") == 302
    assert visitor().sign_in(one.get_username()) == 200
    await asyncio.to_thread(alice.post, f"/users/{one.pk}/do", do="enable")
    assert visitor().sign_in(one.get_username()) == 302


def test_session_ends_by_its_age_however_busy_it_is(manager, visitor, user):
    from importlib import import_module

    from django.conf import settings

    from webmanager.sessions import SINCE

    one = user()
    guest = visitor()
    guest.sign_in(one.get_username())
    assert guest.get("/account/") == 200
    store = import_module(settings.SESSION_ENGINE).SessionStore(guest.session)
    store[SINCE] = time.time() - settings.SESSION_COOKIE_AGE - 1
    store.save()
    headers = {"Cookie": f"openclp_session={guest.session}"}
    assert manager.call("GET", "/api/v1/servers", headers=headers)[0] == 401
    assert guest.get("/account/") == 302
