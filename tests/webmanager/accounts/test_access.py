"""Who may do what: every path of the manager and its sockets, asked by everybody who might.

A path that nobody has thought about fails here: say in RULES who may use it.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.webmanager.accounts.visitor import TOKEN
from tests.webmanager.stack import agent, browser, config, report
from tests.webmanager.test_sockets import until_known

pytestmark = pytest.mark.slow

OPEN, ANY, VIEWER, OPERATOR, ADMINISTRATOR = "open", "any", "viewer", "operator", "administrator"
NOBODY = "nobody"  # There is no such method.
ITSELF = "itself"  # Asks for something else than a person; it has its own tests.
# About the whole manager, so that no role on a single cluster is enough.
EVERYWHERE, OPERATOR_EVERYWHERE = "administrator everywhere", "operator everywhere"

# (path, GET, POST or DELETE); the first that matches. None: there is no such method.
RULES: list[tuple[str, str | None, str | None]] = [
    (r"login/", OPEN, OPEN),
    (r"login/code", ITSELF, ITSELF),
    (r"logout/|account/.*", ANY, ANY),
    (r"(users|audit|agents)/.*", EVERYWHERE, EVERYWHERE),
    (r"language/|jsi18n/", OPEN, OPEN),
    (r"join/v1|witness/.*|metrics", ITSELF, ITSELF),
    (r"operate/", OPERATOR, OPERATOR),
    (r"drills/new/", ADMINISTRATOR, ADMINISTRATOR),
    (r"drills/window|drills/unschedule|api/v2/.*/drills/check", None, ADMINISTRATOR),
    (r"api/v2/drill-schedules/<int:key>", None, ADMINISTRATOR),
    (r"(api/v2/)?drills/<uuid:key>/end", None, OPERATOR),
    (r"(api/v2/)?drills/(<uuid:key>/?)?", VIEWER, None),
    (r"api/v2/clusters/<str:cluster>/(drills|drill-schedules)", VIEWER, ADMINISTRATOR),
    (r"operations/<uuid:key>/cancel", None, OPERATOR),
    (r"logs/(<uuid:key>/(file)?)?", OPERATOR, None),
    (r"logs/start|logs/<uuid:key>/(cancel|delete)", None, OPERATOR),
    (r"api/v2/clusters/<str:cluster>/logs.*", OPERATOR, OPERATOR),
    (r"availability/<str:name>/", VIEWER, OPERATOR),
    (r"(recoveries|availability|report)/(<int:key>/)?", VIEWER, None),
    (r"demo/fault", None, ADMINISTRATOR),
    (r"builder/wizard/", EVERYWHERE, EVERYWHERE),
    (r"builder/new", None, EVERYWHERE),  # of a file, which belongs to no cluster
    (r"builder/compare/", VIEWER, VIEWER),
    (r"builder/(drafts/<int:key>|versions/<int:key>)/download", ADMINISTRATOR, None),
    (r"builder/drafts/<int:key>/(add|delete|remove)", ADMINISTRATOR, ADMINISTRATOR),
    (r"builder/drafts/<int:key>/presence", VIEWER, VIEWER),
    (r"builder/drafts/<int:key>/(save|undo|redo|keep|rename|move|order|device|override|policy)", None, ADMINISTRATOR),
    (r"builder/drafts/<int:key>/whatif/start", None, OPERATOR),
    (r"builder/drafts/<int:key>/script", ADMINISTRATOR, ADMINISTRATOR),
    (r"builder/(drafts/<int:key>/(apply|xml)|)", VIEWER, ADMINISTRATOR),
    (r"builder/(change/decide|versions/<int:key>/restore)", None, ADMINISTRATOR),
    (r"builder/.*", VIEWER, None),
    (r"api/v1/configuration/validation", None, OPERATOR_EVERYWHERE),
    (r"api/v1/configuration/(drafts|versions)", ANY, ADMINISTRATOR),  # lists what one may see
    (r"api/v1/configuration/drafts/<int:key>/file", ADMINISTRATOR, None),
    (r"api/v1/configuration/change/return", None, OPERATOR),
    (r"api/v1/configuration/.*", VIEWER, ADMINISTRATOR),
    (r"api/v1/(fences/disarm|servers/<str:name>/confirm-off|mirrors/restore/(pre|post)action)", None, ADMINISTRATOR),
    (r"api/v2/findings", None, OPERATOR_EVERYWHERE),
    (r"api/v2/(drafts|versions)", ANY, ADMINISTRATOR),  # lists what one may see
    (r"api/v2/(drafts|versions)/<int:key>/file", ADMINISTRATOR, None),
    (r"api/v2/drafts/<int:key>/whatif(/stop)?", VIEWER, OPERATOR),
    (r"api/v2/clusters/<str:cluster>/change/return", None, OPERATOR),
    (
        r"api/v2/(drafts|versions|applies)/<int:key>.*|api/v2/clusters/<str:cluster>/change/confirm",
        VIEWER,
        ADMINISTRATOR,
    ),
    (r"api/v2/clusters/<str:cluster>/(change|applies)", VIEWER, None),
    (r"api/v2/tokens.*|api/v2", ANY, ANY),
    (r"api/schema|api/v2/clusters|api/v2/search", ANY, None),
    (r"api/v2/audit", EVERYWHERE, None),
    (r"api/v2/clusters/<str:cluster>/whatif", None, VIEWER),
    (r"api/v2/clusters/<str:cluster>/events/acknowledge", None, OPERATOR),
    (r"api/v2/.*", VIEWER, OPERATOR),
    (r"api/v1/.*", VIEWER, OPERATOR),
    (r"api/\^\.\*\$", OPEN, OPEN),
    (r"overview/|search/", ANY, None),  # they show what one may see
    (r"events/acknowledge", None, OPERATOR),
    (r"(servers|groups|resources|monitors|mirrors|heartbeats|partition|history|events|operations)/.*|", VIEWER, None),
]
# What would be done when it is allowed, takes long, or is told by tests of its own: only the refusals are tried here.
NOT_DONE = re.compile(
    r"api/v1/(cluster|groups|fences|scripts)/\w+(/\w+)?|api/v2/.*/(whatif|stream)|.*whatif/start|.*/delete"
    r"|api/v1/configuration/(change/\w+|drafts(/<int:key>(/versions|/apply)?)?)|logout/|.*/apply|builder/new|account/.*"
    r"|api/v2/(drafts(/<int:key>(/versions)?)?|versions/<int:key>/restore|.*/change/\w+|drafts/<int:key>/whatif(/stop)?)"
    r"|api/v2/tokens.*|builder/drafts/<int:key>/keep|.*drills/<uuid:key>/end|api/v2/drill-schedules/.*"
    # Those of others are ended by administrators only.
    r"|(api/v2/clusters/<str:cluster>/)?logs(/start)?|.*logs/<uuid:key>(/cancel)?"
)


@dataclass
class Scene:
    cluster: str
    draft: int
    operation: str
    apply: int
    version: int
    drill: str
    schedule: int
    log: str


ROLES = (VIEWER, OPERATOR, ADMINISTRATOR)
BELOW = {ANY: VIEWER, OPERATOR: VIEWER, ADMINISTRATOR: OPERATOR}
CAPPED = "administrator where one may only look"
SINGLE, STRANGER = "operator of this cluster only", "administrator of another cluster"


@dataclass
class Person:
    name: str
    role: str  # on the cluster of the scene, from where he is
    everywhere: str
    session: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def may(self, needed: str) -> bool:
        if needed in (OPEN, ANY, NOBODY):
            return needed == OPEN or (needed == ANY and bool(self.session))
        ranks = ("", VIEWER, OPERATOR, ADMINISTRATOR)
        role, _, everywhere = needed.partition(" ")
        return ranks.index(self.everywhere if everywhere else self.role) >= ranks.index(role)

    def is_tried(self, needed: str) -> bool:
        """What the least one may, those above may too, and what one may not, those below may not."""
        role, _, everywhere = needed.partition(" ")
        if self.name in ROLES:
            return self.name in (ROLES[-1], role) if needed == NOBODY else self.name in (role, BELOW.get(role))
        if self.name == SINGLE:
            return self.may(needed) or bool(everywhere)
        return self.name != CAPPED or role in (OPERATOR, ADMINISTRATOR)


def paths() -> Iterator[tuple[str, Any]]:
    from django.urls import URLResolver, get_resolver

    def walk(resolver: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
        for one in resolver.url_patterns:
            if isinstance(one, URLResolver):
                yield from walk(one, prefix + str(one.pattern))
            else:
                yield prefix + str(one.pattern), one.callback

    return walk(get_resolver())


def rule(path: str) -> tuple[str | None, str | None]:
    for pattern, reading, writing in RULES:
        if re.fullmatch(pattern, path):
            return reading, writing
    pytest.fail(f"nobody has said who may use /{path}: add it to RULES")


def methods(path: str, view: Any) -> Iterator[tuple[str, str]]:
    """(method, who may)"""
    reading, writing = rule(path)
    there = getattr(view, "cls", None)
    if there is None:
        yield from (("GET", reading or NOBODY), ("POST", writing or NOBODY))
        return
    for name in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        if hasattr(there, name.lower()):
            needed = reading if name == "GET" else writing
            assert needed is not None, f"nobody has said who may {name} /{path}: add it to RULES"
            yield name, needed


def test_every_path_has_a_rule_and_every_rule_a_path():
    found = [path for path, _ in paths()]
    for path, view in paths():
        list(methods(path, view))
    for pattern, _, _ in RULES:
        assert any(re.fullmatch(pattern, path) for path in found), f"no path is meant by {pattern}"


def capped(name: str) -> bytes:
    """Of the machine itself all may be done, through a proxy that nobody announced it may be looked at."""
    lists = b'<security><clientlist><iprest>1</iprest><ipro name="127.0.0.0/8"/></clientlist></security>'
    return config(name).replace(b"<webmgr>", b"<webmgr>" + lists, 1)


@pytest.fixture
async def scene(manager, people, cluster, register) -> Scene:
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from agent.clpconf.archive import Bundle
    from builder import services
    from builder.models import Apply, Version
    from webmanager.drills.models import Drill, Schedule
    from webmanager.logs.models import Collection
    from webmanager.models import Cluster, Operation

    data = capped(cluster)
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello(config=base64.b64encode(data).decode(), config_hash=f"hash of {cluster}")
        await one.snapshot(report("server1"))
    owner = Cluster.objects.get(name=cluster)
    alice = get_user_model().objects.get(username="alice")
    bundle = Bundle(data, {})
    draft = services.create_draft(bundle=bundle, name=cluster, user=alice, cluster=owner)
    version = services.keep_version(
        bundle=bundle, name=cluster, cluster=owner, by="alice", why="", origin=Version.Origin.DRAFT
    )
    row = Apply.objects.create(
        cluster=owner, name=cluster, revision=1, conf=b"", config="x", by="alice@x", state=Apply.State.DONE,
        beat_at=timezone.now(),
    )  # fmt: skip
    operation = Operation.objects.create(cluster=owner, op="group_stop", target="x", by="alice@x", state="done")
    fails = {"cluster": owner, "kind": "crash", "server": "server1", "bound_s": 5, "by": "alice@x"}
    drill = Drill.objects.create(state=Drill.State.PASSED, **fails)
    schedule = Schedule.objects.create(next_at=timezone.now() + timedelta(days=1), **fails)
    log = Collection.objects.create(cluster=owner, kind="type1", limit_mib=1, by="alice@x", state="done")
    return Scene(cluster, draft.pk, str(operation.pk), row.pk, version.pk, str(drill.pk), schedule.pk, str(log.pk))


@pytest.fixture
def everybody(people, user, scene, visitor) -> list[Person]:
    from webmanager.accounts.models import ClusterRole
    from webmanager.models import Cluster

    other = Cluster.objects.create(name=f"other-{scene.cluster}")
    here = Cluster.objects.get(name=scene.cluster)
    stranger, single = user(""), user("")
    ClusterRole.objects.create(user=stranger, cluster=other, role=ADMINISTRATOR)
    ClusterRole.objects.create(user=single, cluster=here, role=OPERATOR)
    sessions = {}
    for one in (stranger, single):
        guest = visitor()
        guest.sign_in(one.get_username())
        sessions[one] = guest.session
    forwarded = (("X-Forwarded-For", "192.0.2.1"),)
    return [
        Person("anonymous", "", ""),
        Person("viewer", VIEWER, VIEWER, people["charlie"]),
        Person("operator", OPERATOR, OPERATOR, people["bob"]),
        Person("administrator", ADMINISTRATOR, ADMINISTRATOR, people["alice"]),
        Person(STRANGER, "", "", sessions[stranger]),
        Person(SINGLE, OPERATOR, "", sessions[single]),
        Person(CAPPED, VIEWER, ADMINISTRATOR, people["alice"], forwarded),
    ]


@pytest.mark.timeout(400)  # Some eight hundred requests.
def test_everybody_at_every_path(manager, scene, everybody):
    wrong = []
    for path, view in paths():
        for method, needed in methods(path, view):
            for person in everybody if needed != ITSELF else ():
                may = person.may(needed)
                if not person.is_tried(needed):
                    continue
                if may and NOT_DONE.fullmatch(path) and (method != "GET" or "stream" in path):
                    continue
                status, place = ask(manager, method, address(path, scene), person)
                if not may and person.session and status == 405:
                    continue
                if not fits(may, person, path, status, place):
                    wrong.append(f"{method} /{path} by {person.name}: {status} {place} (needs {needed})")
    assert not wrong, "\n".join(wrong)


def address(path: str, scene: Scene) -> str:
    key = (
        scene.apply
        if "appl" in path and "drafts" not in path
        else scene.version
        if "versions/<" in path
        else scene.schedule
        if "schedules/<" in path
        else scene.draft
    )
    if path.startswith("users/"):
        key = 0
    values = {
        "<int:key>": str(key), "<int:number>": "0", "<str:name>": "nosuch", "<str:cluster>": scene.cluster,
        "<uuid:key>": {"operations": scene.operation, "drills": scene.drill, "logs": scene.log}.get(
            next((part for part in path.split("/") if part in ("operations", "drills", "logs")), ""), str(uuid.uuid4())
        ), "^.*$": "nosuch",
    }  # fmt: skip
    for mark, value in values.items():
        path = path.replace(mark, value)
    return f"/{path}?cluster={scene.cluster}"


def ask(manager: Any, method: str, path: str, person: Person) -> tuple[int, str]:
    cookies = f"openclp_csrf={TOKEN}" + (f"; openclp_session={person.session}" if person.session else "")
    headers = {"Cookie": cookies, "X-CSRFToken": TOKEN, **dict(person.headers)}
    body = None
    if method != "GET":
        headers["Content-Type"] = "application/json" if "/api/" in path else "application/x-www-form-urlencoded"
        body = json.dumps({}) if "/api/" in path else "do=confirm"
    status, _, response = manager.call(method, path, body=body, headers=headers)
    return status, response.getheader("Location") or ""


def fits(may: bool, person: Person, path: str, status: int, place: str) -> bool:
    if may:
        return status not in (401, 403) and (status < 500 or status == 501) and not place.startswith("/login/")
    if not person.session:
        return status == 401 if path.startswith("api/") else (status, place[:7]) == (302, "/login/")
    # What somebody may not see is not told from what is not there.
    return status == 403 or (status == 404 and not person.role)


def test_lists_hold_what_one_may_see(manager, scene, everybody):
    for person in everybody:
        for path in ("/api/v1/configuration/drafts", "/api/v1/configuration/versions", "/api/v2/clusters"):
            if person.session:
                headers = {"Cookie": f"openclp_session={person.session}", **dict(person.headers)}
                _, found, _ = manager.call("GET", path, headers=headers)
                assert (f'"{scene.cluster}"' in json.dumps(found)) == person.may(VIEWER), (path, person.name)


async def test_everybody_at_the_live_view(manager, scene, everybody):
    for person in everybody:
        if person.headers:
            continue
        async with browser(manager, scene.cluster, person.session) as view:
            if person.may(VIEWER):
                assert (await view.read())["cluster"] == scene.cluster, person.name
                await view.socket.send('{"type":"resync"}')
                assert (await view.read())["type"] == "snapshot"
                await view.socket.send('{"type":"operate"}')
                expected = 4400
            else:
                expected = 4404 if person.session else 4401
            assert (await view.closed())[0] == expected, person.name


async def test_first_cluster_of_a_user_is_one_of_his(manager, scene, everybody):
    stranger = next(person for person in everybody if person.role == "" and person.session)
    async with browser(manager, "", stranger.session) as view:
        assert (await view.read())["cluster"] == f"other-{scene.cluster}"


async def test_role_that_is_taken_away_ends_the_live_view(manager, people, visitor, scene, user):
    import asyncio

    from webmanager.accounts.models import ClusterRole
    from webmanager.models import Cluster

    one = user("")
    ClusterRole.objects.create(user=one, cluster=Cluster.objects.get(name=scene.cluster), role=VIEWER)
    guest, alice = visitor(), visitor(people["alice"])
    guest.sign_in(one.get_username())
    async with browser(manager, scene.cluster, guest.session) as view:
        await view.read()
        form = {"do": "roles", "everywhere": "", f"on:{scene.cluster}": ""}
        assert await asyncio.to_thread(alice.post, f"/users/{one.pk}/do", **form) == 302
        assert (await view.closed())[0] == 4404


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "192.0.2.1"}])
async def test_client_list_counts_for_pages_rest_and_sockets(manager, people, cluster, register, headers):
    """Closed to all but this machine."""
    from websockets.asyncio.client import connect

    data = config(cluster).replace(
        b"<webmgr>", b"<webmgr><security><clientlist><iprest>1</iprest></clientlist></security>", 1
    )
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello(config=base64.b64encode(data).decode(), config_hash=f"hash of {cluster}")
        await one.snapshot(report("server1"))
        await until_known(manager, cluster)
        allowed = not headers
        cookie = {"Cookie": f"openclp_session={people['alice']}", **headers}
        for path in (f"/servers/?cluster={cluster}", f"/api/v1/servers?cluster={cluster}"):
            status, text, _ = await manager.acall("GET", path, headers=cookie)
            assert status == (200 if allowed else 403), path
            assert allowed or "127.0.0.1" in str(text)
        uri = f"ws://{manager.host}/ws/console/?cluster={cluster}"
        async with connect(uri, origin=f"http://{manager.host}", additional_headers=cookie, proxy=None) as socket:
            if allowed:
                assert json.loads(await socket.recv())["cluster"] == cluster
            else:
                await socket.wait_closed()
                assert socket.close_code == 4404
