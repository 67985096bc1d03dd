// Requests about the folder. Each change names this window and what it was here before.

import { json, post, request, url } from '../api.js'

const KEY = 'ctran-window'
if (!sessionStorage.getItem(KEY)) sessionStorage.setItem(KEY, crypto.getRandomValues(new Uint32Array(3)).join('-'))
/** The name of this window, whose steps an undo takes back. */
export const me = sessionStorage.getItem(KEY)

const F = 'v1/folder'
const send = async (path, body, signal) => (await post(`${F}/${path}`, body, signal)).json()
const mine = (path, body) => send(path, { window: me, ...body })

export const about = () => json(`${F}?window=${me}`)
export const pictures = (offset, limit) => json(`${F}/pictures?offset=${offset}&limit=${limit}`)
export const picture = (number, signal) => json(`${F}/pictures/${number}`, { signal })
export const file = (number, side, signal) => url(request(`${F}/pictures/${number}/file?side=${side}`, { signal }))
export const ask = (number, signal) => send(`pictures/${number}/ask`, { k: 1 }, signal)
export const grid = (label, offset, limit) => json(`${F}/grid?label=${encodeURIComponent(label)}&offset=${offset}&limit=${limit}`)
export const next = (order, without) => send('next', { order, without })
export const learn = async () => (await request(`${F}/learn`, { method: 'POST' })).json()
/** Edits: [{picture, change: {label: true|false|null}, base}]; 409 where another window contradicts one. */
export const annotate = (edits) => mine('annotate', { edits })
export const confirm = (pictures) => mine('confirm', { pictures })
export const undo = () => mine('undo', {})
export const rename = (name, to) => mine('labels/rename', { name, to })
export const merge = (name, into) => mine('labels/merge', { name, into })
export const remove = (name) => mine('labels/delete', { name })
export const rules = (groups, implications) => mine('rules', { groups, implications })
export const settings = (changed) => mine('settings', changed)
