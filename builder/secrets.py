"""Passwords and the like never reach a page: the mask that stands for them, in single values and in whole files."""

from __future__ import annotations

from functools import cache

from agent.catalog import specs
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.element import Element, Piece
from agent.clpconf.fences import is_secret
from agent.clpconf.findings import Finding
from agent.clpconf.masking import MASK, secrets_of
from agent.clpconf.sections import SECTIONS, declared, whole


@cache
def _names() -> frozenset[str]:
    """Last words of the paths that are declared secret; most elements are none of them, and need no further look."""
    declarations = [*SECTIONS.values(), *specs().values()]
    params = (param for spec in declarations for param in whole(spec).params)
    return frozenset(param.path.rpartition("/")[2].partition("@")[0] for param in params if param.kind.secret)


def is_secret_at(element: Element) -> bool:
    if element.name not in _names() and not is_secret(element.name):
        return False
    found = declared(element.path, specs())
    return is_secret(element.name) if found is None else found.secret


def masked(document: Document) -> bytes:
    """The file with the mask in place of each secret; everything else keeps its place."""
    hidden = [(element, element.content) for element in secrets_of(document.root, is_secret_at)]
    try:
        for element, _content in hidden:
            element.content = [Piece("text", MASK.encode())]
        return document.write()
    finally:
        for element, content in hidden:
            element.content = content


def masked_element(element: Element) -> str:
    """One object as it stands in the file, with its indentation."""
    out: list[bytes] = []
    element.write(out)
    data = b"".join(out)
    codec = element.source.encoded.codec
    text = data.decode(codec, "replace")
    for secret in secrets_of(element, is_secret_at):
        piece = b"".join(part.raw for part in secret.content if not isinstance(part, Element)).decode(codec, "replace")
        text = text.replace(f">{piece}</{secret.name}>", f">{MASK}</{secret.name}>")
    return text


def unmask(document: Document, before: Document) -> None:
    """Puts back what the mask stands for. Raises DocumentError where nothing is known to stand there."""
    lost = []
    for element in list(secrets_of(document.root, is_secret_at)):
        if element.value != MASK:
            continue
        known = before.find(element.path)
        if known is None or not known.value:
            text = "The mask stands here, and there was no secret at this place before."
            lost.append(Finding("xml.mask", "error", element.path, text, "Write the secret itself.", element.line))
        else:
            document.set_text(element, known.text)
    if lost:
        raise DocumentError(*lost)
