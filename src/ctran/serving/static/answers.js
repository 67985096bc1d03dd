// What a person has said of one picture. It is kept here, at once; the server hears all of it with each question.

export class Answers {
  /**
   * @param {Object<string, boolean>} known what is saved of the picture: the base of what is saved next
   * @param {Map<string, string[]>} rivals label -> the labels of its exclusive group
   */
  constructor(known, rivals) {
    this.known = new Map(Object.entries(known))
    this.rivals = rivals
    this.past = []
    this.kept = this.known // as it was when saved
    this.base = this.known // as the server has it: changes are relative to this
    this.heard = { known: this.known, past: [] } // as the server last took it
  }

  /** Nothing would be lost. */
  get saved() {
    return this.known === this.kept
  }

  get plain() {
    return Object.fromEntries(this.known)
  }

  /** Add answers, pairs of a label and true, false, or null for unknown. */
  tell(pairs) {
    const known = new Map(this.known)
    for (const [name, said] of pairs) {
      known.delete(name)
      if (said === null) continue
      if (said) for (const other of this.rivals.get(name) ?? []) if (known.get(other)) known.delete(other)
      known.set(name, said)
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
   * This was saved, and is stored as `now`, which may hold answers of others. Returns whether they are new here.
   * @param {Map<string, boolean>} known
   * @param {Map<string, boolean>} now
   */
  stored(known, now) {
    this.kept = this.base = known
    if (this.known !== known || same(known, now)) return false // the next save merges what was answered meanwhile
    this.become(now)
    this.kept = this.base = now
    return true
  }

  /**
   * Somebody else saved meanwhile: take over what is stored now, and keep the own changes but those given up.
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

  /** Whether there was something to take back. */
  undo() {
    if (!this.past.length) return false
    this.known = this.past.at(-1)
    this.past = this.past.slice(0, -1)
    return true
  }

  /** Where it stands, for `took` and `refused`. */
  get now() {
    return { known: this.known, past: this.past }
  }

  /** The server has answered about this. */
  took(now) {
    this.heard = now
  }

  /** The server will not have what is said now: go back to what it took last. */
  refused() {
    Object.assign(this, this.heard)
  }
}

const same = (one, other) => one.size === other.size && [...one].every(([name, said]) => other.get(name) === said)
