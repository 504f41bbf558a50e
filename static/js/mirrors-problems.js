/** What is to be said of mirror disks, in the sentences that the page brings along in its language (agent/wire/mirror.py). */

import { fill, moment } from "./text.js";

const SENTENCES = JSON.parse(document.getElementById("mirror-sentences")?.textContent ?? "{}");
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** "12.4 MiB". */
export function size(bytes) {
  let [count, unit] = [bytes, 0];
  for (; count >= 1024 && unit < UNITS.length - 1; unit += 1) count /= 1024;
  return `${count.toFixed(unit === 0 || count >= 100 ? 0 : 1)} ${UNITS[unit]}`;
}

const shown = ([key, value]) => [key, key.endsWith("_bytes") ? size(value) : key.endsWith("_at") ? moment(value) : value];

/** A fact in words; "" where there are none for it. */
export const sentence = (code, values) => fill(SENTENCES[code] ?? "", Object.fromEntries(Object.entries(values).map(shown)));

/** The page of a mirror disk; the cluster is kept by here.js. */
export const pageOf = (name) => `/mirrors/${encodeURIComponent(name)}/`;

/** As problems.js has them: what is well is left out. */
export function mirrorProblems(status) {
  return Object.values(status.mirrors ?? {}).flatMap((mirror) =>
    mirror.facts.filter(([look]) => look !== "good").map(([look, code, values]) => ({
      key: `mirror/${mirror.name}/${code}/${values.server ?? ""}`,
      look: look === "unknown" ? "warn" : look,
      kind: "resource",
      name: mirror.name,
      href: pageOf(mirror.name),
      text: `${mirror.name}: ${sentence(code, values) || code}`,
      since: values.since_at ?? 0,
      next: sentence(`${code}_next`, values),
    })),
  );
}
