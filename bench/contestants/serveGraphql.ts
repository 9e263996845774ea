import '../../server/graphileEnv.ts';
import { createServer, type IncomingMessage } from 'node:http';
import { postgraphile } from 'postgraphile';
import { grafserv } from 'postgraphile/grafserv/node';
import { listen } from './serve.ts';

/**
 * Serves a preset by PostGraphile's own server.
 *
 * @param prepare what happens to a request before.
 */
export async function serveGraphql(
  preset: GraphileConfig.Preset,
  prepare?: (request: IncomingMessage) => void,
): Promise<void> {
  const instance = postgraphile(preset);
  const server = createServer();
  if (prepare) server.on('request', prepare);
  const serv = instance.createServ(grafserv);
  await serv.addTo(server);
  await serv.ready();
  listen(server);
}
