// Headless Chromium with the page of examples/chat: a person's clicks first, then pusher-js in the page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

import { backendOf } from './support/backend.mjs';
import { startChat } from './support/chat.mjs';
import { RECONNECT_MS } from './support/client.mjs';
import { APP, RunningNode } from './support/node.mjs';
import { DEADLINE_MS, within } from './support/wait.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const IN_PAGE = fileURLToPath(new URL('support/in_page.js', import.meta.url));

let node;
let backend;
let chat;
let browser;
before(async () => {
  node = await RunningNode.start();
  backend = backendOf(node);
  chat = await startChat(node);
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
});
after(async () => {
  await browser?.close();
  chat?.stop();
  await node?.stop();
});

/** Opens the page as a visitor of its own (own cookies), closed when the test ends. */
async function visit(t) {
  const context = await browser.newContext({ viewport: { width: 390, height: 800 } });
  t.after(() => context.close());
  context.setDefaultTimeout(DEADLINE_MS);
  await context.addInitScript({ path: IN_PAGE });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  t.after(() => assert.deepEqual(complaints, []));
  await page.goto(chat.url);
  return page;
}

/** Types a name and enters the room. */
async function enter(t, name) {
  const page = await visit(t);
  await page.fill('#name', name);
  await page.click('#login button');
  await page.waitForSelector(`#members li.me:text-is("${name}")`);
  return page;
}

async function write(page, to, text) {
  await page.selectOption('#to', { label: to });
  await page.fill('#text', text);
  await page.click('#write button');
}

const sees = (page, selector, text) => page.waitForSelector(`${selector}:text("${text}")`);

test('chat: people see each other come, type, write and go', async (t) => {
  const ann = await enter(t, 'Ann');
  const bob = await enter(t, 'Bob');
  await sees(ann, '#members li', 'Bob');
  await sees(bob, '#members li', 'Ann');

  await ann.locator('#text').pressSequentially('Hel');
  await sees(bob, '#typing', 'Ann is typing');
  await write(ann, 'To all', 'Hello <b>world</b> 🎈');
  const line = await sees(bob, '#messages li', 'Hello <b>world</b> 🎈');
  assert.equal(await line.innerText(), 'Ann\nHello <b>world</b> 🎈');
  await sees(ann, '#messages li.own', 'Hello');

  await bob.close();
  await ann.waitForSelector('#members li:text-is("Bob")', { state: 'detached' });
});

test('chat: a note reaches one user only, the topic also who comes later', async (t) => {
  const [ann, bob, carol] = [await enter(t, 'Ann2'), await enter(t, 'Bob2'), await enter(t, 'Carol2')];
  await ann.waitForSelector('#to option:text-is("Bob2")', { state: 'attached' });
  await write(ann, 'Bob2', 'only for you');
  await sees(bob, '#messages li.note', 'only for you');
  await write(ann, 'As topic', 'Gardening');
  await sees(carol, '#topic', 'Gardening');
  assert.equal(await carol.locator('#messages li').count(), 0);
  const dan = await enter(t, 'Dan2');
  await sees(dan, '#topic', 'Gardening');
});

test('chat: the page comes back by itself after the node restarts', async (t) => {
  const [ann, bob] = [await enter(t, 'Ann3'), await enter(t, 'Bob3')];
  for (const page of [ann, bob]) await page.waitForSelector('#state.connected');
  const away = [ann, bob].map((page) => within('the state to change', page.evaluate(() => new Promise((resolve) => {
    new MutationObserver(() => resolve()).observe(document.getElementById('state'), { attributes: true });
  }))));
  await node.kill('SIGKILL');
  await node.restart();
  await Promise.all(away);
  for (const page of [ann, bob]) await page.waitForSelector('#state.connected', { timeout: RECONNECT_MS });
  await sees(ann, '#members li', 'Bob3');
  await sees(bob, '#members li', 'Ann3');
  await write(ann, 'To all', 'still here');
  await sees(bob, '#messages li', 'still here');
});

/** Opens a page whose visitor the backend knows, with pusher-js connected in it. */
async function connected(t, name, options = {}) {
  const page = await visit(t);
  await page.request.post(`${chat.url}/login`, { form: { name } });
  await page.evaluate(async ([key, port, more]) => {
    const { connection } = await harness.connect(key, port, more);
    if (connection.state !== 'connected') await harness.next(connection, 'connected');
  }, [APP.key, node.port, options]);
  return page;
}

/** Subscribes in the page and keeps `event` of the channel under that name. */
const listen = (page, channel, event) => page.evaluate(async ([name, kept]) => {
  harness.keep(kept, harness.kept.client.subscribe(name), kept);
  await harness.next(harness.kept.client.channel(name), 'pusher:subscription_succeeded');
}, [channel, event]);

/** Returns the first `count` entries kept under `box`. */
async function heard(page, box, count = 1) {
  await page.waitForFunction(([name, wanted]) => harness.kept[name]?.length >= wanted, [box, count]);
  return page.evaluate((name) => harness.kept[name], box);
}

test('pusher-js in Chromium: a public channel', async (t) => {
  const page = await connected(t, 'public');
  await listen(page, 'browser', 'event');
  await backend.trigger('browser', 'event', { text: 'wörld \u2028 🎈' });
  await backend.trigger('browser', 'event', 'plain');
  assert.deepEqual((await heard(page, 'event', 2)).map(({ data }) => data), [{ text: 'wörld \u2028 🎈' }, 'plain']);
});

test('pusher-js in Chromium: private channels, client events, exclusion', async (t) => {
  const [ann, bob] = [await connected(t, 'Ann'), await connected(t, 'Bob')];
  for (const page of [ann, bob]) await listen(page, 'private-chat-browser', 'client-hi');
  await ann.evaluate(() => harness.kept.client.channel('private-chat-browser').trigger('client-hi', { from: 'ann' }));
  assert.deepEqual((await heard(bob, 'client-hi'))[0].data, { from: 'ann' });
  const socket = await bob.evaluate(() => harness.kept.client.connection.socket_id);
  await backend.trigger('private-chat-browser', 'client-hi', { n: 1 }, { socket_id: socket });
  await backend.trigger('private-chat-browser', 'client-hi', { n: 2 });
  assert.deepEqual((await heard(ann, 'client-hi', 2)).map(({ data }) => data), [{ n: 1 }, { n: 2 }]);
  assert.deepEqual((await heard(bob, 'client-hi', 2)).map(({ data }) => data), [{ from: 'ann' }, { n: 2 }]);
});

test('pusher-js in Chromium: presence', async (t) => {
  const ann = await connected(t, 'Ann');
  await ann.evaluate(async () => {
    const channel = harness.kept.client.subscribe('presence-chat-browser');
    harness.keep('added', channel, 'pusher:member_added');
    harness.keep('removed', channel, 'pusher:member_removed');
    harness.keep('client-hi', channel, 'client-hi');
    await harness.next(channel, 'pusher:subscription_succeeded');
  });
  const bob = await connected(t, 'Bob');
  const { me, count } = await bob.evaluate(async () => {
    const { members } = await harness.subscribed('presence-chat-browser');
    return { me: members.me, count: members.count };
  });
  assert.equal(count, 2);
  assert.deepEqual(me.info, { name: 'Bob' });
  assert.deepEqual((await heard(ann, 'added'))[0].data, me);
  await bob.evaluate(() => harness.kept.client.channel('presence-chat-browser').trigger('client-hi', 1));
  assert.deepEqual(await heard(ann, 'client-hi'), [{ data: 1, user: me.id }]);
  await bob.close();
  assert.deepEqual((await heard(ann, 'removed'))[0].data, me);
});

test('pusher-js in Chromium: an encrypted channel, with the encryption bundle', async (t) => {
  const page = await connected(t, 'Ann');
  await listen(page, 'private-encrypted-chat-lobby', 'message');
  await page.request.post(`${chat.url}/messages`, { form: { text: 'sealed' } });
  assert.equal((await heard(page, 'message'))[0].data.text, 'sealed');
});

test('pusher-js in Chromium: sign-in, and a message to the user', async (t) => {
  const page = await connected(t, 'Ann');
  const id = await page.evaluate(async () => {
    const { client } = harness.kept;
    harness.keep('note', client.user, 'note');
    client.signin();
    await client.user.signinDonePromise;
    return client.user.user_data.id;
  });
  await backend.sendToUser(id, 'note', { n: 1 });
  assert.deepEqual((await heard(page, 'note'))[0].data, { n: 1 });
  await backend.terminateUserConnections(id);
  await page.waitForFunction(() => harness.kept.client.connection.state === 'disconnected');
});

test('pusher-js in Chromium: a cache channel misses, then brings the last event', async (t) => {
  const early = await connected(t, 'early');
  await early.evaluate(() => harness.keep('miss', harness.kept.client.subscribe('cache-browser'), 'pusher:cache_miss'));
  await heard(early, 'miss');
  await backend.trigger('cache-browser', 'event', { n: 1 });
  const late = await connected(t, 'late');
  await late.evaluate(() => harness.keep('event', harness.kept.client.subscribe('cache-browser'), 'event'));
  assert.deepEqual((await heard(late, 'event'))[0].data, { n: 1 });
});

test('pusher-js in Chromium: check 16: an unknown key', async (t) => {
  const page = await visit(t);
  await page.evaluate(async (port) => {
    const { connection } = await harness.connect('nobody', port);
    if (connection.state !== 'disconnected') await harness.next(connection, 'disconnected');
  }, node.port);
  const errors = await heard(page, 'errors');
  assert.equal(errors.length, 1);
  assert.equal(errors[0].data.error.data.code, 4001);
});

test('pusher-js in Chromium: a refused subscription', async (t) => {
  const page = await connected(t, 'Ann');
  await page.evaluate(([key]) => {
    const forge = (_, done) => done(null, { auth: `${key}:${'0'.repeat(64)}` });
    harness.kept.client.config.channelAuthorizer = forge;
    harness.keep('refused', harness.kept.client.subscribe('private-chat-x'), 'pusher:subscription_error');
  }, [APP.key]);
  const [{ data }] = await heard(page, 'refused');
  assert.equal(data.type, 'AuthError');
  assert.equal(data.status, 401);
});
