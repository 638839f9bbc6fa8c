// Words, requests and elements: what each screen needs.  Text only ever goes in as text.

const words = await (await fetch('/api/words')).json();
document.documentElement.lang = words.lang;

export const $ = (id) => document.getElementById(id);

export const t = (key, values = {}) =>
  (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);

// A model's own label stays as it is.
export const word = (kind, name) => words[`${kind}.${name}`] ?? name;

for (const [data, property] of [['t', 'textContent'], ['tLabel', 'ariaLabel'], ['tAlt', 'alt']]) {
  const attribute = data.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
  for (const element of document.querySelectorAll(`[data-${attribute}]`)) {
    element[property] = t(element.dataset[data]);
  }
}

export function build(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// What comes from outside, and is translated by nobody.
export const data = (tag, text, properties = {}) =>
  build(tag, { translate: false, ...properties }, text);

// JSON there and back; what is refused throws an error with the server's message.
export async function ask(path, body, headers = {}) {
  const given = body === undefined ? {} : { method: 'POST', body, headers };
  let answer;
  try {
    answer = await fetch(path, given);
  } catch {
    throw new Error(t('offline'));
  }
  const values = await answer.json().catch(() => ({}));
  if (answer.status === 401 && document.body.id !== 'login') location.assign('/login');
  if (!answer.ok) throw Object.assign(new Error(values.error ?? String(answer.status)), { status: answer.status });
  return values;
}

export const send = (path, values = {}) =>
  ask(path, JSON.stringify(values), { 'Content-Type': 'application/json' });

// Two digits, or as many as show on which side of the threshold it is.
export function rounded(probability, threshold) {
  for (let digits = 2; digits < 17; digits++) {
    const text = probability.toFixed(digits);
    if (threshold === null || (+text >= threshold) === (probability >= threshold)) return text;
  }
  return String(probability);
}

export const time = (text, options) => data('time',
  new Intl.DateTimeFormat(words.lang, options).format(new Date(text)), { dateTime: text });

export const quantity = (value, unit) => new Intl.NumberFormat(words.lang,
  { style: 'unit', unit, maximumFractionDigits: 1 }).format(value);

let fading;
export function say(text) {
  clearTimeout(fading);
  $('said').textContent = text;
  $('said').hidden = false;
  fading = setTimeout(() => { $('said').hidden = true; }, 6000);
}
