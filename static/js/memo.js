/** Descriptions that are made once and given again while what they are made of is the same: nothing is drawn for them. */

export class Memo {
  #kept = new Map();

  /** What `make` gave for these inputs before, else anew. `key` is one thing of what is drawn. */
  get(key, inputs, make) {
    const known = this.#kept.get(key);
    if (known && known.inputs.length === inputs.length && inputs.every((value, index) => value === known.inputs[index])) {
      return known.made;
    }
    const made = make();
    this.#kept.set(key, { inputs, made });
    return made;
  }

  /** Forget what is not there any more. */
  keepOnly(keys) {
    const wanted = new Set(keys);
    for (const key of this.#kept.keys()) if (!wanted.has(key)) this.#kept.delete(key);
  }
}

const rows = new WeakMap();

/** The same for a description that depends on one object of the status alone; `make` must be the same function. */
export function once(make, object) {
  if (!rows.has(make)) rows.set(make, new WeakMap());
  const made = rows.get(make);
  if (!made.has(object)) made.set(object, make(object));
  return made.get(object);
}
