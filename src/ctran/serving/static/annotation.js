// The known labels of one picture. They are kept here; each request to the server carries all of them.

export class Annotation {
  /**
   * @param {Object<string, boolean>} known what is saved of the picture: the base of what is saved next
   * @param {Map<string, string[]>} rivals label -> the labels of its exclusive group
   */
  constructor(known, rivals) {
    this.known = new Map(Object.entries(known))
    this.rivals = rivals
    this.past = []
    this.kept = this.known // as when it was last saved
    this.base = this.known // as the server has it: changes are relative to this
    this.accepted = { known: this.known, past: [] } // as the server last accepted it
  }

  /** Whether all changes are saved. */
  get saved() {
    return this.known === this.kept
  }

  get plain() {
    return Object.fromEntries(this.known)
  }

  /** Set labels: pairs of a label and true, false, or null for unknown. */
  set(pairs) {
    const known = new Map(this.known)
    for (const [name, present] of pairs) {
      known.delete(name)
      if (present === null) continue
      if (present) for (const other of this.rivals.get(name) ?? []) if (known.get(other)) known.delete(other)
      known.set(name, present)
    }
    this.become(known)
  }

  clear() {
    this.become(new Map())
  }

  become(known) {
    this.past = [...this.past, this.known]
    this.known = known
  }

  /**
   * This was saved, and is stored as `now`, which may hold labels that other users set. Returns whether they are new here.
   * @param {Map<string, boolean>} known
   * @param {Map<string, boolean>} now
   */
  stored(known, now) {
    this.kept = this.base = known
    if (this.known !== known || same(known, now)) return false // the next save merges what has changed since
    this.become(now)
    this.kept = this.base = now
    return true
  }

  /**
   * Another user has saved since: take over what is stored now, and keep our changes except those given up.
   * @param {Map<string, boolean>} saved what is stored now
   * @param {{yours: Object, saved: Object, keep: 'yours'|'saved'}[]} decided of each conflict, which side is kept
   */
  decide(saved, decided) {
    const known = new Map(saved)
    const given = new Set(decided.filter((c) => c.keep === 'saved').flatMap((c) => Object.keys(c.yours)))
    for (const { keep, saved: theirs } of decided) if (keep === 'yours') for (const name of Object.keys(theirs)) known.delete(name)
    for (const name of new Set([...this.base.keys(), ...this.known.keys()])) {
      if (given.has(name) || this.known.get(name) === this.base.get(name)) continue
      known.delete(name)
      if (this.known.has(name)) known.set(name, this.known.get(name))
    }
    this.base = saved
    this.become(known)
  }

  /** Go one step back; false where there is none. */
  undo() {
    if (!this.past.length) return false
    this.known = this.past.at(-1)
    this.past = this.past.slice(0, -1)
    return true
  }

  /** The present state, for `accept`. */
  get now() {
    return { known: this.known, past: this.past }
  }

  /** The server accepted this state. */
  accept(now) {
    this.accepted = now
  }

  /** The server refused the present state: go back to the last one that it accepted. */
  revert() {
    Object.assign(this, this.accepted)
  }
}

const same = (one, other) => one.size === other.size && [...one].every(([name, present]) => other.get(name) === present)
