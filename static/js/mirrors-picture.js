/** The mirror disks of the picture: between which servers, who serves, how each side is, how far a copy has come. */

import { h } from "./dom.js";
import { pageOf, sentence } from "./mirrors-problems.js";
import { _, fill } from "./text.js";

const COLORS = { GREEN: ["good", _("Green")], YELLOW: ["busy", _("Yellow")], RED: ["bad", _("Red")], GRAY: ["unknown", _("Gray")] };

/** Hidden where there is none. */
export function mirrorSection(status) {
  const mirrors = Object.values(status.mirrors ?? {});
  return h("section", { class: "mirror-disks", key: "mirrors", "aria-label": _("Mirror disks"), hidden: mirrors.length === 0 },
    h("h3", null, _("Mirror disks")),
    h("ul", null, mirrors.map(one)));
}

function one(mirror) {
  const [look, code, values] = mirror.facts[0];
  return h("li", { key: mirror.name, class: "mirror-disk", "data-mirror": mirror.name, "data-look": look },
    h("a", { class: "name", href: pageOf(mirror.name) }, mirror.name),
    h("span", { class: "sides-of" }, Object.keys(mirror.servers).map((server) => side(mirror, server))),
    percent(mirror),
    h("span", { class: "said-of" }, sentence(code, values)));
}

function side(mirror, server) {
  const [look, word] = COLORS[mirror.colors[server]] ?? COLORS.GRAY;
  return h("span", { key: server, class: "disk-side" }, server, " ", h("span", { class: "state", "data-look": look }, word),
    mirror.servers[server]?.active && h("span", { class: "tag" }, _("active")));
}

function percent(mirror) {
  const source = mirror.servers[mirror.source];
  if (!source?.to_copy) return null;
  const done = Math.min(100, (100 * source.copied) / source.to_copy);
  return h("span", { class: "copy" }, h("progress", { max: "100", value: String(Math.round(10 * done) / 10), "aria-label": fill(_("Recovery of %(name)s"), mirror) }),
    h("span", { class: "percent" }, fill(_("%(percent)s %"), { percent: Math.floor(done) })));
}
