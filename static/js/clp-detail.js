/** Everything about the object that the address names. */

import { ClpElement } from "./clp-element.js";
import { clusterView, heartbeatView } from "./detail-cluster.js";
import { groupView, resourceView } from "./detail-group.js";
import { fenceView, resolverView } from "./detail-partition.js";
import { monitorView, serverView } from "./detail-server.js";
import { h } from "./dom.js";
import { current } from "./route.js";
import { _, fill } from "./text.js";

const VIEWS = {
  cluster: clusterView,
  server: serverView,
  group: groupView,
  resource: resourceView,
  monitor: monitorView,
  heartbeat: heartbeatView,
  resolver: resolverView,
  fence: fenceView,
};

class Detail extends ClpElement {
  view(state) {
    if (!state.status) return h("p", { class: "empty" }, _("Nothing to show yet."));
    const { kind, name } = current();
    return h("article", { class: "detail", key: `${kind}/${name}`, "data-object": `${kind}/${name}` }, VIEWS[kind](state, name) ?? missing(name));
  }
}

const missing = (name) => h("p", { class: "empty" }, fill(_("There is no %(name)s in this cluster (any more)."), { name }));

customElements.define("clp-detail", Detail);
