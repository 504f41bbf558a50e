"""The whole schema, asked by schemathesis: every path with good and bad input, against a manager with a cluster.

OPENCLP_SCHEMA_EXAMPLES: how many requests for each operation and kind of input (CI: few).
OPENCLP_SCHEMA_PATHS: a regular expression; only the paths that have it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
from json import loads

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from tests.webmanager.reporting import reporting
from tests.webmanager.stack import PASSWORD, config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        bool(os.environ.get("OPENCLP_TEST_DATABASE_URL")), reason="the schema is the same with any database"
    ),
]
EXAMPLES = int(os.environ.get("OPENCLP_SCHEMA_EXAMPLES", "1"))
PATHS = re.compile(os.environ.get("OPENCLP_SCHEMA_PATHS", ""))
# It never ends (tests/webmanager/test_rest_v2.py).
ENDLESS = {"v2_event_stream"}
# 501: the original's path, not in this release; 503: nobody to ask. Both are told to the client as such.
TOLD = {501, 503}
NAMES = {"groups": "failover1", "servers": "server1", "resources": "fip1", "monitors": "pidw1"}
CHECKS = (
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
)


@pytest.fixture(scope="module")
def everything(manager, people):
    """A user who may do all, and the schema."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    from builder.models import Draft, Version

    user = get_user_model().objects.create_user("schema", password=PASSWORD)
    user.groups.add(Group.objects.get(name="administrator"))
    json = {"Accept": "application/vnd.oai.openapi+json"}  # Reading YAML takes seconds.
    text = manager.call("GET", "/api/schema", user="schema", headers=json, timeout=60)[1]
    yield schemathesis.openapi.from_dict(loads(text))
    Draft.objects.filter(owner=user).delete()
    Version.objects.filter(by="schema").delete()
    user.delete()


def stored(kind):
    """A draft or a version of its own: what is asked may delete it."""
    from django.contrib.auth import get_user_model

    from agent.clpconf.archive import Bundle
    from builder import services
    from builder.models import Version

    user, bundle = get_user_model().objects.get(username="schema"), Bundle(config("schema"), {})
    if kind == "drafts":
        return services.create_draft(bundle=bundle, name="schema", user=user).pk
    return services.keep_version(
        bundle=bundle, name="schema", cluster=None, by="schema", why="a test", origin=Version.Origin.DRAFT
    ).pk


def ask(manager, cluster, operation, mode):
    """Names that exist, mostly: what comes after the first look-up is to be reached as well."""
    names = {"cluster": cluster}
    if kind := next((part for part in operation.path.split("/") if part in NAMES), ""):
        names["name"] = NAMES[kind]
    if kept := next((part for part in ("drafts", "versions") if f"/{part}/{{key}}" in operation.path), ""):
        names["key"] = stored(kept)

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case):
        if mode is GenerationMode.POSITIVE:
            known = {key: value for key, value in names.items() if key in case.path_parameters}
            case.path_parameters |= known
            case.query = {**case.query, **({"cluster": cluster} if "cluster" in case.query else {})}
        if "wait" in case.query:  # Who waits is tested elsewhere, and nobody has the time here.
            case.query = {**case.query, "wait": 0}
        secret = base64.b64encode(f"schema:{PASSWORD}".encode()).decode()
        response = case.call(
            base_url=f"http://{manager.host}", headers={"Authorization": f"Basic {secret}"}, timeout=60
        )
        wanted = CHECKS[1:] if response.status_code in TOLD else CHECKS
        case.validate_response(response, checks=list(wanted))

    one()


@pytest.mark.long
async def test_schemathesis_finds_nothing(manager, cluster, register, everything):
    def all_of_them():
        found = []
        for result in everything.get_all_operations():
            operation = result.ok()
            if operation.definition.raw["operationId"] in ENDLESS or not PATHS.search(operation.path):
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    ask(manager, cluster, operation, mode)
                except (Exception, BaseExceptionGroup) as error:
                    found.append(f"{operation.label} ({mode.value}): {type(error).__name__}: {str(error)[:1500]}")
        return found

    async with reporting(manager, cluster, register("server1")):
        found = await asyncio.to_thread(all_of_them)
    assert not found, "\n\n".join(found)


def test_every_operation_needs_to_know_who_asks(manager, everything):
    """Not by schemathesis: its wrong passwords would be counted as guesses."""
    for result in everything.get_all_operations():
        operation = result.ok()
        path = operation.path.replace("{key}", "1").format_map(
            {"cluster": "x", "name": "x", "kind": "monitor", "group": "x"}
        )
        status, _, _ = manager.call(operation.method.upper(), path, body={})
        assert (operation.label, status) in ((operation.label, 401), (operation.label, 404))
        if status == 404:  # The name of the path is no number or no id.
            assert "{key}" in operation.path
