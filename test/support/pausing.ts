import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, request as send } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Ways to a database and to a service on which one step can be held: before it arrives, or
 * done and not answered. Whoever asked waits there, and can be killed in just that moment.
 */

/** Where a step is held: `sent` never arrives, `done` is never answered. */
export type Held = 'sent' | 'done';

/** A way that can be held. */
export type PausingWay = {
  url: string;
  /** Resolves when the next step that is so is held. What is held stays so: its connection is lost. */
  hold(isIt: IsStep, where: Held): Promise<void>;
  close(): Promise<void>;
};

/** Whether that is the step; `before` is what went the same way last, where that is known. */
export type IsStep = (step: string, before: string) => boolean;

type Trap = { isIt: IsStep; where: Held; reached: () => void };

/** Of what went before on a connection, so many characters are remembered. */
const remembered = 64_000;

function makeTrap() {
  let trap: Trap | undefined;
  return {
    hold: (isIt: Trap['isIt'], where: Held) =>
      new Promise<void>((reached) => {
        trap = { isIt, where, reached };
      }),
    /** The trap that this step falls into, which is gone with it. */
    spring(step: string, before = ''): Trap | undefined {
      if (!trap?.isIt(step, before)) return undefined;
      const sprung = trap;
      trap = undefined;
      return sprung;
    },
  };
}

/** Opens a way to Postgres. A step is what a client sends at once: the SQL stands in it. */
export async function openPausingDatabase(connectionString: string): Promise<PausingWay> {
  const { port: targetPort, hostname } = new URL(connectionString);
  const trap = makeTrap();
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(targetPort), hostname);
    let before = '';
    let isHeld = false;
    let isDone: (() => void) | undefined;
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.setNoDelay(true);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
    near.on('data', (piece) => {
      if (isHeld) return;
      const step = piece.toString('latin1');
      const sprung = trap.spring(step, before);
      before = (before + step).slice(-remembered);
      if (sprung?.where === 'sent') {
        isHeld = true;
        return sprung.reached();
      }
      isDone = sprung?.reached;
      far.write(piece);
    });
    far.on('data', (piece) => {
      if (isDone) isHeld = true;
      isDone?.();
      isDone = undefined;
      if (!isHeld) near.write(piece);
    });
  });
  const url = new URL(connectionString);
  url.host = `127.0.0.1:${await listening(server)}`;
  return {
    url: url.href,
    hold: trap.hold,
    async close() {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** Opens a way to a store or another service. A step is the method and the URL of a request, and what it copies or its key. */
export async function openPausingService(endpoint: string): Promise<PausingWay> {
  const { hostname, port: targetPort } = new URL(endpoint);
  const trap = makeTrap();
  const server = createHttp((request, response) => {
    const sprung = trap.spring(stepOf(request));
    if (sprung?.where === 'sent') return sprung.reached();
    const { method, url: path, headers } = request;
    const onward = send({ hostname, port: targetPort, path, method, headers }, (answer) => {
      if (sprung) {
        // Its head and its first bytes, so that whoever reads is in the middle of it.
        answer.once('data', (piece: Buffer) => {
          if (method === 'GET') {
            response.writeHead(answer.statusCode ?? 502, answer.headers);
            response.write(piece.subarray(0, piece.length / 2));
          }
          answer.pause();
          sprung.reached();
        });
        answer.once('end', sprung.reached);
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  const port = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    hold: trap.hold,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const stepOf = ({ method, url, headers }: IncomingMessage) =>
  `${method} ${url} ${headers['x-amz-copy-source'] ?? headers['idempotency-key'] ?? ''}`;

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
