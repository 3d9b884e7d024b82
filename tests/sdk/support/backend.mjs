// The application's backend: npm `pusher` pointed at a running node.

import Backend from 'pusher';

import { APP } from './node.mjs';

/** 32 bytes, 00 to 1f: the key that encrypted channels share. */
export const MASTER_KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64');

/** Returns a server SDK for one application of `node`. */
export function backendOf(node, app = APP) {
  return new Backend({
    appId: app.id,
    key: app.key,
    secret: app.secret,
    host: node.host,
    port: String(node.port),
    useTLS: false,
    encryptionMasterKeyBase64: MASTER_KEY,
  });
}

/** Returns the JSON body of a signed GET below `/apps/{id}`. */
export async function getJson(backend, path, params = {}) {
  const response = await backend.get({ path, params });
  return response.json();
}
