// A list of which only the rows in sight exist, so that thousands of labels stay smooth.

const HEIGHT = 34
const BEYOND = 6

export class LabelList {
  /**
   * @param {HTMLElement} box the element that scrolls
   * @param {(row: HTMLButtonElement, name: string) => void} fill sets a row's content
   * @param {{click: Function, rest: Function}} on what happens on a click, and when the pointer comes (its label) and goes (null)
   */
  constructor(box, fill, on) {
    this.box = box
    this.fill = fill
    this.names = []
    this.rows = new Map()
    this.focused = null
    this.spacer = document.createElement('li')
    this.spacer.className = 'spacer'
    this.spacer.setAttribute('role', 'presentation')
    box.append(this.spacer)
    box.addEventListener('scroll', () => this.draw(), { passive: true })
    new ResizeObserver(() => this.draw()).observe(box)
    this.on = on
  }

  /** Show these names in this order; rows that stay keep their element, so that bars move instead of jumping. */
  show(names) {
    this.names = names
    this.spacer.style.height = `${names.length * HEIGHT}px`
    this.box.style.height = `${Math.min(names.length * HEIGHT, 2000)}px`
    const most = Math.max(0, names.length * HEIGHT - this.box.clientHeight) // rows from before still extend further down
    if (this.box.scrollTop > most) this.box.scrollTop = most
    this.draw(true)
  }

  draw(all = false) {
    const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - BEYOND)
    const last = Math.min(this.names.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / HEIGHT) + BEYOND)
    const wanted = new Set(this.names.slice(first, last))
    if (this.focused !== null && this.names.includes(this.focused)) wanted.add(this.focused)
    for (const [name, row] of this.rows) {
      if (wanted.has(name)) continue
      row.parentElement.remove()
      this.rows.delete(name)
    }
    const place = all || wanted.size !== this.rows.size ? new Map(this.names.map((name, i) => [name, i])) : null
    for (const name of wanted) {
      let row = this.rows.get(name)
      const fresh = !row
      if (fresh) row = this.add(name)
      if (place) {
        row.style.top = `${place.get(name) * HEIGHT}px`
        row.parentElement.setAttribute('aria-posinset', place.get(name) + 1)
        row.parentElement.setAttribute('aria-setsize', this.names.length)
      }
      if (fresh || all) this.fill(row, name)
    }
    this.reach()
  }

  add(name) {
    const item = document.createElement('li')
    const row = document.createElement('button')
    row.type = 'button'
    row.className = 'row'
    row.dataset.name = name
    row.tabIndex = -1
    row.innerHTML =
      '<span class="fill" aria-hidden="true"></span><span class="line" aria-hidden="true"></span><span class="mark" aria-hidden="true"></span><span class="name"></span>' +
      '<span class="moved"></span><span class="value"></span>'
    row.addEventListener('click', () => this.on.click(name))
    row.addEventListener('pointerenter', () => this.on.rest(name))
    row.addEventListener('pointerleave', () => this.on.rest(null))
    row.addEventListener('focus', () => {
      this.focused = name
      this.reach()
    })
    item.append(row)
    this.box.append(item)
    this.rows.set(name, row)
    return row
  }

  /** Exactly one row can be reached with the tab key. */
  reach() {
    const name = this.focused !== null && this.rows.has(this.focused) ? this.focused : this.names.find((n) => this.rows.has(n))
    for (const [other, row] of this.rows) row.tabIndex = other === name ? 0 : -1
  }

  /** Move the focus by so many rows, or to the first. */
  move(steps) {
    if (!this.names.length) return
    const at = this.focused === null ? -1 : this.names.indexOf(this.focused)
    this.focus(this.names[Math.max(0, Math.min(this.names.length - 1, at < 0 ? 0 : at + steps))])
  }

  focus(name) {
    const top = this.names.indexOf(name) * HEIGHT
    this.focused = name
    if (top < this.box.scrollTop) this.box.scrollTop = top
    else if (top + HEIGHT > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + HEIGHT - this.box.clientHeight
    this.draw()
    this.rows.get(name)?.focus({ preventScroll: true })
  }
}
