// Which screen is shown, pictures that are brought, and keys.

import { $, t, ask, say } from './shared.js';
import { capture, refresh, watch } from './live.js';
import { discard, keep, onChange, pending, show } from './result.js';
import { list } from './history.js';
import { doctor, status } from './status.js';

const SCREENS = ['live', 'upload', 'history', 'status'];
let back = 'live'; // where one goes when an answer is done with

function go() {
  const wanted = SCREENS.includes(location.hash.slice(1)) ? location.hash.slice(1) : 'live';
  for (const name of SCREENS) $(name).hidden = name !== wanted;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${wanted}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  $('said').hidden = true;
  watch();
  if (wanted === 'history') list();
  if (wanted === 'status') {
    status();
    doctor();
  }
}

async function upload(file) {
  if (!file) return;
  location.hash = '#upload';
  $('uploading').textContent = t('upload.busy', { name: file.name });
  try {
    const answer = await ask('/api/upload', file, {
      'Content-Type': file.type.startsWith('image/') ? file.type : 'image/*',
      'X-Name': encodeURIComponent(file.name),
    });
    back = 'upload';
    location.hash = '#live';
    go();
    show(answer);
    $('uploading').textContent = '';
  } catch (error) {
    $('uploading').textContent = error.message;
  }
}

onChange((answer) => {
  watch();
  if (answer) return;
  // Whoever has gone elsewhere meanwhile stays there.
  if (!$('live').hidden) location.hash = `#${back}`;
  if (back === 'live') $('capture').focus();
  back = 'live';
  refresh();
});

for (const [button, input] of [['choose', 'file'], ['take', 'photo']]) {
  $(button).addEventListener('click', () => $(input).click());
  $(input).addEventListener('change', () => {
    upload($(input).files[0]);
    $(input).value = '';
  });
}
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  upload(event.dataTransfer.files[0]);
});

document.addEventListener('keydown', (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]')) return;
  const writes = event.target.closest('input, select');
  const acts = writes || event.target.closest('button, a');
  if ($('live').hidden) return;
  if (event.key === 'Escape' && pending()) {
    // In a field, the first one only leaves it: a note isn't lost by a slip.
    if (writes) $('answer').focus();
    else discard();
  } else if (event.key === ' ' && !acts && !pending()) {
    event.preventDefault();
    capture();
  } else if (event.key === 'Enter' && !acts && pending()) {
    event.preventDefault();
    keep();
  }
});

addEventListener('hashchange', go);
go();
