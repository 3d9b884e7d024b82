// The backend of the chat: says who a browser is, signs what it may join, triggers what it writes.
// Start a node (`micronotifier`), then `npm --prefix examples/chat start`, then open the address it prints.
//
// Environment: PORT (3000), HOST (127.0.0.1) of this backend; NODE_HOST (127.0.0.1), NODE_PORT (8111) of the node;
// APP_ID, APP_KEY, APP_SECRET, which default to the development application that the node serves without a file.

import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import Backend from 'pusher';

const { env } = process;
const NODE_HOST = env.NODE_HOST ?? '127.0.0.1';
const NODE_PORT = Number(env.NODE_PORT ?? 8111);
const APP_KEY = env.APP_KEY ?? '1234567890';

const MEMBERS = 'presence-chat-lobby';            // who is here, and who is typing
const MESSAGES = 'private-encrypted-chat-lobby';  // the node carries these without being able to read them
const TOPIC = 'cache-chat-lobby';                 // whoever comes later gets the last one

const LONGEST_BODY = 8 * 1024; // bytes
const LONGEST_NAME = 24; // characters

const backend = new Backend({
  appId: env.APP_ID ?? '1',
  key: APP_KEY,
  secret: env.APP_SECRET ?? 'abcdefghij',
  host: NODE_HOST,
  port: String(NODE_PORT),
  useTLS: false,
  encryptionMasterKeyBase64: randomBytes(32).toString('base64'),
});

const users = new Map(); // session cookie -> { id, name }

const FILES = {
  '/': ['public/index.html', 'text/html'],
  '/chat.css': ['public/chat.css', 'text/css'],
  '/chat.js': ['public/chat.js', 'text/javascript'],
  '/pusher.js': ['node_modules/pusher-js/dist/web/pusher-with-encryption.min.js', 'text/javascript'],
};

/** What a route answers when the request is not to be served. */
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const POSTS = {
  '/login': (_, form) => {
    const name = form.get('name')?.trim().slice(0, LONGEST_NAME);
    if (!name) throw new Refusal(400, 'a name, please');
    const session = randomUUID();
    const user = { id: randomUUID(), name };
    users.set(session, user);
    return { body: user, cookie: `session=${session}; HttpOnly; SameSite=Strict; Path=/` };
  },

  // pusher-js asks here before it joins a private or presence channel. This is where an application decides.
  '/pusher/auth': (user, form) => {
    const channel = form.get('channel_name') ?? '';
    if (!/^(private|private-encrypted|presence)-chat-/.test(channel)) throw new Refusal(403, 'not your channel');
    const member = { user_id: user.id, user_info: { name: user.name } };
    return { body: signed(() => backend.authorizeChannel(form.get('socket_id'), channel, channel.startsWith('presence-') ? member : undefined)) };
  },

  // pusher-js asks here when it signs in.
  '/pusher/user-auth': (user, form) =>
    ({ body: signed(() => backend.authenticateUser(form.get('socket_id'), { id: user.id, user_info: { name: user.name } })) }),

  '/messages': async (user, form) => {
    await backend.trigger(MESSAGES, 'message', { from: user.name, text: required(form, 'text') });
    return { body: {} };
  },

  '/topic': async (user, form) => {
    await backend.trigger(TOPIC, 'topic', { from: user.name, text: required(form, 'text') });
    return { body: {} };
  },

  // To one user, on whichever devices that user has the page open.
  '/notes': async (user, form) => {
    await backend.sendToUser(required(form, 'to'), 'note', { from: user.name, text: required(form, 'text') });
    return { body: {} };
  },
};

function required(form, field) {
  const value = form.get(field)?.trim();
  if (!value) throw new Refusal(400, `${field} is missing`);
  return value;
}

/** Calls what signs: it throws where the socket id or the channel is none. */
function signed(sign) {
  try {
    return sign();
  } catch (error) {
    throw new Refusal(400, error.message);
  }
}

async function formOf(request) {
  let text = '';
  for await (const part of request) {
    text += part;
    if (text.length > LONGEST_BODY) throw new Refusal(413, 'too long');
  }
  return new URLSearchParams(text);
}

function userOf(request) {
  const session = /(?:^|;\s*)session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
  return users.get(session);
}

async function answer(request, response) {
  const [pathname] = request.url.split('?');
  if (request.method === 'GET' && pathname === '/settings') {
    return send(response, 200, { key: APP_KEY, host: env.NODE_HOST ?? null, port: NODE_PORT, members: MEMBERS, messages: MESSAGES, topic: TOPIC });
  }
  if (request.method === 'GET' && Object.hasOwn(FILES, pathname)) {
    const [path, type] = FILES[pathname];
    const file = await readFile(fileURLToPath(new URL(path, import.meta.url)));
    response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8`, 'Content-Security-Policy': "default-src 'self'; img-src data:; connect-src 'self' ws: wss:" });
    return response.end(file);
  }
  if (request.method !== 'POST' || !Object.hasOwn(POSTS, pathname)) throw new Refusal(404, 'no such page');
  const user = userOf(request);
  if (!user && pathname !== '/login') throw new Refusal(403, 'log in first');
  const { body, cookie } = await POSTS[pathname](user, await formOf(request));
  return send(response, 200, body, cookie && { 'Set-Cookie': cookie });
}

function send(response, status, body, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (!(error instanceof Refusal)) console.error(error.message);
    send(response, error.status ?? 502, { error: error instanceof Refusal ? error.message : 'the node did not take it' });
  });
});

server.listen(Number(env.PORT ?? 3000), env.HOST ?? '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`chat on http://${address}:${port}, node on ${NODE_HOST}:${NODE_PORT}`);
});
