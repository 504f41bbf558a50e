"""The forms say which settings have no effect in this version, and what the types are for."""

from __future__ import annotations

import html

import pytest
from django.urls import reverse

pytestmark = pytest.mark.slow
SECTION = "These settings are kept and checked, but this version does not act on them yet."
FIELD = "Kept, but this version does not act on it."


@pytest.mark.parametrize(
    ("path", "section", "field"),
    [
        ("/root/alertservice", True, False),
        ("/root/webmgr", False, True),
        ("/root/cluster", False, True),
        ("/root/openclp", False, False),
    ],
)
def test_form_says_what_has_no_effect(client, draft, path, section, field):
    page = client().get(reverse("builder-draft", args=(draft.pk,)), {"at": path}).content.decode()

    assert (SECTION in page, FIELD in page) == (section, field)


def test_page_that_adds_says_what_each_type_is_for(client, draft):
    page = html.unescape(client().get(reverse("builder-add", args=(draft.pk,)), {"kind": "resource"}).content.decode())

    assert "An address that the clients use, whichever server runs the group." in page
