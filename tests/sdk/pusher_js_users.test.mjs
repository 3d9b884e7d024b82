// pusher-js 8.6.0 in Node.js: signing in, messages to a user, watchlists.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { backendOf } from './support/backend.mjs';
import { Clients, RECONNECT_MS, inbox, next, subscribed } from './support/client.mjs';
import { RunningNode } from './support/node.mjs';

let node;
let backend;
before(async () => {
  node = await RunningNode.start();
  backend = backendOf(node);
});
after(() => node?.stop());

async function signedIn(clients, user, more = {}) {
  const client = await clients.connect({ user, ...more });
  const success = next(client, 'pusher:signin_success');
  client.signin();
  await success;
  await client.user.signinDonePromise;
  return client;
}

test('a client signs in', async (t) => {
  const clients = new Clients(t, node);
  const user = { id: 'ann', user_info: { name: 'Ann' }, watchlist: [] };
  const client = await signedIn(clients, user);
  assert.deepEqual(client.user.user_data, user);
});

test('a forged sign-in is refused, the connection stays and is nobody', async (t) => {
  const clients = new Clients(t, node);
  const forge = (_, done) => done(null, { auth: `1234567890:${'0'.repeat(64)}`, user_data: '{"id":"ann"}' });
  const client = await clients.connect({ userAuthentication: { customHandler: forge } });
  const error = next(client.connection, 'error');
  client.signin();
  assert.equal((await error).data.code, null);
  assert.equal(client.user.user_data, null);
  await subscribed(client, 'public');
});

test('a message to a user reaches all sockets of this user and nobody else', async (t) => {
  const clients = new Clients(t, node);
  const [desk, phone] = [await signedIn(clients, { id: 'u1' }), await signedIn(clients, { id: 'u1' })];
  const other = await signedIn(clients, { id: 'u2' });
  const boxes = [desk, phone, other].map((client) => inbox(client.user, 'note'));
  await backend.sendToUser('u1', 'note', { n: 1 });
  assert.deepEqual([await boxes[0].take(), await boxes[1].take()], [{ n: 1 }, { n: 1 }]);
  await backend.sendToUser('u2', 'note', { n: 2 });
  assert.deepEqual(await boxes[2].take(), { n: 2 });
});

test('a watchlist tells who is online, who comes and who goes', async (t) => {
  const clients = new Clients(t, node);
  await signedIn(clients, { id: 'early' });
  const watcher = await clients.connect({ user: { id: 'watcher', watchlist: ['early', 'late'] } });
  const [online, offline] = ['online', 'offline'].map((name) => inbox(watcher.user.watchlist, name));
  watcher.signin();
  assert.deepEqual((await online.take()).user_ids, ['early']);
  assert.deepEqual((await offline.take()).user_ids, ['late']);
  const late = await signedIn(clients, { id: 'late' });
  assert.deepEqual((await online.take()).user_ids, ['late']);
  late.disconnect();
  assert.deepEqual((await offline.take()).user_ids, ['late']);
});

test('a signed-in user joins a presence channel without channel data', async (t) => {
  const clients = new Clients(t, node);
  const client = await signedIn(clients, { id: 'ann', user_info: { name: 'Ann' } });
  const { success } = await subscribed(client, 'presence-by-signin');
  assert.deepEqual(success.me, { id: 'ann', info: { name: 'Ann' } });
});

test('a client that lost its socket signs in again by itself', async (t) => {
  const clients = new Clients(t, node);
  const client = await signedIn(clients, { id: 'returning' });
  const back = next(client, 'pusher:signin_success', RECONNECT_MS);
  await node.kill('SIGKILL');
  await node.restart();
  await back;
  const note = next(client.user, 'note');
  await backend.sendToUser('returning', 'note', { n: 3 });
  assert.deepEqual(await note, { n: 3 });
});
