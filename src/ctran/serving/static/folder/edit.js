// One label: its name, what it is the same as, and its rules.

import { $ } from '../page.js'

export class LabelDialog {
  /** @param {{client: Object, about: Function, queue: Function}} given requests, what the folder is now, what runs a change */
  constructor({ client, about, queue }) {
    Object.assign(this, { client, about, queue })
    $('edit-name').addEventListener('change', () => this.fill())
    const name = () => $('edit-name').value
    for (const [id, action] of Object.entries({
      'edit-rename': async () => { await this.client.rename(name(), $('edit-to').value); return $('edit-to').value.trim() },
      'edit-merge': async () => { const into = $('edit-into').value; await this.client.merge(name(), into); return into },
      'edit-delete': () => this.client.remove(name()),
      'edit-implies': () => this.rules((groups, implied) => { implied[name()] = [...(implied[name()] ?? []), $('edit-parent').value] }),
      'edit-exclusive': () => this.rules((groups) => this.join(groups, name(), $('edit-rival').value)),
    })) $(id).addEventListener('click', () => this.run(action))
  }

  open(name) {
    if (!this.about().labels.length) return
    $('edit').showModal()
    this.fill(name)
  }

  /** Show a label, by default the chosen one. */
  fill(name = $('edit-name').value) {
    const names = this.about().labels.map((label) => label.name)
    const options = (list) => list.map((each) => new Option(each, each))
    $('edit-name').replaceChildren(...options(names))
    $('edit-name').value = names.includes(name) ? name : names[0]
    const now = $('edit-name').value
    const others = names.filter((each) => each !== now)
    for (const id of ['edit-into', 'edit-parent', 'edit-rival']) $(id).replaceChildren(...options(others))
    for (const id of ['edit-merge', 'edit-implies', 'edit-exclusive']) $(id).disabled = !others.length
    $('edit-to').value = now ?? ''
    this.list(now)
    this.problem(null)
  }

  /** The rules of a label, each with what takes it back. */
  list(name) {
    const { groups, implications } = this.about()
    const found = [
      ...(implications[name] ?? []).map((parent) => [`implies “${parent}”`, (g, implied) => { implied[name] = implied[name].filter((each) => each !== parent) }]),
      ...Object.entries(groups).filter(([, labels]) => labels.includes(name)).map(([group, labels]) => [
        `exactly one of: ${labels.join(', ')}`,
        (all) => { if (labels.length > 2) all[group] = labels.filter((each) => each !== name); else delete all[group] },
      ]),
    ]
    $('edit-rules').replaceChildren(...found.map(([text, change]) => {
      const item = Object.assign(document.createElement('li'), { textContent: text })
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Take back' })
      button.addEventListener('click', () => this.run(() => this.rules(change)))
      item.append(button)
      return item
    }))
  }

  /** Change a copy of the rules, and store it. */
  async rules(change) {
    const { groups, implications } = structuredClone({ groups: this.about().groups, implications: this.about().implications })
    change(groups, implications)
    await this.client.rules(groups, implications)
  }

  /** Put two labels into one exclusive group. */
  join(groups, one, other) {
    const group = Object.keys(groups).find((each) => groups[each].includes(one) || groups[each].includes(other)) ?? one
    groups[group] = [...new Set([...(groups[group] ?? []), one, other])]
  }

  async run(action) {
    try {
      const name = await this.queue(action)
      if (this.about().labels.length) this.fill(typeof name === 'string' ? name : undefined)
      else $('edit').close()
    } catch (error) {
      this.problem(error)
    }
  }

  problem(error) {
    $('edit-problem').textContent = error ? error.message : ''
    $('edit-problem').hidden = !error
  }
}
