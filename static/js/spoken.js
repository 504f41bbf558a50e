/** What servers say in whole sentences, in the language of the page: known by their pattern, as webmanager/spoken.py does. */

import { h } from "./dom.js";

const element = document.getElementById("spoken");
const KNOWN = new Map(element ? JSON.parse(element.textContent) : []);
const SENTENCE_END = /(?<=[.?!]) (?=\S)/;
const LONGEST = 2000;
const MOST = 8; // sentences that are tried together
const MOST_PARTS = 24;
const PATTERNS = [...KNOWN.keys()].filter((text) => /\{\d\}/.test(text))
  .sort((one, other) => bare(other).length - bare(one).length).map((text) => [pattern(text), text]);
const told = new Map();

function bare(text) {
  return text.replace(/\{\d\}/g, "");
}

function pattern(text) {
  const parts = text.split(/\{\d\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("(.*)")}$`, "s");
}

/** An element with the sentence, marked where it stays English; `null` for none. */
export function spoken(text) {
  if (!text) return null;
  const found = said(text);
  return h("span", { lang: found === null && document.documentElement.lang !== "en" ? "en" : null }, found ?? text);
}

/**
 * For the middle of a sentence of the page: {words, english}; `english` is what stays so, for marked().
 * @param {string} [text]
 */
export function within(text) {
  if (!text) return { words: "", english: [] };
  const found = said(text);
  const stays = found === null && KNOWN.size > 0 && text.includes(" ");
  return { words: found ?? text, english: stays ? [text] : [] };
}

/** The sentence of a page, with what in it stays English told so to whoever reads it aloud. */
export function marked(text, english) {
  const [first, ...others] = english ?? [];
  const at = first ? text.indexOf(first) : -1;
  if (at < 0) return text;
  return [text.slice(0, at), h("span", { lang: "en" }, first), marked(text.slice(at + first.length), others)];
}

/** null where it is not known. */
export function said(text) {
  if (KNOWN.size === 0 || text.length > LONGEST) return null;
  if (told.size > LONGEST) told.clear();
  if (!told.has(text)) told.set(text, translated(text));
  return told.get(text);
}

function translated(text) {
  const whole = KNOWN.get(text) ?? byPattern(text);
  if (whole !== null) return whole;
  const named = /^([\w.:/[\]-]+: )(\S.*)$/s.exec(text);
  const rest = named && said(named[2]);
  if (rest) return named[1] + rest;
  return byParts(text.split(SENTENCE_END));
}

/** Sentence by sentence; some are known only together with those behind them. */
function byParts(parts) {
  if (parts.length > MOST_PARTS) return null;
  for (let count = Math.min(parts.length - 1, MOST); count > 0; count -= 1) {
    const first = said(parts.slice(0, count).join(" "));
    const rest = first && said(parts.slice(count).join(" "));
    if (rest) return first + rest;
  }
  return null;
}

function byPattern(text) {
  for (const [known, template] of PATTERNS) {
    const values = known.exec(text)?.slice(1).map(value) ?? [null];
    if (!values.includes(null)) return KNOWN.get(template).replace(/\{(\d)\}/g, (_all, number) => values[number]);
  }
  return null;
}

/** Names stay, parts of sentences are translated; what is a sentence itself has to be known. */
function value(text) {
  if (/[.?]$/.test(text) || SENTENCE_END.test(text)) return said(text.trim());
  return text.includes(" ") ? KNOWN.get(text) ?? byPattern(text) ?? text : text;
}
