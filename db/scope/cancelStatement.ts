import pg, { type ConnectionConfig, type PoolClient } from 'pg';

/** How long Postgres may take to hear of it. */
const withinMs = 2_000;

/**
 * Asks Postgres to cancel what this connection is running. The request travels on a
 * connection of its own and has no answer: the statement fails, or was faster. It may
 * come late, so the connection must not be used for anything else afterwards.
 */
export function cancelStatement(running: PoolClient): void {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = running;
  if (processID === null || secretKey === null) return;
  const connection = new pg.Connection({ ssl, sslNegotiation } as ConnectionConfig);
  const send = () => connection.cancel(processID, secretKey);
  // Whether it arrives or not: the statement timeout is still there.
  connection.on('error', () => {});
  const timer = setTimeout(() => connection.stream.destroy(), withinMs);
  connection.on('end', () => clearTimeout(timer));
  connection.on('connect', () => {
    if (!ssl) send();
    else if (sslNegotiation === 'postgres') connection.requestSsl();
  });
  connection.on('sslconnect', send);
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
  else connection.connect(port, host);
}
