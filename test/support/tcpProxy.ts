import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Which way data goes: to the server, or back to the client. */
export type Way = 'there' | 'back';

/**
 * What befalls one chunk of data.
 *
 * - `cut`: the first half arrives, then both ends are reset.
 * - `garble`: eight bytes somewhere in it arrive with their high bits flipped, so
 *   that no text turns into another valid one by it.
 * - `stall`: it and all that follows it on this way comes later, by `stallMs`.
 * - `halfOpen`: nothing comes through any more, either way, and nobody is told.
 */
export type Fault = 'cut' | 'garble' | 'stall' | 'halfOpen';

/** Faults at random: each chunk has this chance of one of these kinds. */
export type RandomFaults = { seed: number; chance: number; kinds: readonly Fault[] };

/** A way to a server that can be bad in many ways. */
export type TcpProxy = {
  /** The connection string that leads this way. */
  url: string;
  /** How long everything takes, each way. */
  delayMs: number;
  stallMs: number;
  /** Lets one thing happen to the next chunk that goes this way, on any connection. */
  next(way: Way, fault: Fault): void;
  /** From now on, until told `undefined`. */
  atRandom(faults: RandomFaults | undefined): void;
  /**
   * How often a client sent something since the last call, where what it sends before
   * it hears back counts once: the round trips it made, connecting included.
   */
  takeRoundTrips(): number;
  /** What has happened since the start. */
  readonly happened: Record<Fault, number>;
  /** Connections open now. */
  readonly connections: number;
  close(): Promise<void>;
};

/** Opens a way to the database of a connection string. */
export async function openTcpProxy(connectionString: string): Promise<TcpProxy> {
  const target = new URL(connectionString);
  const happened: Record<Fault, number> = { cut: 0, garble: 0, stall: 0, halfOpen: 0 };
  const planned: { way: Way; fault: Fault }[] = [];
  const links = new Set<Link>();
  let random: { chance: number; kinds: readonly Fault[]; draw: () => number } | undefined;
  let roundTrips = 0;

  const chooseFault = (way: Way): Fault | undefined => {
    const at = planned.findIndex((one) => one.way === way);
    if (at >= 0) return planned.splice(at, 1)[0]?.fault;
    if (!random || random.draw() >= random.chance) return undefined;
    return random.kinds[Math.floor(random.draw() * random.kinds.length)];
  };

  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    const link: Link = { near, far, isDead: false, lastWay: 'back' };
    links.add(link);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', () => cut(link));
      socket.on('close', () => {
        if (near.closed && far.closed) links.delete(link);
        // Also where it only now becomes half open, by what the server still sends.
        else setTimeout(() => far.destroy(), buryAfterMs).unref();
      });
    }
    relay(link, 'there', near, far);
    relay(link, 'back', far, near);
  });

  function relay(link: Link, way: Way, from: Socket, to: Socket): void {
    let laterMs = 0;
    const after = (work: () => void) => {
      const delayMs = proxy.delayMs + laterMs;
      if (delayMs === 0) work();
      // Timers of equal length keep their order, and a stalled way stays so.
      else setTimeout(work, delayMs);
    };
    from.on('data', (chunk) => {
      if (way === 'there' && link.lastWay === 'back') roundTrips += 1;
      link.lastWay = way;
      if (link.isDead) return;
      const fault = chooseFault(way);
      if (fault) happened[fault] += 1;
      if (fault === 'halfOpen') link.isDead = true;
      if (fault === 'stall') laterMs += proxy.stallMs;
      const arriving = fault === 'cut' ? chunk.subarray(0, chunk.length / 2) : chunk;
      after(() => {
        if (link.isDead || to.destroyed) return;
        to.write(fault === 'garble' ? garbled(arriving, random?.draw ?? Math.random) : arriving);
        if (fault === 'cut') cut(link);
      });
    });
    from.on('end', () => after(() => link.isDead || to.end()));
    from.on('close', () => after(() => link.isDead || to.destroy()));
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const url = new URL(connectionString);
  url.host = `127.0.0.1:${port}`;

  const proxy: TcpProxy = {
    url: url.href,
    delayMs: 0,
    stallMs: 50,
    happened,
    get connections() {
      return links.size;
    },
    next: (way, fault) => void planned.push({ way, fault }),
    atRandom(faults) {
      random = faults && { ...faults, draw: makeRandom(faults.seed) };
    },
    takeRoundTrips() {
      const taken = roundTrips;
      roundTrips = 0;
      return taken;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const link of links) cut(link);
      await closed;
    },
  };
  return proxy;
}

/** When the server hears that a client is gone whose connection was half open, as by a keep-alive. */
const buryAfterMs = 2_000;

type Link = { near: Socket; far: Socket; isDead: boolean; lastWay: Way };

function cut({ near, far }: Link): void {
  for (const socket of [near, far]) {
    // Node never closes a socket that is reset while it ends.
    if (socket.writableEnded) socket.destroy();
    else socket.resetAndDestroy();
  }
}

function garbled(chunk: Buffer, draw: () => number): Buffer {
  const copy = Buffer.from(chunk);
  const start = Math.floor(draw() * copy.length);
  for (let i = start; i < Math.min(start + 8, copy.length); i++) copy[i] = (copy[i] ?? 0) ^ 0x80;
  return copy;
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
