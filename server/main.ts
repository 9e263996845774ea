import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { makeLifecycle } from '../platform/lifecycle.ts';
import { makeLogger } from '../platform/logging.ts';
import { makeApp } from './app.ts';
import { closeServer, setServerTimeouts } from './http/server.ts';
import { openParts } from './openParts.ts';

/** The API process, `npm run serve`: config → open → listen → signals. */

const config = loadConfigOrExit('api');
const log = makeLogger(config);
const lifecycle = makeLifecycle({ log });
lifecycle.onSignals();

const parts = openParts(config, log, lifecycle);
const server = createServer(makeApp(parts));
setServerTimeouts(server);

// Listening before the schema is built: liveness answers, readiness says what is missing.
server.listen(config.port, config.host);
await once(server, 'listening');
lifecycle.opened(
  'listener',
  () => closeServer(server, config.shutdownGraceMs),
  config.shutdownGraceMs + 1_000,
);
lifecycle.opened(
  'drain',
  () => parts.drain(config.shutdownDrainMs),
  config.shutdownDrainMs + 1_000,
);

const { port } = server.address() as AddressInfo;
const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`;
log.info({ url }, 'listening');
await parts.start(server);
parts.observe({
  type: 'processReady',
  process: 'api',
  durationMs: Math.round(performance.now()),
  url,
});
