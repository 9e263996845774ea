import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';

/** Listens, says where, and stands still: what connects waits in the kernel until there is no room. */

const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 });
await once(server, 'listening');
writeSync(1, `http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
// Not longer than any test, should nobody be left to kill it.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120_000);
process.exit();
