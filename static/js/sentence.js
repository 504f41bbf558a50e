/** Sentences of events in the language of the page; the templates are the manager's own, brought along by the page. */

const element = document.getElementById("sentences");
const TEMPLATES = element ? JSON.parse(element.textContent) : {};

/** {text, foreign}: `foreign` when the event has no sentence in the language of the page. */
export function sentence(note) {
  const template = TEMPLATES[`${note.module}:${note.event}`];
  if (template) return { text: fillTemplate(template, note.params), foreign: false };
  return { text: note.text, foreign: document.documentElement.lang !== "en" };
}

/** As agent/messages/template.py: %1 is a parameter; [in brackets] falls away when its parameter is missing. */
export function fillTemplate(template, params) {
  const given = (number) => params[number - 1] || "";
  const complete = (part) => [...part.matchAll(/%([1-9])/g)].every(([, number]) => given(number));
  const kept = template.replace(/\[([^[\]]*)\]/g, (_, part) => (complete(part) ? part : ""));
  return kept.replace(/%([1-9])/g, (_, number) => given(number) || "?");
}
