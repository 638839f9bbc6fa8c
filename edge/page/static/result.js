// One answer, frozen, until it is kept or discarded.

import { $, t, word, send, say, build, data } from './shared.js';

let shown = null;
let after = () => {};

export const pending = () => shown !== null;

// Called whenever there is an answer, or no longer one.
export function onChange(call) { after = call; }

const percent = (value) => `${value * 100}%`;

export function show(answer) {
  shown = answer;
  const answered = answer.label !== undefined;
  const unsure = answer.label === 'uncertain';
  const hue = unsure ? 'unsure' : answer.label === answer.positive ? 'yes' : 'no';
  $('frozen').src = answered ? answer.picture : answer.plain;
  $('answer').className = answered ? `chip ${hue}` : 'chip bad';
  $('answer').textContent = answered ? word('label', answer.label) : t('result.unanswered');
  $('answer').translate = !answered;
  $('probability').textContent = answer.answer ?? '';
  $('scale').hidden = !answered;
  $('rule').textContent = '';
  if (answered) showScale(answer);
  $('found').textContent = answer.found ?? '';
  const state = answer.frame_state === 'ok' ? [] : [build('li', { translate: true }, t(`state.${answer.frame_state}`))];
  const others = [...(answer.warnings ?? []), answer.damage, answer.error?.message].filter(Boolean);
  if (answered && !answer.can_keep) state.push(build('li', { translate: true }, t('result.no_store')));
  $('warnings').replaceChildren(...state, ...others.map((text) => data('li', text)));
  $('notes').hidden = $('keep').hidden = !answer.can_keep;
  $('keys').textContent = answer.can_keep ? t('result.keys') : '';
  $('place').value = $('note').value = '';
  $('spoken').textContent = [$('answer').textContent, answer.answer, $('warnings').innerText].filter(Boolean).join('. ');
  $('aim').hidden = true;
  $('state').hidden = true;
  $('frozen').hidden = $('result').hidden = false;
  after(answer);
  // Not a button: a second press of the space bar must not decide anything.
  $('answer').focus();
}

function showScale({ probability, threshold, uncertain, positive }) {
  $('mark').style.left = percent(probability);
  $('threshold').hidden = threshold === null;
  $('threshold').style.left = percent(threshold ?? 0);
  $('band').hidden = !uncertain;
  const [low, high] = uncertain ?? [0, 0];
  $('band').style.left = percent(low);
  $('band').style.width = percent(high - low);
  $('low').textContent = '0';
  $('high').textContent = '1';
  const rule = [];
  if (threshold !== null) rule.push(t('result.threshold', { value: threshold.toPrecision(2) }));
  if (uncertain) rule.push(t('result.band', { low: low.toPrecision(2), high: high.toPrecision(2) }));
  $('rule').textContent = rule.join(' · ');
  $('scale').ariaLabel = [t('result.scale', { label: positive, value: probability.toFixed(2) }), ...rule].join('. ');
}

function end(text) {
  shown = null;
  $('frozen').removeAttribute('src');
  $('frozen').hidden = $('result').hidden = true;
  $('aim').hidden = $('state').hidden = false;
  say(text);
  after(null);
}

async function finish(path, values, done) {
  const finished = shown;
  if (finished.busy) return;
  finished.busy = true;
  let text;
  try {
    await send(`/api/captures/${finished.id}/${path}`, values);
    text = t(done);
  } catch (error) {
    if (error.status !== 404) {
      finished.busy = false;
      say(error.message);
      return;
    }
    text = t('result.gone');
  }
  if (shown === finished) end(text); // unless the button on the device was pressed meanwhile
}

export function keep() {
  if (shown?.can_keep) finish('keep', { note: $('note').value, place: $('place').value }, 'result.kept');
}

export function discard() {
  if (shown) finish('discard', {}, 'result.discarded');
}

$('result').addEventListener('submit', (event) => {
  event.preventDefault();
  keep();
});
$('discard').addEventListener('click', discard);
