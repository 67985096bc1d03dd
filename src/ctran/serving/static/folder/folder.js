// A folder of pictures that gets its labels, without a model at first.

import { authorise } from '../api.js'
import { choose } from '../conflict.js'
import { LabelList } from '../list.js'
import { $, attempt, notify, percent, problem } from '../page.js'
import * as client from './client.js'
import { LabelDialog } from './edit.js'
import { Grid } from './grid.js'
import { Strip } from './strip.js'

const POLL = 1000 // milliseconds between two looks at what others, and the background, have done

const state = {
  about: null, // labels, rules, settings, and how far encoding and learning are
  number: null, // of the picture that is open
  picture: null, // its known labels and prediction; null while it is fetched
  known: new Map(), // its labels as they are here: label -> true or false
  seen: [], // numbers of pictures that were open, the last one at the end
  asking: false,
  question: null,
}

// ---------------------------------------------------------------- the folder

/** Look at what has changed; pictures and lists are fetched again where something has. */
async function refresh() {
  const before = state.about
  const about = (state.about = await client.about())
  showAbout()
  const learnt = before?.learning.state === 'running' && about.learning.state === 'done'
  if (learnt) notify(`Learnt from ${about.annotated} pictures.`)
  if (before && (learnt || (before.revision !== about.revision && !pending))) {
    strip.refresh()
    if (!$('many').hidden) await grid.refresh()
    else await show(state.number, { again: true })
  }
}

function showAbout() {
  const { about } = state
  document.title = `${about.folder} – ctran studio`
  $('about').textContent = `${about.folder}: ${about.annotated.toLocaleString()} of ${about.pictures.toLocaleString()} pictures labelled, ${about.labels.length.toLocaleString()} labels`
  const encoding = about.encoded < about.pictures
  const { state: learning, text, seconds } = about.learning
  const running = learning === 'running'
  $('learn').disabled = running
  $('learn').textContent = about.model ? 'Learn again' : 'Learn'
  $('learning').textContent = running ? `Learning, ${Math.round(seconds)} s: ${text || 'starting'}`
    : encoding ? `Reading pictures: ${about.encoded} of ${about.pictures}`
      : learning === 'failed' ? 'Not learnt.' : learning === 'done' ? `Learnt in ${Math.round(seconds)} s.` : ''
  $('learning').title = $('learning').textContent
  if (learning === 'failed' && text !== shownFailure) problem(new Error(`Not learnt: ${text}`))
  shownFailure = learning === 'failed' ? text : null
  $('progress').classList.toggle('busy', encoding || running)
  $('progress').firstElementChild.style.width = encoding ? `${(100 * about.encoded) / about.pictures}%` : running ? '100%' : '0'
  $('undo').disabled = $('grid-undo').disabled = about.undo === null
  $('undo').title = about.undo ? `Undo: ${about.undo}` : ''
  $('ask').hidden = $('right').hidden = !about.model
  $('notes').textContent = about.notes.join(' ')
  $('notes').hidden = !about.notes.length
  $('others-absent').checked = about.others_absent
  $('by-itself').checked = about.by_itself
  $('run').textContent = about.learning.run
  $('command').textContent = about.learning.command
  $('others').hidden = about.others_absent
  $('next').textContent = about.others_absent ? 'Others absent, next' : 'Next picture'
  grid.setLabels(about.labels.map(({ name }) => name))
}

let shownFailure = null

// ------------------------------------------------------------------ pictures

let opening = new AbortController()

/** Show a picture; `again` fetches the one that is open once more. */
async function show(number, { again = false } = {}) {
  if (number === null) return
  opening.abort()
  opening = new AbortController()
  const { signal } = opening
  again = again && state.picture !== null // one that is still being opened is opened again
  if (!again) {
    state.number = number
    state.picture = null
    state.known = new Map()
    $('panel').inert = true
    strip.mark(number)
  }
  let picture, src
  try {
    [picture, src] = await Promise.all([client.picture(number, signal), again ? null : client.file(number, 1400, signal).catch(unreadable)])
  } catch (error) {
    if (signal.aborted) return // another call shows what is to be seen; who waits for this one goes on
    throw error
  }
  if (signal.aborted) return
  state.picture = picture
  state.known = new Map(Object.entries(picture.known))
  if (!again) {
    if ($('picture').src.startsWith('blob:')) URL.revokeObjectURL($('picture').src)
    $('picture').hidden = !src
    if (src) $('picture').src = src
    $('picture').alt = `Picture ${picture.name}`
    state.seen = [...state.seen.filter((each) => each !== number), number].slice(-500)
    $('panel').inert = false
    $('labels').scrollTop = 0
  }
  $('caption').textContent = `${picture.name}${picture.broken ? ': cannot be read' : ''}`
  render()
  if (state.asking) await ask()
}

function unreadable(error) {
  if (error.name === 'AbortError') throw error
  return null
}

const step = attempt((by) => {
  const number = state.number + by
  return number >= 0 && number < state.about.pictures ? show(number) : undefined
})

/** Finish this picture, and go to the one that the chosen order has next. */
const next = attempt(async () => {
  await saving
  if (state.about.others_absent) await client.confirm([state.number])
  let { number } = await client.next($('order').value, state.seen.slice(-200))
  if (number === null) number = (await client.next($('order').value, [state.number])).number // those that were passed by
  await refresh()
  if (number === null) return notify('Every picture has its labels.')
  return show(number)
})

/** The labels that are shown as present are, all others are absent: one key for a picture that is predicted right. */
const right = attempt(async () => {
  if (!state.about.model || !state.picture) return undefined
  const there = new Set(state.about.labels.map(({ name }) => name)) // the model may have others
  const found = state.picture.labels.filter((name) => there.has(name) && !state.known.has(name))
  if (found.length) await setLabels(Object.fromEntries(found.map((name) => [name, true])))
  await queue(() => client.confirm([state.number]))
  return next()
})

const learn = attempt(async () => {
  await saving
  await client.learn()
  await refresh()
})

// -------------------------------------------------------------------- labels

/** Labels in the order of the list: present ones, then by probability or use, then absent ones. */
function ordered() {
  const { picture, known, about } = state
  const chances = picture?.probabilities ?? {}
  const weight = ({ name, present }) => (known.get(name) === true ? 3 : known.get(name) === false ? -1 : (chances[name] ?? present / 1e9))
  return [...about.labels].sort((a, b) => weight(b) - weight(a) || b.present - a.present).map(({ name }) => name)
}

function render() {
  const wanted = $('type').value.trim().toLowerCase()
  const names = ordered()
  const found = wanted ? names.filter((name) => name.toLowerCase().includes(wanted)) : names
  const exact = names.find((name) => name.toLowerCase() === wanted)
  if (wanted) found.sort((a, b) => (b === exact) - (a === exact) || b.toLowerCase().startsWith(wanted) - a.toLowerCase().startsWith(wanted))
  list.show(found)
  $('hint').textContent = !wanted
    ? state.about.labels.length ? '' : 'No labels yet: type what is in the picture, and press Enter.'
    : exact ? `Enter ticks “${exact}”.`
      : found.length ? `Tab completes to “${found[0]}”; Enter adds “${$('type').value.trim()}”.` : `Enter adds the label “${$('type').value.trim()}”.`
  const chips = names.filter((name) => state.known.get(name) === true)
  $('known').replaceChildren(...chips.map(chip))
}

function chip(name) {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'chip yes'
  button.innerHTML = '<b aria-hidden="true">✓</b><span></span>'
  button.lastChild.textContent = name
  button.setAttribute('aria-label', `${name}: present; take back`)
  button.addEventListener('click', () => setLabel(name, null))
  return button
}

const countOf = (name) => state.about.labels.find((label) => label.name === name)?.present ?? 0
const groupOf = (name) => Object.keys(state.about.groups).find((group) => state.about.groups[group].includes(name))

function fill(row, name) {
  const known = state.known.get(name)
  const p = state.picture?.probabilities[name]
  const kind = known === true ? 'yes' : known === false ? 'no' : ''
  const group = groupOf(name)
  row.className = `row ${kind}${state.picture?.labels.includes(name) ? ' present' : ''}`
  const [bar, line, mark, title, count, value] = row.children
  const threshold = state.about.thresholds[name]
  line.hidden = known !== undefined || threshold === undefined
  line.style.left = `${100 * (threshold ?? 0.5)}%`
  bar.style.transform = `scaleX(${known === true ? 1 : known === false ? 0 : (p ?? 0)})`
  mark.textContent = known === true ? '✓' : known === false ? '✕' : ''
  title.textContent = name
  if (group) title.append(Object.assign(document.createElement('small'), { textContent: group }))
  count.textContent = countOf(name) || ''
  count.className = 'moved count'
  const words = known === true ? 'yes' : known === false ? 'no' : p === undefined ? '' : percent(p)
  value.textContent = words
  row.setAttribute('aria-label', `${name}${group ? ` (one of ${group})` : ''}: ${words || 'unknown'}; in ${countOf(name)} pictures`)
}

let saving = Promise.resolve() // changes go one after the other, as each is relative to the one before
let pending = 0

const setLabel = (name, present) => setLabels({ [name]: present })

/** Set labels of the open picture: shown at once, stored, then predicted with. */
const setLabels = attempt((change) => {
  if (!state.picture) return undefined
  const { number } = state
  for (const [name, present] of Object.entries(change)) {
    const rivals = present ? (state.about.groups[groupOf(name)] ?? []) : []
    for (const rival of rivals) if (rival !== name && state.known.get(rival)) change[rival] = null
  }
  const base = Object.fromEntries(Object.keys(change).map((name) => [name, state.known.get(name) ?? null]))
  for (const [name, present] of Object.entries(change)) {
    if (present === null) state.known.delete(name)
    else state.known.set(name, present)
    if (!state.about.labels.some((label) => label.name === name)) state.about.labels.push({ name, present: 0, absent: 0 })
  }
  render()
  return queue(() => store([{ picture: number, change, base }]))
})

/** Run a change after those before it, then look at what it has done. */
function queue(action) {
  pending++
  const mine = saving.then(action)
  saving = mine.catch(() => undefined).then(() => { pending-- })
  return mine.finally(async () => {
    await saving
    if (!pending) await refreshAll()
  })
}

async function refreshAll() {
  state.about = await client.about()
  showAbout()
  strip.refresh()
  if ($('many').hidden) await show(state.number, { again: true })
  else await grid.refresh()
}

/** Store edits; where another window contradicts one, both are shown and one is chosen. */
async function store(edits) {
  try {
    return await client.annotate(edits)
  } catch (error) {
    const { conflicts, saved } = error.body ?? {}
    if (error.status !== 409 || !conflicts?.length) throw error
    if (edits.length > 1) throw new Error(`${error.message} The grid shows what is stored now.`)
    const kept = await choose($('conflict'), conflicts)
    if (!kept) return notify('Not saved.')
    const { picture, change } = edits[0]
    const again = { ...change }
    conflicts.forEach((conflict, number) => {
      if (kept[number] === 'saved') for (const name of Object.keys(conflict.yours)) delete again[name]
      else for (const name of Object.keys(conflict.saved)) if (!(name in again)) again[name] = null
    })
    if (!Object.keys(again).length) return undefined
    return store([{ picture, change: again, base: Object.fromEntries(Object.keys(again).map((name) => [name, saved[name] ?? null])) }])
  }
}

const others = attempt(() => state.picture && queue(() => client.confirm([state.number])))

const undo = attempt(() => queue(async () => {
  const { title, kept } = await client.undo()
  if (title) notify(`Undone: ${title}.${kept ? ` ${kept} changed by another window stay.` : ''}`)
}))

/** Present, then absent, then unknown. */
function turned(name) {
  const now = state.known.get(name)
  return now === undefined ? true : now === true ? false : null
}

/** Tick or cross out the label that was typed, adding it where it is new. */
function typed(present) {
  const text = $('type').value.trim().replace(/\s+/g, ' ')
  if (!text) return
  const exact = state.about.labels.find(({ name }) => name.toLowerCase() === text.toLowerCase())
  $('type').value = ''
  setLabel(exact ? exact.name : text, present)
}

// ----------------------------------------------------------------- questions

const ask = attempt(async () => {
  const [question] = await client.ask(state.number, opening.signal)
  if (!state.asking) return
  state.question = question ?? null
  $('question').hidden = false
  $('answers').replaceChildren()
  if (!question) {
    $('question-text').textContent = 'Nothing is left to ask.'
    return
  }
  const group = question.labels.length > 1
  $('question-text').textContent = group ? `Which ${question.name}?` : `Is there “${question.name}”?`
  const answers = group ? question.labels.map((name) => [name, { [name]: true }]) : [['Yes', { [question.name]: true }], ['No', { [question.name]: false }]]
  for (const [text, change] of answers) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text })
    button.addEventListener('click', () => setLabels({ ...change }))
    $('answers').append(button)
  }
})

async function setAsking(on) {
  state.asking = on
  $('ask').setAttribute('aria-pressed', String(on))
  $('question').hidden = !on
  state.question = null
  if (on && state.picture) await ask()
}

// ------------------------------------------------------------------ the page

const strip = new Strip($('strip'), attempt(show))
const grid = new Grid({ client, queue: (edits) => attempt(() => queue(() => store(edits)))(), percent })
const list = new LabelList($('labels'), fill, { click: (name) => setLabel(name, turned(name)), rest: () => undefined })
const dialog = new LabelDialog({ client, about: () => state.about, queue })

/** The label that the focus is on. */
const focused = () => document.activeElement?.dataset?.name ?? null

function answer(present) {
  if (!$('many').hidden) return grid.set(present)
  const name = focused() ?? (state.question?.labels.length === 1 ? state.question.name : null)
  if (name !== null) setLabel(name, present)
  return undefined
}

const openGrid = attempt(async (name) => {
  if (!state.about.labels.length) return notify('There are no labels yet.')
  await grid.open(name ?? list.names[0])
  $('one').hidden = true
  $('many').hidden = false
  return undefined
})

const closeGrid = attempt(async () => {
  $('many').hidden = true
  $('one').hidden = false
  await show(state.number, { again: true })
})

const inGrid = { Escape: closeGrid, y: () => answer(true), n: () => answer(false), u: () => answer(null), z: undo, '?': () => $('help').showModal() }
const keys = {
  ArrowDown: () => list.move(1),
  ArrowUp: () => list.move(-1),
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  PageDown: () => list.move(10),
  PageUp: () => list.move(-10),
  '/': () => $('type').focus(),
  y: () => answer(true),
  n: () => answer(false),
  u: () => answer(null),
  x: others,
  c: right,
  s: next,
  z: undo,
  a: () => state.about.model && setAsking(!state.asking),
  g: () => openGrid(focused()),
  e: () => dialog.open(focused()),
  l: learn,
  '?': () => $('help').showModal(),
  Escape: () => state.asking && setAsking(false),
}
for (let digit = 1; digit <= 9; digit++) keys[digit] = () => list.names[digit - 1] && setLabel(list.names[digit - 1], turned(list.names[digit - 1]))

/** What the keyboard's layout has there; where that is not ASCII, what a Latin layout has in the same place. */
function keyOf({ key, code, shiftKey }) {
  if (Object.hasOwn(keys, key)) return key
  if (/^[ -~]$/.test(key)) return key.toLowerCase()
  if (key.length > 1 && !['Dead', 'Process', 'Unidentified'].includes(key)) return key
  return code === 'Slash' ? (shiftKey ? '?' : '/') : (/^(?:Key|Digit)(.)$/.exec(code)?.[1].toLowerCase() ?? key)
}

$('type').addEventListener('input', render)
$('type').addEventListener('keydown', (event) => {
  if (event.isComposing) return
  if (event.key === 'Enter') typed(!event.shiftKey)
  else if (event.key === 'Escape') {
    $('type').value = ''
    $('type').blur()
    render()
  } else if (event.key === 'Tab' && !event.shiftKey && $('type').value && list.names.length && $('type').value !== list.names[0]) {
    $('type').value = list.names[0]
    render()
  } else if (event.key === '/' && !$('type').value) { // the key that leads here; no label begins so
  } else if (event.key === 'ArrowDown') {
    list.focused = null
    list.move(0)
  } else return
  event.preventDefault()
  event.stopPropagation()
})

document.addEventListener('keydown', (event) => {
  const modified = (event.ctrlKey || event.altKey) && !event.getModifierState('AltGraph')
  if (event.target.matches('input:not([type=checkbox]), select, textarea') || modified || event.metaKey) return
  if (document.querySelector('dialog[open]') || !state.about) return
  const key = keyOf(event)
  const table = $('many').hidden ? keys : inGrid
  if (!Object.hasOwn(table, key)) return
  event.preventDefault()
  table[key]()
})

for (const [id, action] of Object.entries({
  learn,
  undo,
  'grid-undo': undo,
  others,
  right,
  next,
  before: () => step(-1),
  after: () => step(1),
  ask: () => setAsking(!state.asking),
  'grid-open': () => openGrid(null),
  'grid-close': closeGrid,
  'label-open': () => dialog.open(null),
  'help-open': () => $('help').showModal(),
  'settings-open': () => $('settings').showModal(),
})) $(id).addEventListener('click', action)
$('others-absent').addEventListener('change', attempt((event) => queue(() => client.settings({ others_absent: event.target.checked }))))
$('by-itself').addEventListener('change', attempt((event) => queue(() => client.settings({ by_itself: event.target.checked }))))

const poll = async () => {
  try {
    if (!pending && !document.hidden) await refresh()
    if ($('problem').textContent.startsWith('The server does not respond')) problem(null)
  } catch (error) {
    problem(error)
  }
  setTimeout(poll, POLL)
}

const start = attempt(async () => {
  try {
    state.about = await client.about()
  } catch (error) {
    if (error.status !== 401) throw error
    $('token').showModal()
    return
  }
  showAbout()
  await strip.start(state.about.pictures)
  const { number } = await client.next('order', [])
  await show(number ?? 0)
  poll()
})

$('token').addEventListener('close', () => {
  authorise($('token-text').value)
  start()
})

await start()
