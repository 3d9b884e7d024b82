// Frames and requests by hand, for SDKs that do not run here: exact text out, exact text in.

import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import WebSocket from 'ws';

import { Inbox, within } from './wait.mjs';

/** Returns the lower-case hex HMAC-SHA256 of `text`. */
export function hmac(secret, text) {
  return createHmac('sha256', secret).update(text).digest('hex');
}

/** Returns the lower-case hex MD5 of `body`. */
export function md5(body) {
  return createHash('md5').update(body).digest('hex');
}

/** A socket that shows each frame as it came. */
export class RawSocket {
  frames = new Inbox('frames');
  #socket;

  /** Connects to `/app/{key}?{query}` of `node`. */
  static async open(node, key, query, headers = {}) {
    const raw = new RawSocket();
    raw.#socket = new WebSocket(`ws://${node.host}:${node.port}/app/${key}?${query}`, { headers, perMessageDeflate: false });
    raw.closed = new Promise((resolve) => {
      raw.#socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    raw.pongs = new Inbox('pong control frames');
    raw.#socket.on('pong', (payload) => raw.pongs.put(payload.toString()));
    raw.#socket.on('message', (text, binary) => raw.frames.put(binary ? { binary: text } : JSON.parse(text)));
    await within('the upgrade', new Promise((resolve, reject) => {
      raw.#socket.once('open', resolve);
      raw.#socket.once('error', reject);
    }));
    return raw;
  }

  /** Sends text as it is. */
  send(text) {
    this.#socket.send(text);
  }

  /** Sends a WebSocket ping frame. */
  ping(payload = '') {
    this.#socket.ping(payload);
  }

  /** Returns the next frame, as the outer JSON value. */
  frame() {
    return this.frames.take();
  }

  /** Takes `connection_established` and returns the socket id in it. */
  async established() {
    const frame = await this.frame();
    if (frame.event !== 'pusher:connection_established') throw new Error(`first frame: ${JSON.stringify(frame)}`);
    return JSON.parse(frame.data).socket_id;
  }

  /** Ends the connection. */
  close() {
    this.#socket.terminate();
  }
}

/** Sends one request with exactly this path and these headers; returns status, headers and text. */
export function request(node, { method, path, headers = {}, body = '' }) {
  const answer = new Promise((resolve, reject) => {
    const length = body === '' ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const outgoing = http.request({ host: node.host, port: node.port, method, path, headers: { ...headers, ...length } }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (part) => { text += part; });
      incoming.on('end', () => resolve({ status: incoming.statusCode, headers: incoming.headers, text }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
  return within(`an answer to ${method} ${path.split('?')[0]}`, answer);
}
