// The page: a pusher-js client that shows who is here, what they write, and what is meant for this user alone.

/* global Pusher */

const part = (id) => document.getElementById(id);
const post = async (path, fields) => {
  const response = await fetch(path, { method: 'POST', body: new URLSearchParams(fields) });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
};

const TYPING_SHOWN_MS = 3000;
const TYPING_TOLD_EVERY_MS = 1000; // a connection may send ten client events a second

part('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const me = await post('/login', { name: part('name').value });
  enter(me, await (await fetch('/settings')).json());
});

/** Connects as `me`, joins the three channels, and ties them to the page. */
function enter(me, settings) {
  const client = new Pusher(settings.key, {
    cluster: '',
    wsHost: settings.host ?? location.hostname,
    wsPort: settings.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    disableStats: true,
    channelAuthorization: { endpoint: '/pusher/auth', transport: 'ajax' },
    userAuthentication: { endpoint: '/pusher/user-auth', transport: 'ajax' },
  });
  client.connection.bind('state_change', ({ current }) => {
    part('state').textContent = current;
    part('state').className = current;
  });

  client.signin();
  client.user.bind('note', (note) => show({ ...note, to: 'you' }, 'note'));
  client.subscribe(settings.messages).bind('message', (message) => show(message, message.from === me.name ? 'own' : ''));
  client.subscribe(settings.topic).bind('topic', ({ text }) => { part('topic').textContent = text; });

  const room = client.subscribe(settings.members);
  for (const change of ['subscription_succeeded', 'member_added', 'member_removed']) {
    room.bind(`pusher:${change}`, () => list(room.members));
  }
  room.bind('client-typing', (_, { user_id: who }) => typing(room.members.get(who)?.info.name));

  let told = 0;
  part('text').addEventListener('input', () => {
    if (Date.now() - told < TYPING_TOLD_EVERY_MS) return;
    told = Date.now();
    room.trigger('client-typing', {});
  });
  part('write').addEventListener('submit', (event) => {
    event.preventDefault();
    write(me, part('to').value, part('text').value).catch((error) => show({ from: 'error', text: error.message }, 'note'));
    part('text').value = '';
  });
  part('login').hidden = true;
  part('room').hidden = false;
  part('text').focus();
}

/** Sends what was typed to all, to one user, or as the topic. */
async function write(me, to, text) {
  if (to === '') await post('/messages', { text });
  else if (to === 'topic') await post('/topic', { text });
  else {
    await post('/notes', { to, text });
    show({ from: me.name, to: part('to').selectedOptions[0].textContent, text }, 'own note');
  }
}

function show({ from, to, text }, className) {
  const who = document.createElement('b');
  who.textContent = to ? `${from} → ${to}` : from;
  const line = document.createElement('li');
  line.className = className;
  line.append(who, text);
  part('messages').append(line);
  line.scrollIntoView({ block: 'end' });
}

/** Shows the members, and offers them as receivers of notes. */
function list(members) {
  const chips = [];
  const options = [];
  members.each(({ id, info }) => {
    const chip = document.createElement('li');
    chip.textContent = info.name;
    chip.className = id === members.me.id ? 'me' : '';
    chips.push(chip);
    if (id !== members.me.id) options.push(new Option(info.name, id));
  });
  const chosen = part('to').value;
  part('members').replaceChildren(...chips);
  part('to').replaceChildren(new Option('To all', ''), new Option('As topic', 'topic'), ...options);
  part('to').value = [...part('to').options].some(({ value }) => value === chosen) ? chosen : '';
}

let typingEnds;
function typing(name) {
  part('typing').textContent = `${name} is typing…`;
  clearTimeout(typingEnds);
  typingEnds = setTimeout(() => { part('typing').textContent = ''; }, TYPING_SHOWN_MS);
}
