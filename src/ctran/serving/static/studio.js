// The studio: a person and the model label a picture together.

import * as api from './api.js'
import { LabelList } from './list.js'

const $ = (id) => document.getElementById(id)
const PAGE = 200 // pictures that the strip asks for at once
const percent = (p) => (p > 0.995 && p < 1 ? '> 99 %' : p > 0 && p < 0.005 ? '< 1 %' : `${Math.round(100 * p)} %`)

const state = {
  about: null, // labels, groups and abilities of the server
  entries: [], // pictures to start with
  at: null, // number of the one that is open
  image: null, // {id, name}
  known: {}, // label -> true or false
  past: [], // earlier `known`
  said: null, // probabilities and labels of the last answer
  moved: {}, // label -> change of its probability by the last step
  groups: new Map(), // label -> name of its exclusive group
  asking: false,
  question: null,
  saved: true, // nothing to lose
}

let work = new AbortController() // of the question that is open; a newer one makes it pointless

// ------------------------------------------------------------------ messages

function problem(error) {
  if (error?.name === 'AbortError') return
  if (error) console.warn(error)
  $('problem').textContent = error ? error.message : ''
  $('problem').hidden = !error
}

let fading
function say(text) {
  $('status').textContent = text
  $('status').classList.add('shown')
  clearTimeout(fading)
  fading = setTimeout(() => $('status').classList.remove('shown'), 2500)
}

/** Run something that may fail, and say so where it does. */
const attempt = (action) => async (...given) => {
  try {
    const found = await action(...given)
    problem(null)
    return found
  } catch (error) {
    problem(error)
    return undefined
  }
}

// ------------------------------------------------------------------ pictures

function show(id, src) {
  const element = $(id)
  if (element.src.startsWith('blob:')) URL.revokeObjectURL(element.src)
  element.src = src
  element.hidden = false
}

function leave() {
  return state.saved || confirm('What you said of this picture is not saved. Leave it?')
}

const openFile = attempt(async (file) => {
  if (!file || !leave()) return
  const image = await api.upload(file)
  state.at = null
  await opened({ ...image, name: file.name })
})

const openNumber = attempt(async (number) => {
  if (number < 0 || number >= state.about.gallery || number === state.at || !leave()) return
  while (number >= state.entries.length) await more()
  const image = await api.openGallery(number)
  state.at = number
  await opened(image)
})

async function opened(image) {
  state.image = image
  state.known = { ...image.known }
  state.past = []
  state.saved = true
  state.said = null
  state.moved = {}
  state.question = null
  hideHeat()
  show('picture', await api.picture(image.id))
  $('picture').alt = `Picture ${image.name}, as the model sees it`
  $('pick').hidden = true
  $('caption').textContent = image.name
  $('panel').hidden = false
  marked()
  hear(image)
  $('labels').scrollTop = 0
  if (state.asking) await ask()
}

function marked() {
  for (const button of $('strip').children) {
    const entry = state.entries[Number(button.dataset.number)]
    button.classList.toggle('saved', entry.saved)
    button.setAttribute('aria-current', String(entry.number === state.at))
    button.setAttribute('aria-label', `${entry.name}${entry.saved ? ', saved' : ''}`)
    if (entry.number === state.at) button.scrollIntoView({ block: 'nearest', inline: 'center' })
  }
}

const seen = new IntersectionObserver((found) => {
  for (const { target } of found.filter((f) => f.isIntersecting)) {
    seen.unobserve(target)
    api.thumbnail(target.dataset.number).then((src) => (target.firstChild.src = src)).catch(() => target.classList.add('broken'))
    if (Number(target.dataset.number) === state.entries.length - 1 && state.entries.length < state.about.gallery) attempt(more)()
  }
})

let coming = null // pictures of the strip that are on their way

/** The next pictures of the strip: it grows as it is looked through. */
const more = () => (coming ??= addEntries().finally(() => (coming = null)))

async function addEntries() {
  const entries = await api.gallery(state.entries.length, PAGE)
  if (!entries.length) throw new Error('The server has fewer pictures than before. Load the page again.')
  state.entries.push(...entries)
  for (const entry of entries) {
    const button = document.createElement('button')
    button.type = 'button'
    button.dataset.number = entry.number
    button.title = entry.name
    button.append(Object.assign(document.createElement('img'), { alt: '' }))
    button.addEventListener('click', () => openNumber(entry.number))
    $('strip').append(button)
    seen.observe(button)
  }
  marked()
}

// -------------------------------------------------------------------- labels

/** Take in what the model says. */
function hear(said) {
  const before = state.said?.probabilities ?? {}
  state.moved = {}
  for (const [name, p] of Object.entries(said.probabilities)) {
    if (name in before && Math.abs(p - before[name]) >= 0.005) state.moved[name] = p - before[name]
  }
  state.said = said
  render()
}

function render() {
  const told = Object.keys(state.known)
  const wanted = $('search').value.trim().toLowerCase()
  const names = [...told, ...Object.keys(state.said.probabilities).filter((n) => !(n in state.known))]
  const extra = state.about.extra.filter((n) => !(n in state.known))
  list.show([...names, ...extra].filter((n) => n.toLowerCase().includes(wanted)))
  $('empty').hidden = list.names.length > 0
  $('empty').textContent = `No label has “${wanted}” in it.`
  $('undo').disabled = !state.past.length
  $('clear').disabled = !told.length
  $('told').replaceChildren(...told.map(chip))
  $('save').textContent = state.at === null ? 'Save' : 'Save and next'
}

function chip(name) {
  const yes = state.known[name]
  const button = document.createElement('button')
  button.type = 'button'
  button.className = `chip ${yes ? 'yes' : 'no'}`
  button.innerHTML = '<b aria-hidden="true"></b><span></span>'
  button.firstChild.textContent = yes ? '✓' : '✕'
  button.lastChild.textContent = name
  button.setAttribute('aria-label', `${name}: ${yes ? 'yes' : 'no'}; take back`)
  button.addEventListener('click', () => tell(name, null))
  return button
}

function fill(row, name) {
  const known = state.known[name]
  const p = state.said.probabilities[name]
  const moved = state.moved[name]
  const kind = known === true ? 'yes' : known === false ? 'no' : ''
  const group = state.groups.get(name)
  row.className = `row ${kind}${state.said.labels.includes(name) ? ' present' : ''}`
  const [bar, mark, title, change, value] = row.children
  bar.style.transform = `scaleX(${known === true ? 1 : known === false ? 0 : (p ?? 0)})`
  mark.textContent = known === true ? '✓' : known === false ? '✕' : ''
  title.textContent = name
  if (group) title.append(Object.assign(document.createElement('small'), { textContent: group }))
  value.textContent = known === true ? 'yes' : known === false ? 'no' : p === undefined ? '–' : percent(p)
  const points = Math.round(100 * (moved ?? 0))
  change.textContent = points ? `${points > 0 ? '▲' : '▼'} ${Math.abs(points)}` : ''
  change.className = `moved ${points > 0 ? 'up' : 'down'}`
  const words = known === true ? 'yes' : known === false ? 'no' : p === undefined ? 'not asked for' : `${percent(p)} likely`
  const shift = points ? `, ${points > 0 ? 'up' : 'down'} ${Math.abs(points)}` : ''
  row.setAttribute('aria-label', `${name}${group ? ` (one of ${group})` : ''}: ${words}${shift}`)
}

/** Yes, then no, then unknown. In an exclusive group a label is chosen, or left open. */
function next(name) {
  const now = state.known[name]
  if (state.groups.has(name)) return now === true ? null : true
  return now === undefined ? true : now === true ? false : null
}

const tell = (name, said) => told({ [name]: said })

/** Add answers (null: unknown), and hear what the model says then. */
const told = attempt(async (answers) => {
  const known = { ...state.known }
  for (const [name, said] of Object.entries(answers)) {
    delete known[name]
    if (said === null) continue
    const group = said ? state.groups.get(name) : undefined
    if (group) for (const other of state.about.groups[group].labels) if (known[other]) delete known[other]
    known[name] = said
  }
  await become(known, [...state.past, state.known])
})

const undo = attempt(async () => {
  if (state.past.length) await become(state.past.at(-1), state.past.slice(0, -1))
})

async function become(known, past) {
  work.abort()
  work = new AbortController()
  const { signal } = work
  const said = await api.predict(state.image.id, known, signal)
  state.known = known
  state.past = past
  state.saved = false
  hear(said)
  if (state.asking) await ask()
  if (looking) look(looking)
}

// ----------------------------------------------------------------- questions

const ask = attempt(async () => {
  const found = await api.ask(state.image.id, state.known, 1, work.signal)
  if (!state.asking) return // stopped meanwhile
  state.question = found[0] ?? null
  const { question } = state
  $('question').hidden = false
  $('answers').replaceChildren()
  if (!question) {
    $('question-text').textContent = 'Nothing is left to ask.'
    $('question-why').textContent = ''
    return
  }
  const group = question.labels.length > 1
  $('question-text').textContent = group ? `Which ${question.name}?` : `Is there “${question.name}”?`
  const answers = group
    ? question.labels.map((name) => [name, { [name]: true }])
    : [['Yes', { [question.name]: true }], ['No', { [question.name]: false }]]
  for (const [text, answer] of answers) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text })
    button.addEventListener('click', () => told(answer))
    $('answers').append(button)
  }
  const skip = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Stop asking' })
  skip.addEventListener('click', () => setAsking(false))
  $('answers').append(skip)
  const p = state.said.probabilities[question.name]
  const likely = p === undefined ? '' : `The model thinks ${percent(p)}. `
  $('question-why').textContent = `${likely}The answer is expected to leave ${question.score.toFixed(2)} nats less in doubt, of this label and the others.`
})

async function setAsking(on) {
  state.asking = on
  $('ask').setAttribute('aria-pressed', String(on))
  $('question').hidden = !on
  state.question = null
  if (on) await ask()
}

// -------------------------------------------------------------- where it looks

let looking = null
let pause
let lookWork = new AbortController()

function hideHeat() {
  looking = null
  lookWork.abort()
  clearTimeout(pause)
  $('heat').hidden = true
  if (state.image) $('caption').textContent = state.image.name
}

function look(name) {
  clearTimeout(pause)
  lookWork.abort()
  if (name === null || !state.about.attention || !state.image) return hideHeat()
  looking = name
  lookWork = new AbortController()
  const { signal } = lookWork
  pause = setTimeout(async () => {
    try {
      const src = await api.attention(state.image.id, name, state.known, signal)
      if (looking !== name) return URL.revokeObjectURL(src)
      show('heat', src)
      $('heat').alt = `Where the model looks for ${name}`
      $('caption').textContent = `Where the model looks for “${name}”`
    } catch (error) {
      problem(error)
    }
    return undefined
  }, 120)
  return undefined
}

// ------------------------------------------------------------- save and copy

function annotation() {
  const by = (said) => Object.keys(state.known).filter((n) => state.known[n] === said)
  return {
    file_name: state.image.name,
    labels: by(true),
    negatives: by(false),
    predicted: state.said.labels.filter((n) => !(n in state.known)),
    probabilities: state.said.probabilities,
  }
}

const copy = attempt(async () => {
  await navigator.clipboard.writeText(JSON.stringify(annotation(), null, 1))
  say('Copied.')
})

const save = attempt(async () => {
  const { count } = await api.save(state.image.id, state.known)
  state.saved = true
  say(`Saved; ${count} annotated.`)
  if (state.at === null) return
  state.entries[state.at].saved = true
  marked()
  if (state.at + 1 < state.about.gallery) await openNumber(state.at + 1)
})

// ------------------------------------------------------------------ the page

const list = new LabelList($('labels'), fill, { answer: (name) => tell(name, next(name)), look })

const keys = {
  ArrowDown: () => list.move(1),
  ArrowUp: () => list.move(-1),
  ArrowRight: () => openNumber((state.at ?? -1) + 1),
  ArrowLeft: () => state.at !== null && openNumber(state.at - 1),
  PageDown: () => list.move(10),
  PageUp: () => list.move(-10),
  y: () => answerKey(true),
  n: () => answerKey(false),
  u: () => answerKey(null),
  a: () => state.image && setAsking(!state.asking),
  z: undo,
  '/': () => $('search').focus(),
  l: () => look(looking ? null : list.focused),
  s: () => state.image && state.about.saves && save(),
  c: () => state.image && copy(),
  o: () => $('file').click(),
  '?': () => $('help').showModal(),
  Escape: () => (state.asking ? setAsking(false) : hideHeat()),
}

/** Of the question, unless a label has the focus. */
function answerKey(said) {
  const row = document.activeElement?.classList.contains('row') ? document.activeElement.dataset.name : null
  if (row) return tell(row, said)
  if (state.question?.labels.length === 1 && said !== null) return tell(state.question.name, said)
  return undefined
}

document.addEventListener('keydown', (event) => {
  const typing = event.target.matches('input[type=search]')
  if (typing && event.key === 'Escape') {
    $('search').value = ''
    render()
    $('search').blur()
    return
  }
  if (typing && event.key === 'ArrowDown') {
    event.preventDefault()
    list.focused = null
    list.move(0)
    return
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $('help').open || !state.about) return
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key]
  if (!action || (['ArrowDown', 'ArrowUp', 'PageDown', 'PageUp', '/'].includes(event.key) && !state.image)) return
  event.preventDefault()
  action()
})

for (const [id, action] of Object.entries({
  another: () => $('file').click(),
  ask: () => setAsking(!state.asking),
  undo,
  clear: () => attempt(() => become({}, [...state.past, state.known]))(),
  copy,
  save,
  'help-open': () => $('help').showModal(),
})) $(id).addEventListener('click', action)
$('search').addEventListener('input', render)
$('file').addEventListener('change', (event) => {
  openFile(event.target.files[0])
  event.target.value = ''
})

for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, (event) => {
    event.preventDefault()
    $('frame').classList.toggle('over', kind === 'dragover')
    if (kind === 'drop') openFile([...event.dataTransfer.files].find((f) => f.type.startsWith('image/')) ?? event.dataTransfer.files[0])
  })
}
document.addEventListener('paste', (event) => openFile([...event.clipboardData.files][0]))
window.addEventListener('beforeunload', (event) => {
  if (!state.saved) event.preventDefault()
})

await attempt(async () => {
  state.about = await api.about()
  const { labels, groups, saves } = state.about
  for (const [name, group] of Object.entries(groups)) if (group.exclusive) for (const label of group.labels) state.groups.set(label, name)
  $('model').textContent = `${labels.length.toLocaleString()} labels`
  $('save').hidden = !saves
  if (state.about.gallery) await openNumber(state.about.start)
})()
