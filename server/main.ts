import './graphileEnv.ts';
import { createServer } from 'node:http';
import { Command } from 'commander';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { closeServer, listen, setServerTimeouts } from '../platform/http/listen.ts';
import { makeLifecycle } from '../platform/lifecycle.ts';
import { logConsole, makeLogger } from '../platform/logging.ts';
import { makeApp } from './app.ts';
import { openParts } from './openParts.ts';

/** The API process, `npm run serve`: config → open → listen → signals. */

new Command('serve')
  .description('Serves the API. Settings come from the environment: docs/configuration.md.')
  .parse();

const config = loadConfigOrExit('api');
const log = makeLogger(config);
logConsole(log);
const lifecycle = makeLifecycle({ log });
lifecycle.onSignals();

const parts = openParts(config, log, lifecycle);
const server = createServer(makeApp(parts));
setServerTimeouts(server);

// Listening before the schema is built: liveness answers, readiness says what is missing.
const url = await listen(server, { port: config.port, host: config.host, setting: 'PORT' });
const { shutdownGraceMs, shutdownDrainMs } = config;
lifecycle.opened('listener', () => closeServer(server, shutdownGraceMs), shutdownGraceMs + 1_000);
lifecycle.opened('drain', () => parts.drain(shutdownDrainMs), shutdownDrainMs + 1_000);
log.info({ url }, 'listening');

await parts.start();
const durationMs = Math.round(performance.now());
parts.observe({ type: 'processReady', process: 'api', durationMs, url });
