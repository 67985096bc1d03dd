// All pictures by one label: confirm or reject many at once.

import { $ } from '../page.js'
import { thumbnail } from './strip.js'

const PAGE = 200

export class Grid {
  /** @param {{client: Object, queue: Function, percent: Function}} given requests, what stores edits, how probabilities are written */
  constructor({ client, queue, percent }) {
    Object.assign(this, { client, queue, percent })
    this.entries = []
    this.chosen = new Set()
    this.last = null // the cell that was clicked last, from which Shift chooses on
    this.images = new Map()
    this.shown = PAGE
    $('grid-label').addEventListener('change', () => this.open($('grid-label').value))
    $('grid-open-only').addEventListener('change', () => this.draw())
    $('grid-more').addEventListener('click', () => { this.shown += PAGE; this.refresh() })
    for (const [id, present] of [['grid-yes', true], ['grid-no', false], ['grid-unknown', null]]) {
      $(id).addEventListener('click', () => this.set(present))
    }
  }

  setLabels(names) {
    const select = $('grid-label')
    if ([...select.options].map((option) => option.value).join('\n') === names.join('\n')) return
    const before = select.value
    select.replaceChildren(...names.map((name) => new Option(name, name)))
    if (names.includes(before)) select.value = before
  }

  async open(name) {
    $('grid-label').value = name
    this.shown = PAGE
    this.choose([])
    await this.refresh()
  }

  async refresh() {
    if (!$('grid-label').value) return
    this.entries = await this.client.grid($('grid-label').value, 0, Math.min(1000, this.shown))
    this.draw()
  }

  draw() {
    const shown = this.entries.filter((entry) => !$('grid-open-only').checked || entry.known === null || this.chosen.has(entry.number))
    $('cells').replaceChildren(...shown.map((entry) => this.cell(entry)))
    $('grid-more').hidden = this.entries.length < this.shown || this.shown >= 1000
    this.order = shown.map((entry) => entry.number)
    this.mark()
  }

  cell({ number, name, known, probability }) {
    const button = Object.assign(document.createElement('button'), { type: 'button', title: name })
    button.dataset.number = number
    const text = known === true ? '✓ yes' : known === false ? '✕ no' : probability === null ? '' : this.percent(probability)
    button.className = known === true ? 'yes' : known === false ? 'no' : ''
    const img = Object.assign(document.createElement('img'), { alt: '' })
    button.append(img, Object.assign(document.createElement('span'), { textContent: text }))
    button.setAttribute('aria-label', `${name}: ${text || 'unknown'}`)
    button.addEventListener('click', (event) => this.click(number, event.shiftKey))
    thumbnail(this.images, number).then((src) => { if (src) img.src = src })
    return button
  }

  click(number, shift) {
    const chosen = new Set(this.chosen)
    if (shift && this.last !== null) {
      const [from, to] = [this.order.indexOf(this.last), this.order.indexOf(number)].sort((a, b) => a - b)
      for (const each of this.order.slice(Math.max(0, from), to + 1)) chosen.add(each)
    } else if (chosen.has(number)) chosen.delete(number)
    else chosen.add(number)
    this.last = number
    this.choose(chosen)
  }

  choose(numbers) {
    this.chosen = new Set(numbers)
    this.mark()
  }

  mark() {
    for (const button of $('cells').children) button.setAttribute('aria-pressed', String(this.chosen.has(Number(button.dataset.number))))
    $('chosen').textContent = this.chosen.size ? `${this.chosen.size} chosen` : ''
    for (const id of ['grid-yes', 'grid-no', 'grid-unknown']) $(id).disabled = !this.chosen.size
  }

  /** Set the label of all chosen pictures. */
  set(present) {
    if (!this.chosen.size) return undefined
    const label = $('grid-label').value
    const edits = this.entries.filter(({ number }) => this.chosen.has(number))
      .map(({ number, known }) => ({ picture: number, change: { [label]: present }, base: { [label]: known } }))
    this.choose([])
    this.last = null
    return this.queue(edits)
  }
}
