// What a person has said of one picture. It is kept here, at once; the server hears all of it with each question.

export class Answers {
  /**
   * @param {Object<string, boolean>} known what was said before
   * @param {Map<string, string[]>} rivals label -> the labels of its exclusive group
   */
  constructor(known, rivals) {
    this.known = new Map(Object.entries(known))
    this.rivals = rivals
    this.past = []
    this.kept = this.known // as it was when saved
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
