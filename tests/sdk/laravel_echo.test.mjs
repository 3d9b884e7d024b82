// laravel-echo 2.5.0 with both of its Pusher broadcasters (check 123).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

import { backendOf } from './support/backend.mjs';
import { clientOptions, pusherWithEncryption, state } from './support/client.mjs';
import { APP, RunningNode } from './support/node.mjs';
import { Inbox } from './support/wait.mjs';

let node;
let backend;
before(async () => {
  node = await RunningNode.start();
  backend = backendOf(node);
});
after(() => node?.stop());

/** Connects as Laravel's starter kits do; Laravel calls members `{id, name}`. */
async function echo(t, broadcaster, options = {}, Client = Pusher) {
  const member = options.name && { user_id: options.name, user_info: { id: options.name, name: options.name } };
  const instance = new Echo({ broadcaster, key: APP.key, Pusher: Client, ...clientOptions(node, { member, ...options }) });
  t.after(() => instance.disconnect());
  await state(instance.connector.pusher, 'connected');
  return instance;
}

/** Returns an inbox that `listen` fills, once `channel` is subscribed. */
async function joined(channel) {
  const done = new Inbox('subscribed');
  channel.subscribed(done.put);
  await done.take();
  return channel;
}

for (const broadcaster of ['pusher', 'reverb']) {
  test(`${broadcaster}: events by class name, by .name, and notifications`, async (t) => {
    const client = await echo(t, broadcaster);
    const events = new Inbox('events');
    const channel = await joined(client.channel('orders'));
    channel
      .listen('OrderShipped', (data) => events.put(['class', data]))
      .listen('.order.shipped', (data) => events.put(['name', data]))
      .notification((data) => events.put(['notification', data]));
    await backend.trigger('orders', 'App\\Events\\OrderShipped', { n: 1 });
    await backend.trigger('orders', 'order.shipped', { n: 2 });
    await backend.trigger('orders', 'Illuminate\\Notifications\\Events\\BroadcastNotificationCreated', { n: 3 });
    assert.deepEqual(await events.take(), ['class', { n: 1 }]);
    assert.deepEqual(await events.take(), ['name', { n: 2 }]);
    assert.deepEqual(await events.take(), ['notification', { n: 3 }]);
  });

  test(`${broadcaster}: a private channel, whispers, and events to others`, async (t) => {
    const [ann, bob] = [await echo(t, broadcaster), await echo(t, broadcaster)];
    const heard = new Inbox('whispers');
    const [toAnn, toBob] = [new Inbox('events of Ann'), new Inbox('events of Bob')];
    const annRoom = await joined(ann.private('room').listen('Posted', toAnn.put));
    await joined(bob.private('room').listenForWhisper('typing', heard.put).listen('Posted', toBob.put));
    annRoom.whisper('typing', { name: 'Ann' });
    assert.deepEqual(await heard.take(), { name: 'Ann' });
    // toOthers(): Laravel passes the header X-Socket-ID on as socket_id.
    await backend.trigger('private-room', 'App\\Events\\Posted', { n: 1 }, { socket_id: ann.socketId() });
    await backend.trigger('private-room', 'App\\Events\\Posted', { n: 2 });
    assert.deepEqual([await toBob.take(), await toBob.take()], [{ n: 1 }, { n: 2 }]);
    assert.deepEqual(await toAnn.take(), { n: 2 });
  });

  test(`${broadcaster}: check 123: here, joining, leaving`, async (t) => {
    const [here, joining, leaving] = ['here', 'joining', 'leaving'].map((name) => new Inbox(name));
    const ann = await echo(t, broadcaster, { name: 'ann' });
    ann.join('room').here(here.put).joining(joining.put).leaving(leaving.put);
    assert.deepEqual(await here.take(), [{ id: 'ann', name: 'ann' }]);
    const bob = await echo(t, broadcaster, { name: 'bob' });
    const both = new Inbox('here of bob');
    bob.join('room').here(both.put);
    assert.deepEqual((await both.take()).map(({ name }) => name).sort(), ['ann', 'bob']);
    assert.deepEqual(await joining.take(), { id: 'bob', name: 'bob' });
    bob.leave('room');
    assert.deepEqual(await leaving.take(), { id: 'bob', name: 'bob' });
  });

  test(`${broadcaster}: check 123: error on bad auth`, async (t) => {
    const forge = (_, done) => done(null, { auth: `${APP.key}:${'f'.repeat(64)}` });
    const client = await echo(t, broadcaster, { channelAuthorization: { customHandler: forge } });
    const errors = new Inbox('errors');
    client.private('room').error(errors.put);
    const error = await errors.take();
    assert.equal(error.type, 'AuthError');
    assert.equal(error.status, 401);
  });

  test(`${broadcaster}: an encrypted private channel`, async (t) => {
    const client = await echo(t, broadcaster, {}, pusherWithEncryption());
    const events = new Inbox('events');
    await joined(client.encryptedPrivate('vault').listen('Posted', events.put));
    await backend.trigger('private-encrypted-vault', 'App\\Events\\Posted', { word: 'swordfish' });
    assert.deepEqual(await events.take(), { word: 'swordfish' });
  });
}
