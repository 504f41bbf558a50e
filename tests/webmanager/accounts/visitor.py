"""Somebody with a browser that keeps cookies and sends forms, without JavaScript."""

from __future__ import annotations

import html
import re
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.webmanager.stack import PASSWORD, Server

TOKEN = "t" * 32


class Visitor:
    def __init__(self, server: Server, session: str = "", headers: dict[str, str] | None = None) -> None:
        self.server = server
        self.headers = headers or {}
        self.cookies = {"openclp_csrf": TOKEN}
        if session:
            self.cookies["openclp_session"] = session
        self.status, self.text, self.place = 0, "", ""

    def get(self, path: str) -> int:
        return self._ask("GET", path, None)

    def post(self, path: str, **form: str) -> int:
        return self._ask("POST", path, urlencode({"csrfmiddlewaretoken": self.cookies["openclp_csrf"], **form}))

    def _ask(self, method: str, path: str, body: str | None) -> int:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded", **self.headers}
        self.status, self.text, response = self.server.call(method, path, body=body, headers=headers)
        self.place = response.getheader("Location") or ""
        for line in response.headers.get_all("Set-Cookie") or []:
            self.cookies |= {name: one.value for name, one in SimpleCookie(line).items()}
        return self.status

    @property
    def session(self) -> str:
        return self.cookies.get("openclp_session", "")

    def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> int:
        return self.post("/login/", username=name, password=password, **more)

    def shown(self, key: str) -> str:
        """The text of the element with this id."""
        found = re.search(rf'id="{key}">([^<]*)<', self.text)
        assert found, f"no {key} in: {self.text[:2000]}"
        return html.unescape(found[1])

    def words(self) -> str:
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())


def rows(action: str, **wanted: Any) -> list[Any]:
    """Of the audit, oldest first."""
    from webmanager.accounts.models import AuditEntry

    return list(AuditEntry.objects.filter(action=action, **wanted).order_by("number"))
