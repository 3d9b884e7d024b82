// Runs in the browser page before its own scripts: short words for what the tests do with pusher-js there.

/* global Pusher */

const DEADLINE_MS = 15_000;

window.harness = {
  kept: {},

  /** Connects as the example's page does, or with options laid over that. */
  async connect(key, port, options = {}) {
    const client = new Pusher(key, {
      cluster: '',
      wsHost: location.hostname,
      wsPort: port,
      forceTLS: false,
      enabledTransports: ['ws'],
      disableStats: true,
      channelAuthorization: { endpoint: '/pusher/auth', transport: 'ajax' },
      userAuthentication: { endpoint: '/pusher/user-auth', transport: 'ajax' },
      ...options,
    });
    this.kept.client = client;
    this.keep('errors', client.connection, 'error');
    return client;
  },

  /** Returns what the next `name` on `emitter` brings. */
  next(emitter, name) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited for ${name}`)), DEADLINE_MS);
      const heard = (data, metadata) => {
        clearTimeout(timer);
        emitter.unbind(name, heard);
        resolve({ data, user: metadata?.user_id });
      };
      emitter.bind(name, heard);
    });
  },

  /** Starts to keep every `name` of `emitter` under `box`. */
  keep(box, emitter, name) {
    const entries = [];
    this.kept[box] = entries;
    emitter.bind(name, (data, metadata) => entries.push({ data, user: metadata?.user_id }));
  },

  /** Subscribes and returns once that succeeded. */
  async subscribed(name) {
    const channel = this.kept.client.subscribe(name);
    await this.next(channel, 'pusher:subscription_succeeded');
    return channel;
  },
};
