"""What a page must be for everybody, asked of Chromium: axe, width, words, and the way of the Tab key.

`faults(page)` is a list of sentences, empty when all is well. OPENCLP_SHOTS=DIRECTORY keeps a picture of each page that
was judged, to be looked at; OPENCLP_LANGUAGES=all judges every page in both languages and both schemes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe

WIDTHS = (1400, 390)
HEIGHT = 900
_SCROLLERS = 5  # at least so many boxes may scroll and so be stops by themselves
_SHOTS = os.environ.get("OPENCLP_SHOTS", "")
_ALL = bool(_SHOTS) or os.environ.get("OPENCLP_LANGUAGES") == "all"

# Words that a reader of Japanese meets as text of the page; not what is marked as English, code, or somebody's own.
_ENGLISH = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const apart = 'script, style, template, noscript, code, .code, pre, textarea, option, datalist, '
    + '.mono, .name, .what, [lang]:not(html):not([lang=ja])';
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    if (text && !walker.currentNode.parentElement.closest(apart)) found.push(text);
  }
  for (const one of document.querySelectorAll('[aria-label], [title], [placeholder], [alt]')) {
    if (one.closest('[lang]:not(html):not([lang=ja])')) continue;
    for (const name of ['aria-label', 'title', 'placeholder', 'alt']) found.push(one.getAttribute(name) ?? '');
  }
  return found;
}"""
_SENTENCE = re.compile(r"(?<![\w/.-])[A-Za-z]?[a-z]+(?: [a-z]{2,}){1,}(?![\w/])")

# Everything that can be used by a mouse can be reached by Tab, once, in the order of the page, and shows it.
_WATCH = """() => {
  window.reached = [];
  window.noted = (event) => {
    const style = getComputedStyle(event.target);
    const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
    window.reached.push([event.target, shown]);
  };
  document.addEventListener('focusin', window.noted);
  const usable = 'a[href], button, input, select, textarea, summary, [tabindex], [contenteditable]';
  const wanted = [...document.querySelectorAll(usable)].filter((one) =>
    one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0 && one.type !== 'hidden');
  // Of radio buttons of one name only one is a stop.
  window.wanted = wanted.filter((one) => one.type !== 'radio' || one.checked
    || !wanted.some((other) => other.type === 'radio' && other.name === one.name && other.form === one.form
      && (other.checked || other.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING)));
  document.activeElement?.blur();
  window.wanted[0]?.focus({ focusVisible: true });
  return window.wanted.length;
}"""
_WALKED = """() => {
  document.removeEventListener('focusin', window.noted);
  const say = (one) => `<${one.tagName.toLowerCase()}> ${one.id || one.getAttribute('aria-label') || one.name
    || one.textContent.trim().slice(0, 40)}`;
  const round = window.reached.findIndex(([one], at) => at > 0 && one === window.reached[0][0]);
  if (round > 0) window.reached.length = round;
  const stops = window.reached.map(([one]) => one);
  const missed = window.wanted.filter((one) => one.isConnected && !stops.includes(one));
  const wrong = missed.map((one) => `Tab does not reach ${say(one)}`);
  for (const [one, shown] of window.reached) if (!shown) wrong.push(`no focus is seen at ${say(one)}`);
  stops.slice(1).forEach((one, at) => {
    const before = stops[at];
    if (before.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_PRECEDING)
      wrong.push(`Tab goes back from ${say(before)} to ${say(one)}`);
  });
  for (const one of document.querySelectorAll('[tabindex]')) if (one.tabIndex > 0) wrong.push(`own order: ${say(one)}`);
  const mouse = '[onclick], [role=button]:not(button, a[href]), a:not([href], [aria-disabled])';
  for (const one of document.querySelectorAll(mouse)) wrong.push(`only for a mouse: ${say(one)}`);
  return wrong;
}"""


def axe(page: Any, *rules: str) -> list[str]:
    """What axe finds; `rules`: only these."""
    options = {"runOnly": list(rules), "resultTypes": ["violations"]} if rules else {"resultTypes": ["violations"]}
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in Axe().run(page, options=options).response["violations"]
        for node in one["nodes"]
    ]


def too_wide(page: Any) -> list[str]:
    """Whoever reaches beyond the window, where the page scrolls sideways."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            who = page.evaluate(
                "[...document.querySelectorAll('main *')]"
                ".filter((one) => one.getBoundingClientRect().right > innerWidth)"
                ".slice(0, 3).map((one) => one.outerHTML.slice(0, 120))"
            )
            found.append(f"wider than {width}: {who}")
    return found


def english(page: Any, own: Collection[str] = ()) -> list[str]:
    """Sentences that were left in English on a Japanese page; `own`: what people wrote."""
    found = (text for text in page.evaluate(_ENGLISH) if text not in own and _is_english(text))
    return [f"left in English: {text[:120]}" for text in found]


def _is_english(text: str) -> bool:
    """Two words in a row, and no Japanese: beside it commands and the servers' own reasons stand."""
    return bool(_SENTENCE.search(text)) and not re.search("[\u3040-\u30ff\u4e00-\u9fff]", text)


def walked(page: Any) -> list[str]:
    """The whole page by Tab alone."""
    stops = page.evaluate(_WATCH)
    for count in range(1, 2 * stops + _SCROLLERS):
        page.keyboard.press("Tab")
        # What moves or scrolls may be a stop by itself; the round is over where it began.
        if count >= stops and page.evaluate("window.reached.some(([one], at) => at && one === window.reached[0][0])"):
            break
    return [str(one) for one in page.evaluate(_WALKED)]


def shared_out(names: Iterable[str], seldom: Collection[str] = ()) -> list[tuple[str, str]]:
    """(page, language): every second in Japanese, `seldom` not at all; OPENCLP_LANGUAGES=all asks for everything."""
    if _ALL:
        return [(name, language) for name in names for language in ("en", "ja")]
    asked = [name for name in names if name not in seldom]
    return [(name, "en") for name in asked[::2]] + [(name, "ja") for name in asked[1::2]]


def faults(page: Any, language: str, *, keyboard: bool = True, own: Collection[str] = ()) -> list[str]:
    """Of the page as it stands, in light and in dark; English at a desk, Japanese on a phone."""
    found = too_wide(page)
    page.set_viewport_size({"width": WIDTHS[language != "en"], "height": HEIGHT})
    if keyboard:
        found += walked(page)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    # What axe finds beside contrast is the same in light and in dark; colours are the same in both languages.
    schemes: dict[str, tuple[str, ...]] = {"light" if language == "en" else "dark": ()}
    if _ALL:
        schemes = {"light": (), "dark": ("color-contrast",)}
    for scheme, rules in schemes.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += axe(page, *rules)
    if language != "en":
        found += english(page, own)
    return found


def picture(page: Any, name: str, language: str) -> None:
    if not _SHOTS:
        return
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=Path(_SHOTS) / f"{name}-{language}-{width}-{scheme}.png", full_page=True)
