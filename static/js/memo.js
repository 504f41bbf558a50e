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
    if (this.#kept.size <= keys.length) return; // Those that are not there yet are made next.
    const wanted = new Set(keys);
    for (const key of this.#kept.keys()) if (!wanted.has(key)) this.#kept.delete(key);
  }
}

/** What `make` gives for each of many objects; made anew only where another one stands than the last time. */
export class Each {
  #make;
  #objects = [];
  #made = [];

  constructor(make) {
    this.#make = make;
  }

  of(objects) {
    this.#made.length = objects.length;
    for (let at = 0; at < objects.length; at += 1) {
      if (this.#objects[at] !== objects[at]) this.#made[at] = this.#make(objects[at]);
    }
    this.#objects = objects;
    return this.#made;
  }
}

const rows = new WeakMap();

/** The same for a description that depends on one object of the status alone; `make` must be the same function. */
export function once(make, object) {
  let made = rows.get(make);
  if (!made) rows.set(make, (made = new WeakMap()));
  let found = made.get(object);
  if (found === undefined) made.set(object, (found = make(object)));
  return found;
}
