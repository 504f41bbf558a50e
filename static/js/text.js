/** Words, times and durations as people read them, in the language of the page. */

/** Translation of a sentence; the catalogue is Django's, loaded before the modules. */
export const _ = (text) => (globalThis.gettext ? globalThis.gettext(text) : text);

/** Plural forms: one, many, count. */
export const plural = (one, many, count) =>
  fill(globalThis.ngettext ? globalThis.ngettext(one, many, count) : count === 1 ? one : many, { count });

/** Replace `%(name)s` in a translated sentence. */
export function fill(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

const WORDS = {
  Online: _("Online"),
  Offline: _("Offline"),
  "Online Pending": _("Online Pending"),
  "Offline Pending": _("Offline Pending"),
  "Online Failure": _("Online Failure"),
  "Offline Failure": _("Offline Failure"),
  Normal: _("Normal"),
  Caution: _("Caution"),
  Error: _("Error"),
  Unused: _("Unused"),
  Suspend: _("Suspend"),
  Unknown: _("Unknown"),
  Silent: _("Silent"),
  "One way": _("One way"),
  info: _("Info"),
  warning: _("Warning"),
  error: _("Error"),
};

/** A state word of the product in the language of the page. */
export const word = (state) => WORDS[state] ?? state;

/** Age of a datum: tenths of a second while young, then coarser. */
export function age(seconds) {
  if (seconds < 10) return fill(_("%(n)s s"), { n: Math.max(0, seconds).toFixed(1) });
  return duration(seconds);
}

/** "12 s", "3 min 5 s", "2 h 7 min", "3 d 4 h". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return fill(_("%(n)s s"), { n: whole });
  if (whole < 3600) return fill(_("%(m)s min %(s)s s"), { m: Math.floor(whole / 60), s: whole % 60 });
  if (whole < 86400) return fill(_("%(h)s h %(m)s min"), { h: Math.floor(whole / 3600), m: Math.floor(whole / 60) % 60 });
  return fill(_("%(d)s d %(h)s h"), { d: Math.floor(whole / 86400), h: Math.floor(whole / 3600) % 24 });
}

const two = (number) => String(number).padStart(2, "0");

/** Local time of day, hh:mm:ss. */
export function clock(seconds) {
  const date = new Date(seconds * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Time of day with tenths: in a failover much happens within one second. */
export const stamp = (seconds) => `${clock(seconds)}.${Math.floor((seconds % 1) * 10)}`;

/** Time of day when it is today, else with the date. */
export function moment(seconds, now = Date.now() / 1000) {
  const date = new Date(seconds * 1000);
  if (date.toDateString() === new Date(now * 1000).toDateString()) return clock(seconds);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(seconds)}`;
}

/** Names joined as a person would: "a", "a and b", "a, b and c". */
export function joined(names) {
  if (names.length < 2) return names.join("");
  return fill(_("%(names)s and %(last)s"), { names: names.slice(0, -1).join(_(", ")), last: names.at(-1) });
}
