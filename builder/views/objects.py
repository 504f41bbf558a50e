"""The editor: tree and form of each object, and every change of one."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from agent.catalog import specs
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.edit import Edit, EditError
from agent.clpconf.element import Element
from agent.clpconf.objects import find, of_kind
from agent.clpconf.statements import Names, order_of, policy_of
from builder import changes, documents, forms, secrets, selectors, services, tree, words
from builder.models import Draft
from builder.views import common

_EDITED = gettext_noop("%(name)s: %(what)s")
_ORDER = {"server": "server", "heartbeat": "heartbeat", "partition": "partition"}


@never_cache
@require_GET
def show(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_reading(request, key)
    path = common.path_of(request.GET.get("at", ""))
    with documents.held(draft) as document:
        context = _context(document, path)
    return common.draft_page(request, "object", draft, context)


def _context(
    document: Document, path: str, typed: dict[str, str] | None = None, errors: dict[str, str] | None = None
) -> dict[str, Any]:
    things = tree.by_kind(document.root)
    try:
        form = forms.build(document, path, specs(), typed, errors, things)
    except forms.NoSuchObjectError:
        raise Http404(_("There is nothing at %(path)s in this draft.") % {"path": path}) from None
    element = find(document.root, path)
    context: dict[str, Any] = {
        "form": form, "at": path, "tree": tree.tree(document.root, path, things), "errors": errors or {},
        "xml": secrets.masked_element(element) if element is not None else "", "one": words.ONE.get(form.kind, ""),
    }  # fmt: skip
    if form.kind == "group" and element is not None:
        context["policy"] = _policy(document, policy_of(element, Names()))
    if form.kind in _ORDER:
        context["order"] = order_of(document.root, form.kind, Names())
    if form.kind == "server" and element is not None:
        context |= _devices(element)
    if form.kind in ("resource", "monitor"):
        context |= _own(document, form)
    if form.kind == "resource":
        context["groups"] = [thing.name for thing in of_kind(document.root, "group")]
    return context


def _devices(server: Element) -> dict[str, Any]:
    there = server.named("device")
    return {
        "device_kinds": [(name, words.said(spec.label)) for name, spec in forms.DEVICES.items()],
        "device_numbers": [(one.identity, _text(one, "type") + " " + _text(one, "info")) for one in there],
    }


def _text(element: Element, name: str) -> str:
    child = element.child(name)
    return child.value if child is not None else ""


def _own(document: Document, form: forms.Form) -> dict[str, Any]:
    """What a value that holds on one server only may be of."""
    params = (param for param in form.spec.params if not param.is_list and param.path.startswith("parameters/"))
    return {
        "server_names": [thing.name for thing in of_kind(document.root, "server")],
        "own_fields": [(param.path, words.said(param.label)) for param in params if not param.kind.secret],
    }


def _policy(document: Document, stated: list[str]) -> dict[str, Any]:
    every = order_of(document.root, "server", Names())
    return {
        "stated": bool(stated),
        "servers": stated or every,
        "others": [n for n in every if stated and n not in stated],
    }


@require_POST
@sensitive_post_parameters()
def save(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_writing(request, key)
    path, revision = common.path_of(request.POST.get("at", "")), common.revision_of(request)
    stale = draft.revision != revision
    with documents.held(draft) as document:
        try:
            form = (forms.build if stale else forms.bare)(document, path, specs())
        except forms.NoSuchObjectError:
            raise Http404(_("There is nothing at %(path)s in this draft.") % {"path": path}) from None
    asked = changes.sent(request.POST, form)
    if stale:
        return common.conflict(request, draft, revision, _both(form, asked))
    errors = changes.refused(asked, form)
    if errors:
        return _again(request, draft, path, asked, errors)
    if not asked:
        common.told(request, _("Nothing was changed."))
        return redirect(common.to_object(draft, path))
    what = ", ".join(dict.fromkeys(one.param.label for one in asked))
    try:
        services.change(
            draft=draft, revision=revision, user=request.user, text=_EDITED, values={"name": form.name, "what": what},
            act=lambda work: changes.carry_out(work.edit, path, asked),
        )  # fmt: skip
    except services.StaleError:
        with documents.held(draft) as document:
            form = forms.build(document, path, specs())
        return common.conflict(request, draft, revision, _both(form, asked))
    except (EditError, DocumentError) as error:
        finding = error.finding if isinstance(error, EditError) else error.findings[0]
        place = finding.path.removeprefix(f"{path}/")
        return _again(request, draft, path, asked, {place: " ".join(words.reason(finding))})
    common.told(request, _("Saved as revision %(revision)d.") % {"revision": draft.revision})
    return redirect(common.to_object(draft, path))


def _again(
    request: HttpRequest, draft: Draft, path: str, asked: list[changes.Sent], errors: dict[str, str]
) -> HttpResponse:
    """The form with what was typed, and what is wrong with it."""
    typed = {one.path: one.value for one in asked if not one.secret}
    with documents.held(draft) as document:
        context = _context(document, path, typed, errors)
    return common.draft_page(request, "object", draft, context, 422)


def _both(form: forms.Form, asked: list[changes.Sent]) -> list[dict[str, Any]]:
    """For each field that was sent: what stands there now, and what was typed."""
    now = {one.path: one for one in form.fields()}
    rows = []
    for one in asked:
        field = now.get(one.path)
        theirs = field.value if field is not None else ""
        rows.append({
            "path": one.path, "label": words.said(one.param.label), "was": one.was, "mine": one.value,
            "theirs": theirs, "secret": one.secret, "differs": one.secret or theirs != one.was,
            "mode": "these" if one.path == "depend@*" else "",
        })  # fmt: skip
    return rows


@never_cache
def add(request: HttpRequest, key: int) -> HttpResponse:
    """One page for every kind of object: type, name, and where it belongs."""
    draft = common.draft_for_writing(request, key)
    kind = (request.POST if request.method == "POST" else request.GET).get("kind", "")
    if kind not in words.KINDS or kind == "section":
        raise BadRequest(_("Unknown kind of object."))
    error = ""
    if request.method == "POST":
        made: list[str] = []
        sent = {name: request.POST.get(name, "").strip()[:255] for name in ("name", "type", "group", "device")}
        revision = common.revision_of(request)
        text, values = gettext_noop("Added %(name)s"), {"name": sent["name"] or sent["type"]}
        try:
            services.change(draft=draft, revision=revision, user=request.user, text=text, values=values,
                            act=lambda work: made.append(_make(work.edit, kind, sent)))  # fmt: skip
            return redirect(common.to_object(draft, made[0]))
        except services.StaleError:
            return common.conflict(request, draft, revision, [])
        except EditError as refused:
            error = " ".join(words.reason(refused.finding))
    else:
        sent = {"name": "", "type": "", "group": request.GET.get("group", ""), "device": ""}
    with documents.held(draft) as document:
        context = {
            "kind": kind, "one": words.ONE[kind], "sent": sent, "error": error, "at": "", "types": _types(kind),
            "groups": [thing.name for thing in of_kind(document.root, "group")], "tree": tree.tree(document.root, ""),
        }  # fmt: skip
    return common.draft_page(request, "add", draft, context, 422 if error else 200)


def _make(edit: Any, kind: str, sent: dict[str, str]) -> str:
    name, type_name = sent["name"], sent["type"]
    if kind in ("heartbeat", "partition"):
        device = int(sent["device"]) if sent["device"].isdecimal() and len(sent["device"]) < 7 else None
        if kind == "partition":
            return str(edit.add_partition(type_name, device, name))
        return str(edit.add_heartbeat(type_name, device or 0, name))
    makers = {
        "server": lambda: edit.add_server(name),
        "group": lambda: edit.add_group(name),
        "resource": lambda: edit.add_resource(sent["group"], type_name, name),
        "monitor": lambda: edit.add_monitor(type_name, name),
        "fence": lambda: edit.add_fence(name, type_name),
    }
    return str(makers[kind]())


def _types(kind: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """(family, types) of a kind, those that run first, also among the families."""
    section = {"partition": "networkpartition"}.get(kind, kind)
    families: dict[str, list[dict[str, Any]]] = {}
    for name, spec in specs().items():
        if spec.section == section:
            row = {"name": name, "label": words.said(spec.label), "ready": spec.ready, "help": words.said(spec.help)}
            families.setdefault(words.said(spec.family), []).append(row)
    found = [(family, sorted(rows, key=lambda row: not row["ready"])) for family, rows in families.items()]
    return sorted(found, key=lambda one: (not one[1][0]["ready"], one[0]))


@never_cache
def remove(request: HttpRequest, key: int) -> HttpResponse:
    """First says what goes along."""
    draft = common.draft_for_writing(request, key)
    fields = request.POST if request.method == "POST" else request.GET
    path = common.path_of(fields.get("at", ""))
    if request.method == "POST":
        values = {"path": path.removeprefix("/root/")}
        return common.store(
            request, draft, gettext_noop("Removed %(path)s"), values, lambda work: work.edit.remove(path),
            lambda: common.to_object(draft, ""), back=common.to_object(draft, path),
        )  # fmt: skip
    with documents.held(draft) as document:
        form = forms.build(document, path, specs())
        try:
            along = Edit(document, specs()).consequences(path)
        except EditError as error:
            return common.refuse(request, draft, [error.finding], common.to_object(draft, path))
    context = {"form": form, "at": path, "along": along[:200], "more": max(0, len(along) - 200)}
    return common.draft_page(request, "remove", draft, context)


@require_POST
def rename(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_writing(request, key)
    path, new = common.path_of(request.POST.get("at", "")), request.POST.get("name", "").strip()[:255]
    values = {"old": path.rpartition("@")[2], "new": new}
    return common.store(
        request, draft, gettext_noop("Renamed %(old)s to %(new)s"), values, lambda work: work.edit.rename(path, new),
        lambda: common.to_object(draft, f"{path.rpartition('@')[0]}@{new}"), back=common.to_object(draft, path),
    )  # fmt: skip


@require_POST
def move(request: HttpRequest, key: int) -> HttpResponse:
    """A resource into another group."""
    draft = common.draft_for_writing(request, key)
    path, group = common.path_of(request.POST.get("at", "")), request.POST.get("group", "")
    name = path.rpartition("@")[2]
    return common.store(
        request, draft, gettext_noop("Moved %(name)s to %(group)s"), {"name": name, "group": group},
        lambda work: work.edit.move_resource(name, group), lambda: common.to_object(draft, path),
    )  # fmt: skip


@require_POST
def policy(request: HttpRequest, key: int) -> HttpResponse:
    """`servers`: all names in their order; `shift` "NAME:up|down|out|in" moves one of them (without JavaScript)."""
    draft = common.draft_for_writing(request, key)
    path = common.path_of(request.POST.get("at", ""))
    servers = shifted(request.POST.getlist("servers"), request.POST.get("shift", ""))
    name = path.rpartition("@")[2]
    return common.store(
        request, draft, gettext_noop("%(name)s: order of servers %(servers)s"),
        {"name": name, "servers": " → ".join(servers)}, lambda work: work.edit.set_policy(name, servers),
        lambda: common.to_object(draft, path) + "#policy", back=common.to_object(draft, path),
    )  # fmt: skip


@require_POST
def order(request: HttpRequest, key: int) -> HttpResponse:
    """Priorities of servers, heartbeats or resolvers."""
    draft = common.draft_for_writing(request, key)
    path, kind = common.path_of(request.POST.get("at", "")), request.POST.get("kind", "")
    if kind not in _ORDER:
        raise BadRequest(_("Unknown kind of object."))
    names = shifted(request.POST.getlist("servers"), request.POST.get("shift", ""))
    return common.store(
        request, draft, gettext_noop("Order: %(names)s"), {"names": " → ".join(names)},
        lambda work: work.edit.order(kind, names), lambda: common.to_object(draft, path) + "#policy",
    )  # fmt: skip


def shifted(names: list[str], shift: str) -> list[str]:
    name, _colon, way = shift.rpartition(":")
    names = list(dict.fromkeys(names))
    if way == "in" and name not in names:
        return [*names, name]
    if name not in names:
        return names
    at = names.index(name)
    if way == "out":
        return [one for one in names if one != name]
    to = max(0, min(len(names) - 1, at + {"up": -1, "down": 1}.get(way, 0)))
    names.insert(to, names.pop(at))
    return names


@require_POST
def device(request: HttpRequest, key: int) -> HttpResponse:
    """Adds a device to a server, or takes one away."""
    draft = common.draft_for_writing(request, key)
    path = common.path_of(request.POST.get("at", ""))
    sent = {name: request.POST.get(name, "").strip()[:255] for name in ("type", "number", "info", "extend", "remove")}
    if sent["remove"].isdecimal():
        return common.store(
            request, draft, gettext_noop("Removed %(path)s"), {"path": f"{path}/device@{sent['remove']}"},
            lambda work: work.edit.remove(f"{path}/device@{sent['remove']}"), lambda: common.to_object(draft, path),
        )  # fmt: skip
    server = path.rpartition("@")[2]

    def act(work: services.Work) -> None:
        number = sent["number"]
        chosen = (
            int(number) if number.isdecimal() and len(number) < 7 else free_number(work.document, server, sent["type"])
        )
        work.edit.add_device(server, sent["type"], chosen, sent["info"], sent["extend"])

    if sent["type"] not in forms.DEVICES:
        raise BadRequest(_("Unknown kind of device."))
    return common.store(
        request, draft, gettext_noop("%(name)s: device %(type)s %(info)s"),
        {"name": server, "type": sent["type"], "info": sent["info"]}, act, lambda: common.to_object(draft, path),
    )  # fmt: skip


def free_number(document: Document, server: str, kind: str) -> int:
    first, last = forms.DEVICE_IDS[kind]
    element = find(document.root, f"server@{server}")
    taken = {part.identity for part in element.named("device")} if element is not None else set()
    return next(number for number in range(first, last + 2) if str(number) not in taken)


@require_POST
def override(request: HttpRequest, key: int) -> HttpResponse:
    """A value that holds on one server only."""
    draft = common.draft_for_writing(request, key)
    path = common.path_of(request.POST.get("at", ""))
    server, field, value = (request.POST.get(name, "").strip()[:4096] for name in ("server", "path", "value"))
    spec = forms.spec_of(path, specs())
    param = spec.param(field) if spec is not None else None
    if param is None or not value:
        raise BadRequest(_("Choose a field, and write the value that it has on this server."))
    return common.store(
        request, draft, _EDITED, {"name": path.rpartition("@")[2], "what": f"{param.label} ({server})"},
        lambda work: work.edit.set(f"{path}/server@{server}/{field}", value), lambda: common.to_object(draft, path),
    )  # fmt: skip


@require_POST
def undo(request: HttpRequest, key: int) -> HttpResponse:
    return _exchange(request, key, back=True)


@require_POST
def redo(request: HttpRequest, key: int) -> HttpResponse:
    return _exchange(request, key, back=False)


def _exchange(request: HttpRequest, key: int, *, back: bool) -> HttpResponse:
    draft, revision = common.draft_for_writing(request, key), common.revision_of(request)
    try:
        step = (services.undo if back else services.redo)(draft=draft, revision=revision, user=request.user)
    except services.StaleError:
        return common.conflict(request, draft, revision, [])
    if step is not None:
        common.told(request, _(services.UNDONE if back else services.REDONE) % {"what": step.words})
    path = common.path_of(request.POST.get("at", ""))
    with documents.held(draft) as document:
        there = find(document.root, path) is not None
    return redirect(common.to_object(draft, path if there else ""))


@never_cache
@require_GET
def presence(request: HttpRequest, key: int) -> HttpResponse:
    """Polled by open pages: who else is here, and whether the page is still the newest."""
    draft = common.draft_for_reading(request, key)
    services.seen(draft=draft, user=request.user)
    shown = request.GET.get("revision", "")
    context = {
        "draft": draft, "present": selectors.present(draft, request.user),
        "stale": shown.isdecimal() and len(shown) < 10 and int(shown) != draft.revision, "shown_revision": shown,
    }  # fmt: skip
    return common.page(request, "_presence", context)


@never_cache
@require_GET
def search(request: HttpRequest, key: int) -> HttpResponse:
    """Over all objects; `kind` lists all of one kind."""
    draft = common.draft_for_reading(request, key)
    text, kind = request.GET.get("q", "")[:200], request.GET.get("kind", "")
    with documents.held(draft) as document:
        if kind in words.KINDS and not text:
            found, more = tree.listed(document.root, kind), False
        else:
            found, more = tree.search(document.root, text, specs())
    context = {"found": found, "more": more, "q": text, "kind": words.KINDS.get(kind, ""), "ones": words.ONE}
    name = "_found" if request.htmx else "search"  # type: ignore[attr-defined]
    return common.draft_page(request, name, draft, context)
