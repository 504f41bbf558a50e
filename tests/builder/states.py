"""Every page of the Builder in every state that somebody can meet: an address, or what brings it about."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.builder.servers import FakeServers, joined

GROUP, FIP, EXEC = "/root/group@failover1", "/root/resource/fip@fip1", "/root/resource/exec@exec1"
SERVER, MONITOR = "/root/server@server1", "/root/monitor/ipw@ipw1"
START = "failover1/exec1/start.sh"


class Trial:
    """Servers that can run a new configuration on trial, told by agents in a thread of their own."""

    def __init__(self, manager: Any, cluster: str, register: Callable[..., str]) -> None:
        self.cluster = cluster
        self.servers = FakeServers(cluster)
        self.wish = {
            "id": "by-a-command", "target": "b" * 16, "by": "root@clpcfctrl", "why": "memory", "confirm_s": 300.0,
        }  # fmt: skip
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(manager, register), daemon=True)

    def _run(self, manager: Any, register: Callable[..., str]) -> None:
        async def live() -> None:
            async with joined(manager, self.servers, register):
                self._ready.set()
                await self._ended.wait()

        self._loop.run_until_complete(live())

    def begin(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def runs(self) -> None:
        switch = msgspec.to_builtins(self.servers.switch(self.wish))
        self.do(self.servers.say(self.servers.trying(self.wish), config=self.wish["target"], switch=switch))

    def over(self, **how: Any) -> None:
        switch = msgspec.to_builtins(self.servers.switch(self.wish, **how))
        config = self.wish["target"] if how["state"] == "confirmed" else self.servers.origin
        self.do(self.servers.say(config=config, switch=switch))


@dataclass
class Stage:
    """`draft` belongs to no cluster; `mine` is of what the servers of `trial` run, with a change."""

    page: Any
    base: str
    draft: Any
    mine: Any
    trial: Trial
    user: Any
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def go(self, path: str) -> None:
        """`path` begins with "/", or is one of `draft`, or with "@" of `mine`."""
        path = path.format(d=f"draft:{self.draft.pk}", m=f"draft:{self.mine.pk}", c=self.trial.cluster)
        if not path.startswith("/"):
            draft, path = (self.mine, path[1:]) if path.startswith("@") else (self.draft, path)
            path = f"/builder/drafts/{draft.pk}/{path}"
        self.page.goto(self.base + path)

    def press(self, selector: str) -> None:
        with self.page.expect_navigation():
            self.page.locator(selector).click()

    def send(self, form: str, **fields: str) -> None:
        """As a form that does not check before it sends."""
        with self.page.expect_navigation():
            self.page.evaluate(
                "([action, fields]) => { const form = document.querySelector(`main form[action*='${action}']`);"
                " for (const [key, value] of Object.entries(fields)) form.elements[key].value = value;"
                " form.submit(); }",
                [form, fields],
            )

    def change(self, text: str, draft: Any = None) -> None:
        """By somebody else, or before; never to what stands there already."""
        text = f"{text}{next(self.numbers)}"
        self.act("%(name)s: %(what)s", {"name": "fip1", "what": "Comment"}, draft or self.draft,
                 lambda work: work.edit.set(f"{FIP}/comment", text))  # fmt: skip

    def act(self, text: str, values: dict[str, str], draft: Any, work: Callable[[Any], object]) -> None:
        from builder import services

        draft.refresh_from_db()
        services.change(draft=draft, revision=draft.revision, user=self.user, text=text, values=values, act=work)

    def applied(self, state: str, text: str = "", **more: Any) -> Any:
        """A row that is over, or under way without a job."""
        from django.utils import timezone

        from builder.models import Apply

        return Apply.objects.create(
            cluster=self.mine.cluster, draft=self.mine, name=self.mine.name, revision=2, conf=b"", config="b" * 16,
            user=self.user, by="alice@192.0.2.7", why="memory", state=state, text=text, beat_at=timezone.now(),
            **more,
        )  # fmt: skip

    def follow(self, row: Any) -> None:
        self.go(f"/builder/applied/{row.pk}")

    def played(self, state: str, **more: Any) -> None:
        from builder.models import WhatIf

        WhatIf.objects.create(draft=self.draft, revision=1, by="bob", after=bytes(self.draft.conf), state=state, **more)
        self.go("whatif")


def _refused_value(stage: Stage) -> None:
    stage.go(f"?at={FIP}")
    stage.page.locator("input[name='value:parameters/ip']").fill("10.0.0.777")
    stage.press("button.primary")


def _conflict(stage: Stage) -> None:
    stage.go(f"?at={FIP}")
    stage.change("theirs")
    stage.page.locator("input[name='value:comment']").fill("mine")
    stage.press("button.primary")


def _conflict_of_an_action(stage: Stage) -> None:
    stage.go(f"remove?at={GROUP}")
    stage.change("theirs")
    stage.press("button.solid")


def _stale(stage: Stage) -> None:
    """Somebody else has it open, and has changed it."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from builder.models import Presence

    stage.go(f"?at={FIP}")
    stage.change("theirs")
    bob = get_user_model().objects.get(username="bob")
    Presence.objects.update_or_create(draft=stage.draft, user=bob, defaults={"seen_at": timezone.now()})
    stage.page.locator(".presence p[data-look=warn]").wait_for()


def _rename_refused(stage: Stage) -> None:
    stage.go(f"?at={GROUP}")
    stage.send("rename", name="a b")


def _add_refused(stage: Stage) -> None:
    stage.go("add?kind=resource")
    stage.page.locator("#type").select_option("fip")
    stage.page.locator("#name").fill("fip1")
    stage.press("#work button.primary")


def _undone(stage: Stage) -> None:
    stage.change("first")
    stage.change("second")
    stage.go("history")
    stage.press("[data-undo]")
    stage.go("history")


def _broken_xml(stage: Stage) -> None:
    stage.go("xml?edit=1")
    stage.page.locator("#text").fill("<root>\n<cluster>\n</root>")
    stage.press("main form .primary")


def _script_of(data: bytes) -> Callable[[Stage], None]:
    def bring(stage: Stage) -> None:
        from agent.clpconf.archive import Script

        put = Script(data, 0o755)
        stage.act("Script %(path)s", {"path": START}, stage.draft, lambda work: work.scripts.update({START: put}))
        stage.go(f"script?path={START}")

    return bring


def _no_scripts(stage: Stage) -> None:
    from agent.clpconf.archive import Bundle
    from builder import contents

    stage.draft.scripts = contents.pack_scripts({})
    stage.draft.save()
    assert stage.draft.bundle == Bundle(stage.draft.bundle.conf, {})
    stage.go("scripts")


def _file(name: str, data: bytes) -> Callable[[Stage], None]:
    def bring(stage: Stage) -> None:
        chosen = {"name": "x.conf", "mimeType": "application/xml", "buffer": data}
        if name == "upload":
            stage.go("/builder/")
            stage.page.locator("#upload").set_input_files(chosen)
            stage.press("main form[enctype] button")
        else:
            stage.go("/builder/compare/?before={d}&after={d}")
            stage.page.locator("#file").set_input_files(chosen)
            stage.press("main form[enctype] button")

    return bring


def _wizard_wrong(stage: Stage) -> None:
    stage.go("/builder/wizard/?kind=mirror&count=2")
    stage.press("main form .primary")


def _lists(stage: Stage) -> None:
    from builder import services
    from builder.models import Version

    stage.applied("done")
    stage.applied("returned", "server2 was not heard with the new configuration")
    stage.applied("refused")
    stage.applied("failed")
    for origin in Version.Origin:
        services.keep_version(
            bundle=stage.mine.bundle, name=stage.mine.name, cluster=stage.mine.cluster, by="alice",
            why="release-2026-11-of-the-shop-as-agreed-with-its-owners", origin=origin,
        )  # fmt: skip
    stage.go("/builder/?cluster={c}")


def _apply_wrong(stage: Stage) -> None:
    """Without a reason, and the servers do not answer."""
    stage.go("@apply")
    stage.send("apply", why="")


def _apply_has_errors(stage: Stage) -> None:
    stage.act("Added %(name)s", {"name": "failover9"}, stage.mine, _group_without_a_resource)
    stage.go("@apply")


def _group_without_a_resource(work: Any) -> None:
    if work.document.root.child("cluster").child("name").value:
        work.edit.set("/root/cluster/name", "")


def _apply_while_another_is_under_way(stage: Stage) -> None:
    stage.trial.runs()
    stage.go("@apply")


def _trial(stage: Stage) -> None:
    stage.trial.runs()
    stage.go("/builder/change?cluster={c}")


def _ended(state: str, reason: str = "") -> Callable[[Stage], None]:
    def bring(stage: Stage) -> None:
        stage.trial.over(state=state, reason=reason)
        stage.go("/builder/change?cluster={c}")

    return bring


def _phase(phase: str, **how: Any) -> Callable[[Stage], None]:
    def bring(stage: Stage) -> None:
        servers = stage.trial.servers
        change = msgspec.structs.replace(servers.trying(stage.trial.wish), phase=phase, **how)
        stage.trial.do(servers.say(change))
        stage.go("/builder/change?cluster={c}")

    return bring


def _row(state: str, text: str = "", **more: Any) -> Callable[[Stage], None]:
    return lambda stage: stage.follow(stage.applied(state, text, **more))


def _delivering(stage: Stage) -> None:
    steps = {"server1": {"step": "stored"}, "server2": {"step": "sent", "percent": 40}, "server3": {"step": "asked"}}
    stage.follow(stage.applied("delivering", servers=steps, confirm_s=300))


def _banner(path: str) -> Callable[[Stage], None]:
    def bring(stage: Stage) -> None:
        stage.trial.runs()
        stage.go(path)
        stage.page.locator("clp-change aside").wait_for()

    return bring


def _live(stage: Stage) -> None:
    """The servers have nothing of what it needs."""
    stage.trial.servers.looks = True
    try:
        stage.go("@findings?live=1")
    finally:
        stage.trial.servers.looks = False


def _large(stage: Stage) -> None:
    from agent.clpconf.archive import Bundle
    from builder import services
    from tests.bench.configuration import large_conf

    made = services.create_draft(bundle=Bundle(large_conf(32, 500), {}), name="large", user=stage.user)
    try:
        stage.go(f"/builder/drafts/{made.pk}/?at=/root/cluster")
    finally:
        made.delete()


_FATES = [{"group": "failover1", "outcome": "moves", "to": "server2", "outage_s": 1.4},
          {"group": "failover2", "outcome": "restarts", "to": "server1", "outage_s": 0.7}]  # fmt: skip
_SIDE = {
    "rows": [
        {"text": "server1 fails", "covered": True, "fates": _FATES, "gaps": []},
        {"text": "network lanhb1 fails", "covered": False, "fates": [_FATES[0] | {"outcome": "split"}],
         "gaps": [{"group": "failover1", "why": "No other network is left."}]},
    ],
    "splits": [{"faults": ["lanhb1 is cut", "lanhb2 is cut"], "groups": ["failover1"]}], "proven": False,
    "assumptions": ["Clocks run at the same pace."],
}  # fmt: skip
_OTHER = {
    **_SIDE,
    "rows": [_SIDE["rows"][0], {**_SIDE["rows"][1], "covered": True, "gaps": []}],
    "splits": [],
    "proven": True,
}

STATES: dict[str, str | Callable[[Stage], None]] = {
    "lists": _lists,
    "upload-refused": _file("upload", b"<root>"),
    "wizard": "/builder/wizard/",
    "wizard-service": "/builder/wizard/?kind=service&count=3",
    "wizard-spare": "/builder/wizard/?kind=spare&count=3",
    "wizard-shared": "/builder/wizard/?kind=shared&count=2",
    "wizard-unanswered": "/builder/wizard/?kind=mirror&count=2&ask=1&cluster={c}",
    "wizard-wrong": _wizard_wrong,
    "compare": "/builder/compare/",
    "compare-same": "/builder/compare/?before={d}&after={d}",
    "compare-differs": "/builder/compare/?before={d}&after={m}",
    "compare-running": "/builder/compare/?before=running&after={m}&cluster={c}",
    "compare-refused": _file("compare", b"nothing"),
    "cluster": "?at=/root/cluster",
    "server": f"?at={SERVER}",
    "group": f"?at={GROUP}",
    "fip": f"?at={FIP}",
    "exec": f"?at={EXEC}",
    "monitor": f"?at={MONITOR}",
    "heartbeat": "?at=/root/heartbeat/lanhb@lanhb1",
    "partition": "?at=/root/networkpartition/majonp@majonp1",
    "mail": "?at=/root/cluster/mail",
    "section-unwritten": "?at=/root/pm",
    "value-refused": _refused_value,
    "large": _large,
    "stale": _stale,
    "add-server": "add?kind=server",
    "add-group": "add?kind=group",
    "add-resource": "add?kind=resource",
    "add-monitor": "add?kind=monitor",
    "add-heartbeat": "add?kind=heartbeat",
    "add-partition": "add?kind=partition",
    "add-fence": "add?kind=fence",
    "add-refused": _add_refused,
    "remove": f"remove?at={GROUP}",
    "refused": _rename_refused,
    "conflict": _conflict,
    "conflict-action": _conflict_of_an_action,
    "delete": "delete",
    "findings": "findings",
    "findings-none": "@findings?severity=error",
    "live": _live,
    "live-unanswered": "@findings?live=1",
    "plan": "@plan",
    "plan-unheard": "plan?cluster=unheard",
    "whatif": "whatif?cluster={c}",
    "whatif-waiting": lambda stage: stage.played("waiting"),
    "whatif-running": lambda stage: stage.played("running", done=7, total=60),
    "whatif-done": lambda stage: stage.played("done", result={"before": _SIDE, "after": _OTHER}),
    "whatif-failed": lambda stage: stage.played("failed", error="The worker that played it ended in the middle."),
    "history": _undone,
    "history-empty": "history",
    "xml": "xml?line=20",
    "xml-edit": "xml?edit=1",
    "xml-refused": _broken_xml,
    "scripts": "scripts",
    "scripts-none": _no_scripts,
    "script": f"script?path={START}",
    "script-new": "script?new=1&path=failover1/exec1/other.sh",
    "script-crlf": _script_of(b"#!/bin/sh\r\nexit 0\r\n"),
    "script-binary": _script_of(b"\x7fELF\xff\xfe"),
    "search": "search?q=10.0",
    "search-none": "search?q=nowhere",
    "search-kind": "search?kind=server",
    "apply-elsewhere": "apply",
    "apply": "@apply",
    "apply-wrong": _apply_wrong,
    "apply-errors": _apply_has_errors,
    "apply-occupied": _apply_while_another_is_under_way,
    "delivering": _delivering,
    "stopping": _phase("stopping"),
    "freezing": _phase("freezing"),
    "switching": _phase("switching"),
    "trial": _trial,
    "back": _phase("trying", back=True),
    "confirmed": _ended("confirmed"),
    "returned": _ended("returned", "server2 was not heard with the new configuration"),
    "no-change": "/builder/change?cluster=unheard",
    "applied-done": _row("done", confirm_s=300, health=True),
    "applied-returned": _row("returned", "server2 was not heard with the new configuration", anyway="test"),
    "applied-refused": _row("refused", "failover1 is being recovered."),
    "applied-failed": _row("failed", "server2: The disk of server2 is full."),
    "banner": _banner("/servers/?cluster={c}"),
    "banner-draft": _banner("@findings"),
    "missing": "?at=/root/group@nowhere",
    "bad": "add?kind=nothing",
}
# Much like others: asked when everything is (tests/browser/judge.py).
ALIKE = frozenset((
    "wizard-spare", "wizard-shared", "compare-same", "compare-running", "compare-refused", "exec", "monitor",
    "heartbeat", "mail", "add-server", "add-group", "add-monitor", "add-heartbeat", "conflict-action",
    "live-unanswered",
    "plan-unheard", "whatif", "whatif-waiting", "history-empty", "xml-refused", "script-new", "script-binary",
    "search-none", "apply-elsewhere", "stopping", "freezing", "back", "confirmed", "applied-refused", "applied-failed",
    "banner-draft", "large",
))  # fmt: skip
