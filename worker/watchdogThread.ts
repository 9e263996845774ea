import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

/** The thread of `openWatchdog`. */

const { ticks, limitMs } = workerData as { ticks: Int32Array; limitMs: number };
/** How often it looks in the time that the loop may stand still. */
const looks = 10;
let seen = Atomics.load(ticks, 0);
let missed = 0;

// It counts its own looks and not the time: a process that was stopped and goes on was not blocked.
setInterval(() => {
  const now = Atomics.load(ticks, 0);
  missed = now === seen ? missed + 1 : 0;
  seen = now;
  if (missed <= looks) return;
  const line = {
    level: 'fatal',
    time: new Date().toISOString(),
    limitMs,
    msg: 'event loop blocked',
  };
  try {
    writeSync(1, `${JSON.stringify(line)}\n`);
  } finally {
    process.kill(process.pid, 'SIGKILL');
  }
}, limitMs / looks);
