// What both pages share: elements, messages, and errors that are shown where something fails.

export const $ = (id) => document.getElementById(id)
export const percent = (p) => (p > 0.995 && p < 1 ? '> 99 %' : p > 0 && p < 0.005 ? '< 1 %' : `${Math.round(100 * p)} %`)

/** Show an error, or none; that a request was cancelled is none. */
export function problem(error) {
  if (error?.name === 'AbortError') return
  if (error) console.warn(error)
  $('problem').textContent = error ? error.message : ''
  $('problem').hidden = !error
}

let fading
/** Show a message for a moment. */
export function notify(text) {
  $('status').textContent = text
  $('status').classList.add('shown')
  clearTimeout(fading)
  fading = setTimeout(() => $('status').classList.remove('shown'), 2500)
}

/** Run something that may fail, and show the error where it does. */
export const attempt = (action) => async (...given) => {
  try {
    const found = await action(...given)
    problem(null)
    return found
  } catch (error) {
    problem(error)
    return undefined
  }
}
