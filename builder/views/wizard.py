"""The wizard: first what kind of cluster and how many servers, then one form with the rest."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from agent.clpconf.document import Document, DocumentError
from agent.clpconf.edit import EditError
from agent.clpconf.objects import of_kind
from agent.wire.inventory import Inventory
from builder import inventory, selectors, services, wizard, words
from builder.views import common
from webmanager import access, throttle

_LONGEST = 4096


@never_cache
@require_http_methods(["GET", "POST"])
def show(request: HttpRequest) -> HttpResponse:
    access.administrator_or_403(request.user)
    asked = request.POST if request.method == "POST" else request.GET
    kind, number = asked.get("kind", ""), asked.get("count", "")
    if kind not in wizard.KINDS:
        return common.page(request, "wizard", {"kinds": wizard.KINDS.items(), "count": _count(request)})
    count = int(number) if number.isdecimal() and len(number) < 4 else 0
    count = max(3 if kind == "spare" else wizard.FEWEST, min(count, 2 if kind == "mirror" else wizard.MOST))
    if request.method == "POST":
        return _finish(request, kind, count)
    return _form(request, kind, count, wizard.initial(kind, count) | _known(request), {})


def _count(request: HttpRequest) -> int:
    """As many as the chosen cluster has: it is the one that a new configuration is most often for."""
    runs = selectors.running(access.chosen_cluster(request))
    if runs is None:
        return wizard.FEWEST
    try:
        there = len(of_kind(Document.read(runs.conf).root, "server"))
    except DocumentError:
        return wizard.FEWEST
    return max(wizard.FEWEST, min(there, wizard.MOST))


def _known(request: HttpRequest) -> dict[str, str]:
    """Only a configuration with its name can be applied to a cluster that runs."""
    cluster = access.chosen_cluster(request)
    return {"cluster": cluster.name} if cluster is not None else {}


def _finish(request: HttpRequest, kind: str, count: int) -> HttpResponse:
    answers = {key: value.replace("\r\n", "\n").strip()[:_LONGEST] for key, value in request.POST.items()}
    wrong = wizard.errors(kind, count, answers)
    if not wrong:
        try:
            bundle = wizard.build(kind, count, answers)
            cluster = access.chosen_cluster(request)
            same = cluster if cluster is not None and cluster.name == answers["cluster"] else None
            draft = services.create_draft(bundle=bundle, name=answers["cluster"], user=request.user, cluster=same)
            return redirect("builder-findings", key=draft.pk)
        except EditError as error:
            wrong = {"": " ".join(words.reason(error.finding))}
    return _form(request, kind, count, answers, wrong, 422)


def _form(
    request: HttpRequest, kind: str, count: int, answers: dict[str, str], wrong: dict[str, str], status: int = 200
) -> HttpResponse:
    found, why = _inventory(request) if request.GET.get("ask") else ({}, "")
    addresses, disks = _offers(found)
    if found and request.method == "GET":
        answers |= _read(found, count)
    first = next(iter(wrong), "")
    field = lambda name: {  # noqa: E731
        "name": name, "value": answers.get(name, ""), "error": wrong.get(name, ""), "first": name == first,
    }  # fmt: skip
    context: dict[str, Any] = {
        "kind": kind, "title_of_kind": wizard.KINDS[kind], "count": count, "chosen_resolver": answers.get("resolver"),
        "cluster_field": field("cluster"), "group_field": field("group"),
        "servers": [
            {"number": n, "name": field(f"name{n}"), "first": field(f"first{n}"), "second": field(f"second{n}")}
            for n in range(1, count + 1)
        ],
        "resolvers": wizard.RESOLVERS.items(), "resolver_error": wrong.get("resolver", ""),
        "ping": field("ping"), "witness": field("witness"), "witness_port": field("witness_port"),
        "addresses": [
            {**field(f"address{n}"), "group": group}
            for n, group in enumerate(wizard.groups(kind, count, answers), 1)
        ],
        "data": field("data"), "control": field("control"), "device": field("device"), "mount": field("mount"),
        "file_systems": wizard.FILE_SYSTEMS, "fs": answers.get("fs", ""), "start": field("start"),
        "stop": field("stop"), "wrong": wrong, "offered_addresses": addresses, "offered_disks": disks,
        "asked": bool(request.GET.get("ask")), "why": why, "found": found,
    }  # fmt: skip
    return common.page(request, "wizard_form", context, status)


def _inventory(request: HttpRequest) -> tuple[dict[str, Inventory], str]:
    cluster = access.chosen_cluster(request)
    if cluster is None:
        return {}, ""
    by = f"{request.user.get_username()}@{throttle.client_address(request)}"
    return async_to_sync(inventory.ask)(cluster=cluster.name, checks={}, by=by)


def _read(found: dict[str, Inventory], count: int) -> dict[str, str]:
    """Names, and an address of each of the first two cards of each server; IPv4 where a card has both."""
    answers = {}
    for n, (name, one) in enumerate(list(found.items())[:count], 1):
        answers[f"name{n}"] = name
        of_card: dict[str, str] = {}
        for address, nic in sorted(_addresses(one), key=lambda pair: ":" in pair[0]):
            of_card.setdefault(nic, address)
        cards = [of_card[nic.name] for nic in one.nics if nic.name in of_card]
        answers |= {f"{field}{n}": address for field, address in zip(("first", "second"), cards, strict=False)}
    return answers


def _addresses(one: Inventory) -> list[tuple[str, str]]:
    """(address, card) of what can carry heartbeats; an address of one link alone means nothing without its card."""
    return [
        (address.partition("/")[0], nic.name) for nic in one.nics for address in nic.addresses
        if nic.name != "lo" and not address.endswith(("/32", "/128")) and not address.startswith("fe80:")
    ]  # fmt: skip


def _offers(found: dict[str, Inventory]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Addresses with the server and card that have them, disks with their size."""
    addresses = [(address, f"{server} {nic}") for server, one in found.items() for address, nic in _addresses(one)]
    disks = [
        (disk.path, f"{server} {disk.size_bytes / 1e9:.1f} GB")
        for server, one in found.items() for disk in one.disks if not disk.read_only
    ]  # fmt: skip
    return addresses[:500], disks[:500]
