// What was kept, the newest first, a page at a time; one of it large.

import { $, t, word, ask, send, say, build, data, rounded, time } from './shared.js';

const DAY = { dateStyle: 'full', timeZone: 'UTC' };
const AHEAD = 600; // pixels below what is seen
let next = '';
let round = 0; // answers to an older question are dropped
let loading = false;
let current = null;
let changed = () => {};

const iso = (day) => `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`;

export function list() {
  round++;
  next = '';
  loading = false;
  $('days').replaceChildren();
  $('no-pictures').hidden = true;
  load();
}

function more() {
  if (!$('history').hidden && $('more').getBoundingClientRect().top < innerHeight + AHEAD) load();
}

async function load() {
  if (next === null || loading) return;
  loading = true;
  const asked = round;
  const query = new URLSearchParams({ day: $('day').value, label: $('label').value, before: next });
  try {
    const found = await ask(`/api/history?${query}`);
    if (asked !== round) return;
    next = found.next;
    offer(found);
    found.items.forEach(add);
    $('no-pictures').hidden = $('days').childElementCount > 0;
  } catch (error) {
    say(error.message);
    return;
  } finally {
    if (asked === round) loading = false;
  }
  more();
}

function offer({ days, labels }) {
  fill($('day'), days.map(({ day, count }) => data('option', `${iso(day)} (${count})`, { value: day })));
  fill($('label'), labels.map((label) => data('option', word('label', label), { value: label })));
}

function fill(select, options) {
  const chosen = select.value;
  select.replaceChildren(build('option', { value: '' }, t('history.all')), ...options);
  select.value = chosen;
  if (select.selectedIndex < 0) select.value = '';
}

function add(item) {
  const day = item.name.slice(9, 17);
  let group = $('days').lastElementChild;
  if (group?.dataset.day !== day) {
    const heading = t('history.utc', { day: time(iso(day), DAY).textContent });
    group = build('section', {}, build('h2', { translate: false }, heading),
      build('a', { href: `/api/history/days/${day}.zip`, download: '' }, t('history.zip')),
      build('div', { className: 'tiles' }));
    group.dataset.day = day;
    $('days').append(group);
  }
  const there = new Date(item.captured_at);
  // A day of the store begins at 0:00 UTC: where it is another day here, the date is told, too.
  const same = there.getDate() === there.getUTCDate();
  const button = build('button', { className: 'tile' },
    build('img', { src: item.thumb, alt: '', loading: 'lazy' }),
    build('span', {}, data('b', word('label', item.label)),
      data('span', ` ${rounded(item.probability, item.threshold)}`)),
    time(item.captured_at, same ? { timeStyle: 'short' } : { dateStyle: 'short', timeStyle: 'short' }),
    data('span', [item.place, item.note].filter(Boolean).join(': '), { className: 'soft' }));
  button.addEventListener('click', () => open(item, list));
  group.lastElementChild.append(button);
}

export async function open(item, whenDeleted) {
  current = item;
  changed = whenDeleted;
  const facts = [
    ['history.day', time(item.captured_at, { dateStyle: 'long', timeStyle: 'medium' })],
    ['result.place', data('span', item.place)],
    ['result.note', data('span', item.note)],
  ].filter(([, element]) => element.textContent);
  $('large-label').translate = false;
  $('large-label').textContent = `${word('label', item.label)}, P ${rounded(item.probability, item.threshold)}`;
  $('large-facts').replaceChildren(...facts.flatMap(([key, value]) =>
    [build('dt', {}, t(key)), build('dd', {}, value)]));
  $('large-picture').src = `/api/history/${item.name}`;
  $('line').textContent = '';
  $('large').showModal();
  try {
    $('line').textContent = JSON.stringify(await ask(`/api/history/${item.name}/line`), null, 2);
  } catch (error) {
    $('line').textContent = error.message;
  }
}

$('large').addEventListener('close', () => $('large-picture').removeAttribute('src'));
$('close').addEventListener('click', () => $('large').close());
$('delete').addEventListener('click', () => $('sure').showModal());
$('cancel').addEventListener('click', () => $('sure').close());
$('really').addEventListener('click', async () => {
  $('sure').close();
  try {
    await send(`/api/history/${current.name}/delete`);
    $('large').close();
    say(t('history.deleted'));
    changed();
  } catch (error) {
    say(error.message);
  }
});
$('day').addEventListener('change', list);
$('label').addEventListener('change', list);
$('history').addEventListener('scroll', more);
