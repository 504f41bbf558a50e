"""Paths of signing in, of people, of the audit and of agents."""

from __future__ import annotations

from django.urls import path

from webmanager.accounts.views import account, agents, audit, signing, users

urlpatterns = [
    path("login/", signing.login, name="login"),
    path("login/code", signing.second_factor, name="second-factor"),
    path("logout/", signing.logout, name="logout"),
    path("account/", account.show, name="account"),
    path("account/password", account.password, name="account-password"),
    path("account/second-factor", account.second_factor, name="account-second-factor"),
    path("account/end-session", account.end_session, name="account-end-session"),
    path("account/tokens", account.tokens, name="account-tokens"),
    path("users/", users.listing, name="users"),
    path("users/<int:key>/", users.show, name="user"),
    path("users/<int:key>/do", users.act, name="user-act"),
    path("audit/", audit.show, name="audit"),
    path("audit/export", audit.export, name="audit-export"),
    path("agents/", agents.listing, name="agents"),
    path("agents/token", agents.make_token, name="agents-token"),
    path("agents/revoke", agents.revoke, name="agents-revoke"),
    path("join/v1", agents.join, name="join"),
]
