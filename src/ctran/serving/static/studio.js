// The studio: a person and the model label a picture together.

import { Annotation } from './annotation.js'
import * as api from './api.js'
import { choose } from './conflict.js'
import { LabelList } from './list.js'
import { $, attempt, notify, percent, problem } from './page.js'

const PAGE = 200 // pictures that the strip asks for at once
const TRIES = 50 // pictures that cannot be opened and are passed by, one after the other

const state = {
  about: null, // labels, groups and abilities of the server
  entries: [], // pictures to start with
  at: null, // number of the one that is open
  files: [], // pictures that were dropped or chosen together
  place: null, // of the one of these that is open
  image: null, // {id, name}; null while one is opened
  annotation: null, // its known labels
  prediction: null, // probabilities by label, the most probable first, and the set of labels that are present
  moved: new Map(), // label -> change of its probability by the last step
  places: new Map(), // label -> its place in the label space
  thresholds: new Map(), // label -> from where on it is present, where the model has its own
  groups: new Map(), // label -> name of its exclusive group
  rivals: new Map(), // label -> labels of its exclusive group
  asking: false,
  question: null,
}

/** Cancel the requests of a controller, and return a new one. */
function restart(controller) {
  controller.abort()
  return new AbortController()
}

let work = new AbortController() // of the question that is open; a newer one makes it pointless
let opening = new AbortController() // of the picture that is opened

// ------------------------------------------------------------------ pictures

function show(id, src) {
  const element = $(id)
  if (element.src.startsWith('blob:')) URL.revokeObjectURL(element.src)
  element.src = src
  element.hidden = false
}

function leave() {
  return !state.image || state.annotation.saved || confirm('Your labels of this picture are not saved. Leave it?')
}

/** Request a picture. Until it is there no label can be set, as it would be set of another picture. */
async function open(number, name, get) {
  const { at, image: old } = state
  work = restart(work)
  opening = restart(opening)
  const { signal } = opening
  Object.assign(state, { at: number, image: null, question: null })
  hideHeat()
  $('panel').inert = true
  marked()
  try {
    const image = await get(signal)
    const src = await api.picture(image.id, signal)
    state.image = { id: image.id, name: name ?? image.name }
    state.annotation = new Annotation(image.annotation, state.rivals)
    state.prediction = null
    show('picture', src)
    $('picture').alt = `Picture ${state.image.name}`
    $('pick').hidden = true
    $('caption').textContent = state.image.name
    $('place').textContent = state.place === null || state.files.length < 2 ? '' : `${state.place + 1} of ${state.files.length}`
    $('panel').hidden = $('panel').inert = false
    receive(image)
    $('labels').scrollTop = 0
    if (Object.keys(image.known).length < state.annotation.known.size) await predict() // an upload that was annotated before
  } catch (error) {
    if (error.name === 'AbortError') throw error // another is opened
    if (number === null && old) {
      Object.assign(state, { at, image: old }) // what was open stays, and is predicted again
      $('panel').inert = false
      marked()
      attempt(predict)().then(() => problem(error))
    } else {
      $('picture').hidden = $('panel').hidden = true
      $('caption').textContent = `${name ?? state.entries[number]?.name ?? `Picture ${number + 1}`} cannot be shown.`
    }
    throw error
  }
  if (state.asking) await ask()
}

/** Pictures that were dropped or chosen: the first is opened, the others follow when it is saved or passed by. */
const openFiles = attempt(async (files) => {
  if (!files.length || !leave()) return
  state.files = files
  await openFile(0)
})

/** Open one of the files, or the next of them that can be opened. */
const openFile = (place) =>
  firstOf(place, state.files.length, async (number) => {
    const file = state.files[number]
    state.place = number
    await open(null, file.name, (signal) => api.upload(file, signal))
  })

async function goTo(number) {
  if (number < 0 || number >= state.about.gallery || (number === state.at && state.image) || !leave()) return
  await openEntry(number)
}

const openNumber = attempt(goTo)

async function openEntry(number) {
  if (number >= state.entries.length) reach(number).catch(problem)
  state.place = null
  await open(number, null, (signal) => api.openGallery(number, signal))
}

/** Open the picture of this number, or the next that can be opened; then show what was wrong with those before. */
async function firstOf(number, end, openOne) {
  const wrong = []
  for (; number < Math.min(end, number + TRIES); number++) {
    try {
      await openOne(number)
      break
    } catch (error) {
      if (![413, 415, 422].includes(error.status)) throw error
      wrong.push(error)
    }
  }
  if (wrong.length) throw wrong.length === 1 ? wrong[0] : new Error(wrong.map((error) => error.message).join(' '))
}

/** The picture after the open one, or before it. */
const step = attempt(async (by) => {
  const place = state.place === null ? -1 : state.place + by
  if (place < 0 || place >= state.files.length) return goTo(state.at === null ? (by > 0 ? 0 : -1) : state.at + by)
  if (leave()) await openFile(place)
  return undefined
})

function marked() {
  for (const button of $('strip').children) mark(button)
}

function mark(button) {
  const entry = state.entries[Number(button.dataset.number)]
  button.classList.toggle('saved', entry.saved)
  button.setAttribute('aria-current', String(entry.number === state.at))
  button.classList.toggle('broken', Boolean(entry.broken))
  button.setAttribute('aria-label', `${entry.name}${entry.saved ? ', saved' : ''}${entry.broken ? ', cannot be shown' : ''}`)
  if (entry.number === state.at) button.scrollIntoView({ block: 'nearest', inline: 'center' })
}

const seen = new IntersectionObserver((found) => {
  for (const { target } of found.filter((f) => f.isIntersecting)) {
    seen.unobserve(target)
    thumbnail(target)
    if (Number(target.dataset.number) === state.entries.length - 1 && state.entries.length < state.about.gallery) more().catch(problem)
  }
})

async function thumbnail(button) {
  try {
    button.firstChild.src = await api.thumbnail(button.dataset.number)
    await button.firstChild.decode()
  } catch {
    state.entries[Number(button.dataset.number)].broken = true
    mark(button)
  }
}

let coming = null // pictures of the strip that are on their way

/** The next pictures of the strip: it grows as it is scrolled. */
const more = () => (coming ??= addEntries().finally(() => (coming = null)))

/** Let the strip grow until it has this picture. */
async function reach(number) {
  while (number >= state.entries.length) await more()
}

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
    mark(button)
    seen.observe(button)
  }
}

// -------------------------------------------------------------------- labels

/** Show a prediction. */
function receive({ probabilities, labels }) {
  const before = state.prediction?.probabilities
  const place = state.places
  const pairs = Object.entries(probabilities).sort(([a, p], [b, q]) => q - p || place.get(a) - place.get(b))
  state.prediction = { probabilities: new Map(pairs), labels: new Set(labels) }
  state.moved = new Map()
  for (const [name, p] of pairs) {
    const was = before?.get(name)
    if (was !== undefined && Math.abs(p - was) >= 0.005) state.moved.set(name, p - was)
  }
  render()
  $('labels').setAttribute('aria-busy', 'false')
}

function render() {
  const { known, past } = state.annotation
  const wanted = $('search').value.trim().toLowerCase()
  const rest = [...state.prediction.probabilities.keys(), ...state.about.extra, ...state.about.labels]
  const names = [...known.keys(), ...new Set(rest.filter((name) => !known.has(name)))]
  list.show(names.filter((name) => name.toLowerCase().includes(wanted)))
  $('empty').hidden = list.names.length > 0
  $('empty').textContent = `No label contains “${wanted}”.`
  $('undo').disabled = !past.length
  $('clear').disabled = !known.size
  $('known').replaceChildren(...[...known.keys()].map(chip))
  $('save').textContent = state.at === null && !waiting() ? 'Save' : 'Save and next'
}

/** Whether further files wait. */
const waiting = () => state.place !== null && state.place + 1 < state.files.length

function chip(name) {
  const yes = state.annotation.known.get(name)
  const button = document.createElement('button')
  button.type = 'button'
  button.className = `chip ${yes ? 'yes' : 'no'}`
  button.innerHTML = '<b aria-hidden="true"></b><span></span>'
  button.firstChild.textContent = yes ? '✓' : '✕'
  button.lastChild.textContent = name
  button.setAttribute('aria-label', `${name}: ${yes ? 'yes' : 'no'}; take back`)
  button.addEventListener('click', () => setLabel(name, null))
  return button
}

function fill(row, name) {
  const known = state.annotation.known.get(name)
  const p = state.prediction.probabilities.get(name)
  const moved = state.moved.get(name)
  const kind = known === true ? 'yes' : known === false ? 'no' : ''
  const group = state.groups.get(name)
  row.className = `row ${kind}${state.prediction.labels.has(name) ? ' present' : ''}`
  const [bar, line, mark, title, change, value] = row.children
  line.hidden = known !== undefined || !state.thresholds.has(name)
  line.style.left = `${100 * (state.thresholds.get(name) ?? 0.5)}%`
  bar.style.transform = `scaleX(${known === true ? 1 : known === false ? 0 : (p ?? 0)})`
  mark.textContent = known === true ? '✓' : known === false ? '✕' : ''
  title.textContent = name
  if (group) title.append(Object.assign(document.createElement('small'), { textContent: group }))
  value.textContent = known === true ? 'yes' : known === false ? 'no' : p === undefined ? '–' : percent(p)
  const points = Math.round(100 * (moved ?? 0))
  change.textContent = points ? `${points > 0 ? '▲' : '▼'} ${Math.abs(points)}` : ''
  change.className = `moved ${points > 0 ? 'up' : 'down'}`
  const words = known === true ? 'yes' : known === false ? 'no' : p === undefined ? 'not predicted' : `${percent(p)} likely`
  const shift = points ? `, ${points > 0 ? 'up' : 'down'} ${Math.abs(points)}` : ''
  row.setAttribute('aria-label', `${name}${group ? ` (one of ${group})` : ''}: ${words}${shift}`)
}

/** Yes, then no, then unknown. In an exclusive group a label is chosen, or left open. */
function next(name) {
  const now = state.annotation.known.get(name)
  if (state.groups.has(name)) return now === true ? null : true
  return now === undefined ? true : now === true ? false : null
}

const setLabel = (name, present) => setLabels([[name, present]])

/** Set labels (null: unknown), and predict the others. */
const setLabels = attempt(async (pairs) => {
  if (!state.image) return
  state.annotation.set(pairs)
  await predict()
})

const undo = attempt(async () => {
  if (state.image && state.annotation.undo()) await predict()
})

const clear = attempt(async () => {
  if (!state.image) return
  state.annotation.clear()
  await predict()
})

/** Known labels are shown at once; the prediction given them follows. */
async function predict() {
  work = restart(work)
  $('question').inert = true // it has an answer; the next one follows
  $('labels').setAttribute('aria-busy', 'true')
  render()
  const { signal } = work
  const { image, annotation } = state
  const { now } = annotation
  try {
    const found = await api.predict(image.id, annotation.plain, signal)
    annotation.accept(now)
    receive(found)
  } catch (error) {
    if (error.status === 422) {
      annotation.revert() // the labels contradict each other
      render()
    }
    if (error.name !== 'AbortError') {
      $('question').inert = false
      $('labels').setAttribute('aria-busy', 'false')
    }
    throw error
  }
  if (state.asking) await ask()
  if (explained) explain(explained, $('heat').hidden ? REST : 0)
}

// ----------------------------------------------------------------- questions

const ask = attempt(async () => {
  const found = await api.ask(state.image.id, state.annotation.plain, 1, work.signal)
  if (!state.asking) return // stopped meanwhile
  state.question = found[0] ?? null
  const { question } = state
  $('question').hidden = $('question').inert = false
  $('answers').replaceChildren()
  if (!question) {
    $('question-text').textContent = 'Nothing is left to ask.'
    $('question-why').textContent = ''
    return
  }
  const group = question.labels.length > 1
  $('question-text').textContent = group ? `Which ${question.name}?` : `Is there “${question.name}”?`
  const answers = group
    ? question.labels.map((name) => [name, [[name, true]]])
    : [['Yes', [[question.name, true]]], ['No', [[question.name, false]]]]
  for (const [text, answer] of answers) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text })
    button.addEventListener('click', () => setLabels(answer))
    $('answers').append(button)
  }
  const skip = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Stop asking' })
  skip.addEventListener('click', () => setAsking(false))
  $('answers').append(skip)
  const p = state.prediction.probabilities.get(question.name)
  const likely = p === undefined ? '' : `The model predicts ${percent(p)}. `
  $('question-why').textContent = `${likely}The answer is expected to reduce the uncertainty about this label and the others by ${Math.max(0, question.score).toFixed(2)} nats.`
})

async function setAsking(on) {
  state.asking = on
  $('ask').setAttribute('aria-pressed', String(on))
  $('question').hidden = !on
  state.question = null
  if (on && state.image) await ask()
}

// ------------------------------------------------------------------ evidence

const REST = 600 // milliseconds on a label after which its evidence is asked for

let explained = null // label whose evidence is shown, or is on its way
let rest
let heatWork = new AbortController()

function hideHeat() {
  explained = null
  heatWork.abort()
  clearTimeout(rest)
  $('heat').hidden = $('legend').hidden = true
}

/** Show which places are evidence for a label, after so many milliseconds; null hides it. Nothing is shown for a model that has no heat map. */
function explain(name, after = REST) {
  clearTimeout(rest)
  if (name === null || !state.about.heatmap || !state.image || state.about.extra.includes(name)) return hideHeat()
  if (explained !== name) hideHeat()
  explained = name
  heatWork = restart(heatWork)
  const { signal } = heatWork
  rest = setTimeout(async () => {
    try {
      const src = await api.heatmap(state.image.id, name, state.annotation.plain, signal)
      if (signal.aborted) return URL.revokeObjectURL(src)
      show('heat', src)
      $('heat').alt = $('legend').textContent = `Evidence for “${name}”`
      $('legend').hidden = false
    } catch (error) {
      problem(error)
    }
    return undefined
  }, after)
  return undefined
}

// ------------------------------------------------------------- save and copy

function exported() {
  const { known } = state.annotation
  const by = (present) => [...known.keys()].filter((name) => known.get(name) === present)
  return {
    file_name: state.image.name,
    labels: by(true),
    negatives: by(false),
    predicted: [...state.prediction.labels].filter((name) => !known.has(name)),
    probabilities: Object.fromEntries(state.prediction.probabilities),
  }
}

const copy = attempt(async () => {
  await navigator.clipboard.writeText(JSON.stringify(exported(), null, 1))
  notify('Copied.')
})

let saving = Promise.resolve()

/** Saves go one after the other, as each is relative to what the one before has stored. */
const save = attempt(() => {
  const { image, annotation, at } = state
  const mine = saving.then(() => store(image, annotation, at))
  saving = mine.catch(() => undefined)
  return mine
})

/** Save the known labels of a picture; false where those of another user contradict them and nothing was chosen. */
async function store(image, annotation, at) {
  const { known } = annotation
  let found
  try {
    found = await api.save(image.id, annotation.plain, Object.fromEntries(annotation.base))
  } catch (error) {
    const { conflicts, saved } = error.body ?? {}
    if (error.status !== 409 || !conflicts?.length) throw error
    const kept = await choose($('conflict'), conflicts)
    if (!kept) return notify('Not saved.')
    annotation.decide(new Map(Object.entries(saved)), conflicts.map((each, number) => ({ ...each, keep: kept[number] })))
    if (state.annotation === annotation) attempt(predict)()
    return store(image, annotation, at)
  }
  const more = annotation.stored(known, found.merged ? new Map(Object.entries(found.merged)) : known)
  notify(`Saved; ${found.count} annotated.${found.merged ? ' Labels of another user are kept with yours.' : ''}`)
  if (at !== null) {
    if (state.entries[at]) state.entries[at].saved = true
    marked()
    if (state.at === at && at + 1 < state.about.gallery) return firstOf(at + 1, state.about.gallery, openEntry)
  } else if (state.annotation === annotation && waiting()) {
    return openFile(state.place + 1)
  }
  if (more && state.annotation === annotation) await predict()
  return undefined
}

// ------------------------------------------------------------------ the page

const list = new LabelList($('labels'), fill, { click: (name) => setLabel(name, next(name)), rest: explain })

const keys = {
  ArrowDown: () => list.move(1),
  ArrowUp: () => list.move(-1),
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  PageDown: () => list.move(10),
  PageUp: () => list.move(-10),
  y: () => answerKey(true),
  n: () => answerKey(false),
  u: () => answerKey(null),
  a: () => state.image && setAsking(!state.asking),
  z: undo,
  '/': () => $('search').focus(),
  l: evidenceKey,
  s: () => state.image && state.about.saves && save(),
  c: () => state.image && copy(),
  o: () => $('file').click(),
  '?': () => $('help').showModal(),
  Escape: () => (state.asking ? setAsking(false) : hideHeat()),
}

/** Show the evidence for the label that has the focus, else for the one below the pointer, at once; hide it where it shows. */
function evidenceKey() {
  const name = list.focused ?? explained
  explain(name === explained && !$('heat').hidden ? null : name, 0)
}

/** Of the question, unless a label has the focus. */
function answerKey(present) {
  const row = document.activeElement?.classList.contains('row') ? document.activeElement.dataset.name : null
  if (row) return setLabel(row, present)
  if (state.question?.labels.length === 1 && present !== null) return setLabel(state.question.name, present)
  return undefined
}

/**
 * Which of the keys was pressed: what the keyboard's layout has there; where that is not ASCII (Cyrillic, Greek, an input
 * method that is on) what a Latin layout has in the same place.
 */
function keyOf({ key, code, shiftKey }) {
  if (Object.hasOwn(keys, key)) return key
  if (/^[ -~]$/.test(key)) return key.toLowerCase()
  if (key.length > 1 && !['Dead', 'Process', 'Unidentified'].includes(key)) return key
  return code === 'Slash' ? (shiftKey ? '?' : '/') : (/^(?:Key|Digit)(.)$/.exec(code)?.[1].toLowerCase() ?? key)
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
  const modified = (event.ctrlKey || event.altKey) && !event.getModifierState('AltGraph') // AltGr types letters
  if (typing || modified || event.metaKey || document.querySelector('dialog[open]') || !state.about) return
  const key = keyOf(event)
  const action = Object.hasOwn(keys, key) ? keys[key] : null
  if (!action || (['ArrowDown', 'ArrowUp', 'PageDown', 'PageUp', '/'].includes(key) && !state.image)) return
  event.preventDefault()
  action()
})

for (const [id, action] of Object.entries({
  another: () => $('file').click(),
  ask: () => setAsking(!state.asking),
  undo,
  clear,
  copy,
  save,
  'help-open': () => $('help').showModal(),
})) $(id).addEventListener('click', action)
$('search').addEventListener('input', render)
$('file').addEventListener('change', (event) => {
  openFiles([...event.target.files])
  event.target.value = ''
})

for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, (event) => {
    event.preventDefault()
    $('frame').classList.toggle('over', kind === 'dragover')
    if (kind === 'drop') openFiles([...event.dataTransfer.files])
  })
}
document.addEventListener('paste', (event) => openFiles([...event.clipboardData.files]))
window.addEventListener('beforeunload', (event) => {
  if (state.image && !state.annotation.saved) event.preventDefault()
})

const start = attempt(async () => {
  try {
    state.about = await api.about()
  } catch (error) {
    if (error.status !== 401) throw error
    $('token').showModal()
    return
  }
  const { labels, groups, saves, thresholds } = state.about
  state.places = new Map(labels.map((name, place) => [name, place]))
  state.thresholds = new Map(Object.entries(thresholds))
  for (const [name, group] of Object.entries(groups)) {
    if (!group.exclusive) continue
    for (const label of group.labels) {
      state.groups.set(label, name)
      state.rivals.set(label, group.labels)
    }
  }
  $('model').textContent = `${labels.length.toLocaleString()} labels`
  $('save').hidden = !saves
  $('key-evidence').hidden = !state.about.heatmap
  $('notes').textContent = state.about.notes.join(' ')
  $('notes').hidden = !state.about.notes.length
  if (state.about.gallery) await firstOf(state.about.start, state.about.gallery, openEntry)
})

api.onOtherModel(() => {
  $('notes').textContent = 'The server uses another model now. Save this picture, then load this page again: it shows the labels of the model before.'
  $('notes').hidden = false
})

$('token').addEventListener('close', () => {
  api.authorise($('token-text').value)
  start()
})

await start()
