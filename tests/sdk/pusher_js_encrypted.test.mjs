// pusher-js 8.6.0 with the encryption bundle, and npm pusher 5.3.4 encrypting: the node sees ciphertext only.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { backendOf } from './support/backend.mjs';
import { Clients, inbox, next, pusherWithEncryption, subscribed } from './support/client.mjs';
import { APP, RunningNode } from './support/node.mjs';
import { RawSocket } from './support/raw.mjs';

let node;
let backend;
let Encrypting;
before(async () => {
  Encrypting = pusherWithEncryption();
  node = await RunningNode.start();
  backend = backendOf(node);
});
after(() => node?.stop());

test('what the backend encrypts the client reads, and the wire carries neither word nor key', async (t) => {
  const clients = new Clients(t, node);
  const { channel } = await subscribed(await clients.connect({}, Encrypting), 'private-encrypted-vault');
  const heard = next(channel, 'secret');

  const raw = await RawSocket.open(node, APP.key, 'protocol=7');
  t.after(() => raw.close());
  const { auth } = backend.authorizeChannel(await raw.established(), 'private-encrypted-vault');
  raw.send(JSON.stringify({ event: 'pusher:subscribe', data: { auth, channel: 'private-encrypted-vault' } }));
  assert.equal((await raw.frame()).event, 'pusher_internal:subscription_succeeded');

  await backend.trigger('private-encrypted-vault', 'secret', { word: 'swordfish' });
  assert.deepEqual(await heard, { word: 'swordfish' });
  const frame = await raw.frame();
  assert.equal(frame.event, 'secret');
  assert.deepEqual(Object.keys(JSON.parse(frame.data)).sort(), ['ciphertext', 'nonce']);
  assert.doesNotMatch(JSON.stringify(frame), /swordfish/);
});

test('a batch may hold encrypted and clear events', async (t) => {
  const clients = new Clients(t, node);
  const client = await clients.connect({}, Encrypting);
  await subscribed(client, 'private-encrypted-batch');
  await subscribed(client, 'clear-batch');
  const events = { sealed: inbox(client.channel('private-encrypted-batch'), 'event'), clear: inbox(client.channel('clear-batch'), 'event') };
  await backend.triggerBatch([
    { channel: 'private-encrypted-batch', name: 'event', data: { n: 1 } },
    { channel: 'clear-batch', name: 'event', data: { n: 2 } },
  ]);
  assert.deepEqual(await events.sealed.take(), { n: 1 });
  assert.deepEqual(await events.clear.take(), { n: 2 });
});

test('an encrypted cache channel misses in clear and replays ciphertext', async (t) => {
  const clients = new Clients(t, node);
  const early = (await clients.connect({}, Encrypting)).subscribe('private-encrypted-cache-vault');
  await next(early, 'pusher:cache_miss');
  await backend.trigger('private-encrypted-cache-vault', 'secret', { n: 1 });
  const late = (await clients.connect({}, Encrypting)).subscribe('private-encrypted-cache-vault');
  assert.deepEqual(await next(late, 'secret'), { n: 1 });
});
