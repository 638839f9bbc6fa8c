// The camera as it is now: its picture, how the frame is, and the newest captures.

import { $, t, word, send, say, build, data, rounded, time, ask } from './shared.js';
import { show, pending } from './result.js';
import { open } from './history.js';

const SILENCE_MS = 5000; // events come three times a second
const RETRY_MS = 2000;
const LAST = 6;
let events = null;
let heardMs = 0;
let watched = false;
let newest; // capture; undefined until the first event
let saved; // how many pictures there were
let capturing = false;

const level = (state) => (state === 'ok' ? 'no' : ['blurred', 'saturated', 'waiting'].includes(state) ? 'unsure' : 'yes');
const SIGNS = { no: '✓', unsure: '!', yes: '✕' };

function showState(state) {
  if ($('state').dataset.state === state) return;
  $('state').dataset.state = state;
  $('state').className = `chip ${level(state)}`;
  $('state').replaceChildren(build('b', { ariaHidden: 'true' }, SIGNS[level(state)]), t(`state.${state}`));
}

// Whoever asks for pictures makes the camera work: only while they are seen.
export function watch() {
  const wanted = !document.hidden && !$('live').hidden && !pending() && events !== null
    && events.readyState === EventSource.OPEN;
  if (wanted === watched) return;
  watched = wanted;
  $('picture').hidden = !wanted;
  if (wanted) $('picture').src = `/api/live?${Date.now()}`;
  else $('picture').removeAttribute('src');
}

function lost() {
  events?.close();
  events = null;
  watch();
  showState('offline');
  $('offline').textContent = t('offline');
  $('offline').hidden = false;
}

function connect() {
  if (document.hidden) return;
  events?.close();
  events = new EventSource('/api/events');
  heardMs = Date.now();
  events.addEventListener('message', (event) => hear(JSON.parse(event.data)));
  events.addEventListener('error', () => {
    lost();
    heardMs = Date.now() - SILENCE_MS + RETRY_MS;
    ask('/api/status').catch(() => {}); // goes to the login if that is why
  });
}

async function hear({ frame, capture, status }) {
  heardMs = Date.now();
  $('offline').hidden = true;
  watch();
  showState(frame?.state ?? (status.camera === 'running' ? 'waiting' : 'lost'));
  const percent = Math.round((frame?.sharpness ?? 0) * 100);
  $('percent').textContent = percent;
  $('sharpness').ariaValueNow = percent;
  $('sharpness').className = percent < 50 ? 'unsure' : 'no';
  $('sharpness').firstChild.style.width = `${percent}%`;
  $('not-saving').hidden = !status.not_saving;
  $('not-saving').textContent = status.not_saving ? t('live.not_saving', { reason: status.not_saving }) : '';
  if (status.snapshots !== saved) {
    saved = status.snapshots;
    refresh();
  }
  if (capturing || capture === newest) return;
  const first = newest === undefined;
  newest = capture;
  // Somebody pressed the button; what is being written about another one comes first.
  if (!first && capture && !$('live').hidden && !(pending() && ($('note').value || $('place').value))) {
    const answer = await ask(`/api/captures/${capture}`).catch(() => null);
    if (answer) show(answer);
  }
}

export async function capture() {
  if (capturing || pending() || $('live').hidden) return;
  capturing = true;
  $('capture').disabled = true;
  $('capture').textContent = t('live.capturing');
  try {
    const answer = await send('/api/capture');
    newest = answer.id;
    show(answer);
  } catch (error) {
    say(error.message);
  } finally {
    capturing = false;
    $('capture').disabled = false;
    $('capture').textContent = t('live.capture');
    if (!pending()) $('capture').focus();
  }
}

export async function refresh() {
  const found = await ask(`/api/history?limit=${LAST}`).catch(() => null);
  if (!found) return;
  $('no-last').hidden = found.items.length > 0;
  $('last').replaceChildren(...found.items.map((item) => {
    const button = build('button', { type: 'button' },
      build('img', { src: item.thumb, alt: '' }),
      build('span', {}, data('b', word('label', item.label)),
        data('span', ` ${rounded(item.probability, item.threshold)}`), build('br'),
        time(item.captured_at, { timeStyle: 'short', dateStyle: 'short' })));
    button.addEventListener('click', () => open(item, refresh));
    return build('li', {}, button);
  }));
}

$('capture').addEventListener('click', capture);
$('picture').addEventListener('error', () => {
  if (!watched) return;
  watched = false;
  setTimeout(watch, RETRY_MS);
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) return connect();
  events?.close();
  events = null;
  watch();
});
setInterval(() => {
  if (!document.hidden && Date.now() - heardMs > SILENCE_MS) {
    if (events) lost();
    connect();
  }
}, 1000);
showState('waiting');
connect();
