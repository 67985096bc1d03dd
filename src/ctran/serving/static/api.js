// The server's API. The token, if the server requires one, comes with the address (http://server/#token=...), or is requested.

const BASE = new URL('../', import.meta.url) // of the server, below whatever path a proxy gives it
const KEY = 'ctran-token'
if (location.hash.startsWith('#token=')) {
  sessionStorage.setItem(KEY, decodeURIComponent(location.hash.slice(7)))
  history.replaceState(null, '', location.pathname) // not for others to see
}
let token = sessionStorage.getItem(KEY)

/** A random name for this browser, so that several people begin at different pictures. */
function person() {
  const key = 'ctran-person'
  if (!localStorage.getItem(key)) {
    localStorage.setItem(key, crypto.getRandomValues(new Uint32Array(4)).join('-'))
  }
  return localStorage.getItem(key)
}

/** Send this token from now on, as long as the window is open. */
export function authorise(text) {
  token = text
  sessionStorage.setItem(KEY, text)
}

/** The server responded with an error, or not at all (status 0). */
export class Refused extends Error {
  constructor(status, detail, body = null) {
    super(detail)
    this.status = status
    this.body = body // the whole response, where it is JSON
  }
}

let model = null // that the responses name
let replaced = () => {}
/** What to do when the server uses another model than at the first response. */
export const onOtherModel = (call) => {
  replaced = call
}

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds))

/** One request; repeated a few times while the server is busy (503). */
export async function request(path, options = {}, tries = 5) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) }
  let response
  try {
    response = await fetch(new URL(path, BASE), { ...options, headers })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Refused(0, 'The server does not respond. Is it still running?')
  }
  if (response.status === 503 && tries > 1) {
    await wait(Number(response.headers.get('Retry-After')) || 1)
    return request(path, options, tries - 1)
  }
  const named = response.headers.get('Ctran-Model')
  if (named && model && named !== model) replaced()
  model = named ?? model
  if (!response.ok) throw await refused(response)
  return response
}

async function refused(response) {
  try {
    const body = await response.json()
    return new Refused(response.status, body.detail, body)
  } catch {
    return new Refused(response.status, `The server responded with status ${response.status}.`)
  }
}

export const json = async (path, options) => (await request(path, options)).json()
export const post = (path, body, signal) =>
  request(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal })
export const url = async (response) => URL.createObjectURL(await (await response).blob())
const image = (id) => `v1/images/${encodeURIComponent(id)}`

export const about = () => json(`v1/model?person=${person()}`)
export const gallery = (offset, limit) => json(`v1/gallery?offset=${offset}&limit=${limit}`)
export const thumbnail = (number) => url(request(`v1/gallery/${number}/thumbnail`))
export const openGallery = (number, signal) => json(`v1/gallery/${number}`, { method: 'POST', signal })
export const upload = (file, signal) =>
  json('v1/images', { method: 'POST', body: file, signal, headers: { 'Content-Type': file.type || 'application/octet-stream', 'X-File-Name': encodeURIComponent(file.name) } })
export const picture = (id, signal) => url(request(`${image(id)}/picture?side=1400`, { signal }))
export const predict = async (id, known, signal) => (await post(`${image(id)}/predict`, { known }, signal)).json()
export const ask = async (id, known, k, signal) => (await post(`${image(id)}/ask`, { known, k, policy: 'total' }, signal)).json()
export const heatmap = (id, label, known, signal) =>
  url(post(`${image(id)}/heatmap/${encodeURIComponent(label)}`, { known }, signal))
/** Only the changes from `base` to `known` are applied; 409 where another user has saved since what contradicts them. */
export const save = async (id, known, base) => (await post(`${image(id)}/save`, { known, base })).json()
