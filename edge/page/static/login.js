import { $, send } from './shared.js';

async function enter(token) {
  $('error').textContent = '';
  try {
    await send('/login', { token });
    location.replace('/');
  } catch (error) {
    $('error').textContent = error.message;
    $('token').focus();
  }
}

document.forms[0].addEventListener('submit', (event) => {
  event.preventDefault();
  enter($('token').value.trim());
});

const printed = location.hash.slice(1);
if (printed) {
  history.replaceState(null, '', location.pathname); // so that it stays in no history
  enter(printed);
} else {
  $('token').focus();
}
