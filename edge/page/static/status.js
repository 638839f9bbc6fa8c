// How camera, disk, board and model are.

import { $, t, word, ask, build, data, quantity } from './shared.js';

const gigabytes = (bytes) => quantity(bytes / 1e9, 'gigabyte');
const known = (value) => (value === null || value === undefined ? t('status.unknown') : data('span', String(value)));

function section(title, facts) {
  const rows = facts.filter(([, value]) => value !== undefined && value !== '');
  return build('section', {}, build('h2', {}, t(title)), build('dl', {}, ...rows.flatMap(([name, value]) =>
    [build('dt', {}, name), build('dd', {}, value)])));
}

export async function status() {
  if ($('status').hidden || document.hidden) return;
  const now = await ask('/api/status').catch((error) => ({ error }));
  if (now.error) {
    $('facts').replaceChildren(data('p', now.error.message));
    return;
  }
  const { camera, counts, store, disk, model } = now;
  $('facts').replaceChildren(
    section('status.camera', [
      [t('status.state'), t(`status.camera.${camera.state}`)],
      [t('status.reason'), camera.reason ? data('span', camera.reason) : ''],
      [t('status.failures'), known(camera.failures)],
      [t('status.lookers'), known(now.lookers)],
    ]),
    section('status.counts', Object.entries(counts).map(([name, count]) =>
      [word('status', name), known(count)])),
    section('status.disk', [
      [t('status.folder'), store ? data('span', store.folder) : t('status.no')],
      [t('status.saved'), store ? known(store.saved) : ''],
      [t('status.not_saving'), store?.not_saving ? data('span', store.not_saving) : ''],
      [t('status.free'), disk
        ? data('span', t('status.of', { free: gigabytes(disk.free), total: gigabytes(disk.total) })) : known(null)],
      [t('status.temperature'), known(now.temperature_c === null ? null : quantity(now.temperature_c, 'celsius'))],
      [t('status.throttling'), now.throttling?.length === 0 ? t('status.no') : known(now.throttling?.join(', '))],
    ]),
    section('status.model', [
      [t('status.name'), known(model.name)],
      [t('status.variant'), known(model.variant)],
      [build('span', { translate: false }, 'SHA-256'), data('code', model.sha256)],
      [t('status.labels'), data('span', model.labels.map((label) => word('label', label)).join(', '))],
      [t('status.threshold'), model.threshold === null ? t('status.no') : known(+model.threshold.toPrecision(4))],
      [t('status.band'), model.uncertain ? data('span', model.uncertain.map((v) => +v.toPrecision(4)).join(' – ')) : ''],
      [t('status.segmentation'), known(model.segmentation)],
    ]),
  );
}

export async function doctor() {
  const hues = { ok: 'no', warning: 'unsure', failed: 'yes' };
  $('findings').replaceChildren(build('li', {}, t('status.checking')));
  const { findings } = await ask('/api/doctor').catch((error) => (
    { findings: [{ level: 'failed', check: '', message: error.message }] }));
  $('findings').replaceChildren(...findings.map(({ level, check, message, fix }) => build('li', {},
    build('span', { className: `chip ${hues[level]}` }, t(`status.level.${level}`)),
    data('b', check), data('span', message), data('code', fix ?? ''))));
}

setInterval(status, 5000);
