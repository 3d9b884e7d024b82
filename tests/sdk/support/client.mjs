// pusher-js pointed at a running node, authorised by the backend's SDK without an HTTP detour.

import { createRequire } from 'node:module';
import Pusher from 'pusher-js';
import WebSocket from 'ws';

import { backendOf } from './backend.mjs';
import { APP } from './node.mjs';
import { DEADLINE_MS, Inbox, within } from './wait.mjs';

/** Returns pusher-js with the encryption bundle: the worker build, given the two globals a worker has. */
export function pusherWithEncryption() {
  globalThis.self ??= globalThis;
  globalThis.WebSocket ??= WebSocket;
  return createRequire(import.meta.url)('pusher-js/dist/worker/pusher-with-encryption.worker.js');
}

/**
 * Returns the options of a client of `node`.
 * `member` is the presence data it joins with, `user` what it signs in as.
 */
export function clientOptions(node, { app = APP, member, user, ...more } = {}) {
  const backend = backendOf(node, app);
  return {
    cluster: '',
    wsHost: node.host,
    wsPort: node.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    disableStats: true,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => {
        const data = channelName.startsWith('presence-') ? member : undefined;
        done(null, backend.authorizeChannel(socketId, channelName, data));
      },
    },
    userAuthentication: {
      customHandler: ({ socketId }, done) => done(null, backend.authenticateUser(socketId, user)),
    },
    ...more,
  };
}

/** Clients of one test, disconnected together when it ends. */
export class Clients {
  #open = [];

  constructor(test, node) {
    this.node = node;
    test.after(() => this.#open.forEach((client) => client.disconnect()));
  }

  /** Starts a client without waiting; `Client` is the class, pusher-js by default. */
  start(options = {}, Client = Pusher) {
    const key = options.key ?? options.app?.key ?? APP.key;
    const client = new Client(key, clientOptions(this.node, options));
    this.#open.push(client);
    return client;
  }

  /** Starts a client and returns it once it is connected. */
  async connect(options = {}, Client = Pusher) {
    const client = this.start(options, Client);
    await state(client, 'connected');
    return client;
  }
}

/** A client that meets a closed port tries again after 1 s, then after 15 s, in milliseconds. */
export const RECONNECT_MS = 40_000;

/** Returns once `client` is in the named state. */
export function state(client, name, milliseconds = DEADLINE_MS) {
  const reached = new Promise((resolve) => {
    if (client.connection.state === name) resolve();
    else client.connection.bind(name, resolve);
  });
  return within(`the state ${name}`, reached, milliseconds);
}

/**
 * Returns what the next `name` on `emitter` (a client, channel, connection or user) brings:
 * its data, or data and metadata where the event says which user sent it.
 */
export function next(emitter, name, milliseconds = DEADLINE_MS) {
  const told = new Promise((resolve) => {
    const heard = (data, metadata) => {
      emitter.unbind(name, heard);
      resolve(metadata?.user_id ? { data, metadata } : data);
    };
    emitter.bind(name, heard);
  });
  return within(`the event ${name}`, told, milliseconds);
}

/** Subscribes `client` and returns the channel once it is subscribed, with what the success brought. */
export async function subscribed(client, name) {
  const channel = client.subscribe(name);
  const success = await next(channel, 'pusher:subscription_succeeded');
  return { channel, success };
}

/** Returns an inbox of all `name` events of `emitter`. */
export function inbox(emitter, name) {
  const box = new Inbox(name);
  emitter.bind(name, box.put);
  return box;
}

/** Returns the Pusher code in what a connection's `error` event brings, before and after the handshake. */
export function errorCode(error) {
  return (error.error ?? error).data.code;
}
