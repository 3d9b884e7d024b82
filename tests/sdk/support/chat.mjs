// Starts the backend of examples/chat on a free port, pointed at a running node.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { APP } from './node.mjs';
import { within } from './wait.mjs';

const SERVER = fileURLToPath(new URL('../../../examples/chat/server.mjs', import.meta.url));

/** Returns the address that the backend prints, and a function that ends it. */
export async function startChat(node) {
  const child = spawn(process.execPath, [SERVER], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      HOST: '127.0.0.1',
      PORT: '0',
      NODE_HOST: node.host,
      NODE_PORT: String(node.port),
      APP_ID: APP.id,
      APP_KEY: APP.key,
      APP_SECRET: APP.secret,
    },
  });
  const printed = new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (part) => {
      text += part;
      const url = /http:\/\/[\d.:]+/.exec(text)?.[0];
      if (url && text.includes('\n')) resolve(url);
    });
    child.once('exit', (code) => reject(new Error(`examples/chat/server.mjs ended with ${code}; npm ci there?`)));
  });
  const url = await within('the chat backend', printed);
  return { url, stop: () => child.kill() };
}
