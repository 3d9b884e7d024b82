// Starts the built binary on a free port of this machine, with a configuration file of its own.

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { eventually, within } from './wait.mjs';

const BINARY = process.env.MICRONOTIFIER_BIN
  ?? fileURLToPath(new URL('../../../target/release/micronotifier', import.meta.url));

/** The application most tests talk to. */
export const APP = { id: '1', name: 'testapp', key: '1234567890', secret: 'abcdefghij', 'client-events': true };

/** A second application, whose subscribers are told how many they are. */
export const COUNTED_APP = { ...APP, id: '2', name: 'counted', key: 'counted-key', secret: 'counted-secret-of-a-test', 'subscription-count': true };

/** Returns a port that was free a moment ago. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** One process of the node. It can be stopped and started again on the same port. */
export class RunningNode {
  host = '127.0.0.1';
  #directory;
  #config;
  #process;
  #output = '';

  /** Lays `overrides` over the configuration for the next start. */
  async configure(overrides) {
    this.#config = { ...this.#config, ...overrides };
    await writeFile(join(this.#directory, 'config.json'), JSON.stringify(this.#config));
  }

  /** Starts a node that serves both applications, with `overrides` laid over its configuration. */
  static async start(overrides = {}) {
    const node = new RunningNode();
    node.port = await freePort();
    node.#directory = await mkdtemp(join(tmpdir(), 'micronotifier-sdk-'));
    await node.configure({
      host: node.host,
      port: node.port,
      'admin-port': 0,
      log: { level: 'warn' },
      applications: [APP, COUNTED_APP],
      ...overrides,
    });
    await node.restart();
    return node;
  }

  /** Where the node serves. */
  get url() {
    return `http://${this.host}:${this.port}`;
  }

  /** Starts the process and returns once it serves. */
  async restart() {
    this.#output = '';
    const child = spawn(BINARY, ['-c', join(this.#directory, 'config.json')], { stdio: ['ignore', 'pipe', 'pipe'] });
    let ended;
    child.once('error', (error) => { ended = `${BINARY}: ${error.message}`; });
    child.once('exit', (code, signal) => { ended = `the node ended (${signal ?? code}):\n${this.#output}`; });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => { this.#output += text; });
    }
    this.#process = child;
    await eventually('GET /up to answer 200', () => {
      if (ended) throw new Error(ended);
      return this.#isUp();
    });
  }

  async #isUp() {
    try {
      return (await fetch(`${this.url}/up`)).status === 200;
    } catch {
      return false;
    }
  }

  /** Ends the process, by SIGTERM unless told otherwise, and returns its exit code. */
  async kill(signal = 'SIGTERM') {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return within('the node to end', ended);
  }

  /** Sends a signal and waits for nothing. */
  signal(name) {
    this.#process.kill(name);
  }

  /** Ends the process for good. */
  async stop() {
    await this.kill('SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }
}
