import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon, { type Result } from 'autocannon';
import { type Latencies, summarizeLatencies } from './latencies.ts';

/**
 * The process that makes the load: told what to send by messages of the bench, so
 * that its own work is nobody's figure.
 */

/** What to send, and how. */
export type Load = {
  url: string;
  requests: readonly LoadRequest[];
  seconds: number;
  /** As many as are always busy; with a `rate` as many as it takes. */
  connections: number;
  /** Requests per second, sent at their time whether earlier ones are answered or not. */
  rate?: number | undefined;
};
export type LoadRequest = { headers: Record<string, string>; body: string };

/** What came of it. */
export type LoadResult = {
  answered: number;
  /** Answers with another status than 200 or with errors, and requests without an answer. */
  failed: number;
  seconds: number;
  latencies: Latencies;
};

process.on('message', async (load: Load) => {
  const result = await (load.rate ? sendAtRate(load, load.rate) : keepBusy(load));
  process.send?.(result);
});

/** Keeps every connection busy: for throughput and for the cost of a request. */
async function keepBusy({ url, requests, seconds, connections }: Load): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  let at = 0;
  const ended = Promise.withResolvers<Result>();
  const run = autocannon(
    {
      url,
      connections,
      duration: seconds,
      sampleInt: 100,
      method: 'POST',
      // Every connection has callers of its own.
      setupClient(client) {
        const own = requests.filter((_, i) => i % connections === at);
        at += 1;
        client.setRequests(own.map((request) => ({ ...request })));
      },
      verifyBody: (body) => !hasErrors(String(body)),
    },
    (error, result) => (error ? ended.reject(error) : ended.resolve(result)),
  );
  // Its own histogram knows whole milliseconds only.
  run.on('response', (_client, _status, _bytes, responseMs) => latenciesMs.push(responseMs));
  const { duration, non2xx, errors, mismatches } = await ended.promise;
  return {
    answered: latenciesMs.length,
    failed: non2xx + errors + mismatches,
    seconds: duration,
    latencies: summarizeLatencies(latenciesMs),
  };
}

/**
 * Sends at a steady rate, whatever comes back. autocannon's own rate sends the
 * requests of a second in one go and then rests, which measures the queue it made.
 * A latency counts from when the request was due, so that what this process sends
 * late, by a millisecond or because it had to wait for a core, is not left out.
 */
async function sendAtRate(load: Load, rate: number): Promise<LoadResult> {
  const { url, requests, seconds } = load;
  const agent = new Agent({ keepAlive: true });
  const latenciesMs: number[] = [];
  let failed = 0;
  const pending: Promise<void>[] = [];
  const startedMs = performance.now();
  const total = Math.round(rate * seconds);
  for (let sent = 0; sent < total; ) {
    const dueNow = Math.min(total, Math.floor(((performance.now() - startedMs) / 1000) * rate) + 1);
    for (; sent < dueNow; sent++) {
      const next = requests[sent % requests.length];
      if (!next) throw new RangeError('There is nothing to send.');
      const dueMs = startedMs + (sent / rate) * 1000;
      const answered = sendOne(url, next, agent, dueMs).then(
        (responseMs) => void latenciesMs.push(responseMs),
        () => {
          failed += 1;
        },
      );
      pending.push(answered);
    }
    await sleep(1);
  }
  await Promise.all(pending);
  agent.destroy();
  return {
    answered: latenciesMs.length,
    failed,
    seconds: (performance.now() - startedMs) / 1000,
    latencies: summarizeLatencies(latenciesMs),
  };
}

/** The milliseconds from when it was due to its whole answer. */
function sendOne(
  url: string,
  { headers, body }: LoadRequest,
  agent: Agent,
  dueMs: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method: 'POST', headers, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200 && !hasErrors(text)) resolve(performance.now() - dueMs);
        else reject(new Error(text));
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

const hasErrors = (body: string) => body.startsWith('{"errors"') || body.includes('"errors":[');
