// Another user has saved the same picture since, and their labels contradict these: one of the two is chosen, for each.

const WORDS = new Map([[true, 'yes'], [false, 'no'], [null, 'unknown']])
const text = (change) => Object.entries(change).map(([name, present]) => `${name}: ${WORDS.get(present)}`).join(', ')

function side(number, value, title, change) {
  const label = document.createElement('label')
  const radio = Object.assign(document.createElement('input'), { type: 'radio', name: `conflict-${number}`, value, required: true })
  const strong = Object.assign(document.createElement('strong'), { textContent: `${title} ` })
  label.append(radio, strong, text(change))
  return label
}

/**
 * Show both sides of each conflict, and wait for a choice.
 * @param {HTMLDialogElement} dialog with a form that has an element .conflicts
 * @param {{yours: Object, saved: Object}[]} conflicts label -> yes, no, or null for unknown
 * @returns {Promise<('yours'|'saved')[]|null>} what to keep of each; null if nothing was chosen
 */
export function choose(dialog, conflicts) {
  const form = dialog.querySelector('form')
  form.querySelector('.conflicts').replaceChildren(
    ...conflicts.map(({ yours, saved }, number) => {
      const box = document.createElement('fieldset')
      box.append(side(number, 'yours', 'You', yours), side(number, 'saved', 'Another user', saved))
      return box
    }),
  )
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      const chosen = new FormData(form)
      resolve(dialog.returnValue === 'keep' ? conflicts.map((_, number) => chosen.get(`conflict-${number}`)) : null)
    }, { once: true })
    dialog.returnValue = ''
    dialog.showModal()
  })
}
