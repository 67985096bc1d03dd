// All pictures of the folder in one line; only those in sight exist, so that tens of thousands stay smooth.

import * as client from './client.js'

const WIDTH = 70
const PAGE = 200

export class Strip {
  /**
   * @param {HTMLElement} box the element that scrolls
   * @param {(number: number) => void} open what a click does
   */
  constructor(box, open) {
    this.box = box
    this.open = open
    this.total = 0
    this.at = null
    this.entries = new Map() // number -> what the server says of the picture
    this.buttons = new Map()
    this.images = new Map() // number -> address of its thumbnail, or a promise of it
    this.spacer = Object.assign(document.createElement('div'), { className: 'spacer' })
    box.append(this.spacer)
    box.addEventListener('scroll', () => this.draw(), { passive: true })
    new ResizeObserver(() => this.draw()).observe(box)
  }

  async start(total) {
    this.total = total
    this.spacer.style.flex = `0 0 ${total * WIDTH}px`
    await this.draw()
  }

  /** What is known of the pictures in sight has changed. */
  refresh() {
    this.entries.clear()
    this.draw()
  }

  mark(number) {
    this.at = number
    const left = number * WIDTH
    if (left < this.box.scrollLeft || left + WIDTH > this.box.scrollLeft + this.box.clientWidth) {
      this.box.scrollLeft = left - this.box.clientWidth / 2 + WIDTH / 2
    }
    this.draw()
  }

  async draw() {
    const first = Math.max(0, Math.floor(this.box.scrollLeft / WIDTH) - 4)
    const last = Math.min(this.total, Math.ceil((this.box.scrollLeft + this.box.clientWidth) / WIDTH) + 4)
    for (const [number, button] of this.buttons) {
      if (number >= first && number < last) continue
      button.remove()
      this.buttons.delete(number)
    }
    for (let number = first; number < last; number++) this.button(number)
    const missing = [...this.buttons.keys()].filter((number) => !this.entries.has(number))
    if (missing.length) {
      const offset = Math.min(...missing)
      try {
        for (const entry of await client.pictures(offset, PAGE)) this.entries.set(entry.number, entry)
      } catch {
        return // the next look shows what is wrong
      }
    }
    for (const [number, button] of this.buttons) this.fill(button, number)
  }

  button(number) {
    if (this.buttons.has(number)) return
    const button = Object.assign(document.createElement('button'), { type: 'button' })
    button.style.left = `${number * WIDTH}px`
    button.append(Object.assign(document.createElement('img'), { alt: '' }))
    button.addEventListener('click', () => this.open(number))
    this.box.append(button)
    this.buttons.set(number, button)
    thumbnail(this.images, number).then((src) => { if (src) button.firstChild.src = src })
  }

  fill(button, number) {
    const entry = this.entries.get(number)
    button.setAttribute('aria-current', String(number === this.at))
    if (!entry) return
    button.title = entry.name
    button.classList.toggle('saved', entry.present > 0)
    button.classList.toggle('begun', entry.known > 0 && !entry.present)
    button.classList.toggle('broken', entry.broken)
    button.setAttribute('aria-label', `${entry.name}, ${entry.present} labels${entry.broken ? ', cannot be read' : ''}`)
  }
}

/** Address of a small picture, fetched once; null where it cannot be read. */
export function thumbnail(images, number) {
  if (!images.has(number)) images.set(number, client.file(number, 160).catch(() => null))
  return images.get(number)
}
