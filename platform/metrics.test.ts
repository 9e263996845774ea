import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Metrics, openMetrics } from './metrics.ts';
import type { RequestFinished } from './observer.ts';

const request: RequestFinished = {
  type: 'requestFinished',
  requestId: 'r1',
  method: 'POST',
  route: '/graphql',
  status: 200,
  durationMs: 3,
  operationName: 'Me',
  operationType: 'query',
  errorCode: null,
  userHash: null,
  orgHash: null,
};

let metrics: Metrics;

beforeEach(() => {
  metrics = openMetrics({ maxOperationNames: 3 });
});

afterEach(() => metrics.close());

/** The series of a metric, without their buckets. */
async function series(name: string): Promise<string[]> {
  const text = await metrics.renderPrometheus();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

const operations = () => series('graphql_server_operation_duration_count');

describe('requests', () => {
  test('are counted and timed by method, route and status', async () => {
    metrics.sink(request);
    metrics.sink({ ...request, method: 'BREW', status: 503, durationMs: 1500 });
    expect(await series('http_server_request_duration_sum')).toEqual([
      'http_server_request_duration_sum{http_request_method="POST",http_route="/graphql",http_response_status_code="200"} 0.003',
      'http_server_request_duration_sum{http_request_method="_OTHER",http_route="/graphql",http_response_status_code="503"} 1.5',
    ]);
  });

  test('are counted by operation and outcome', async () => {
    metrics.sink(request);
    metrics.sink({ ...request, errorCode: 'TIMEOUT' });
    metrics.sink({ ...request, operationName: null });
    metrics.sink({ ...request, route: '/healthz', operationName: null, operationType: null });
    expect(await operations()).toEqual([
      'graphql_server_operation_duration_count{graphql_operation_name="Me",graphql_operation_type="query",outcome="ok"} 1',
      'graphql_server_operation_duration_count{graphql_operation_name="Me",graphql_operation_type="query",outcome="TIMEOUT"} 1',
      'graphql_server_operation_duration_count{graphql_operation_name="anonymous",graphql_operation_type="query",outcome="ok"} 1',
    ]);
  });

  test('fall into buckets of seconds', async () => {
    metrics.sink(request);
    const text = await metrics.renderPrometheus();
    expect(text).toMatch(/graphql_server_operation_duration_bucket{.*le="0.0025"} 0\n/);
    expect(text).toMatch(/graphql_server_operation_duration_bucket{.*le="0.005"} 1\n/);
  });
});

describe('series stay few', () => {
  test('however many operation names clients invent', async () => {
    for (let index = 0; index < 5000; index += 1) {
      metrics.sink({ ...request, operationName: `Invented${index}` });
    }
    metrics.sink({ ...request, operationName: 'Invented1' });
    const counts = (await operations()).map((line) =>
      line.match(/name="(\w+)".* (\d+)$/)?.slice(1),
    );
    expect(counts).toEqual([
      ['Invented0', '1'],
      ['Invented1', '2'],
      ['Invented2', '1'],
      ['other', '4997'],
    ]);
  });

  test('and documents that do not run take no place', async () => {
    for (let index = 0; index < 10; index += 1) {
      const operationName = `Invalid${index}`;
      metrics.sink({ ...request, operationName, errorCode: 'BAD_USER_INPUT' });
    }
    metrics.sink(request);
    expect(await operations()).toEqual([
      expect.stringMatching(/name="other".*outcome="BAD_USER_INPUT"} 10$/),
      expect.stringMatching(/name="Me".*outcome="ok"} 1$/),
    ]);
  });

  test('and long names are other', async () => {
    metrics.sink({ ...request, operationName: 'x'.repeat(101) });
    expect(await operations()).toEqual([expect.stringContaining('name="other"')]);
  });
});

test('refusals are counted by cause', async () => {
  metrics.sink({ type: 'requestRefused', requestId: 'r1', cause: 'expired' });
  metrics.sink({ type: 'requestRefused', requestId: 'r2', cause: 'expired' });
  expect(await series('rowhouse_requests_refused_total')).toEqual([
    'rowhouse_requests_refused_total{cause="expired"} 2',
  ]);
});

test('the queue: what was added, retried and swept adds up; what waits is as it was last seen', async () => {
  const started = { task: 'documents__index', jobId: '1', orgHash: null, waitedMs: 20 };
  const tasks = [
    { task: 'documents__index', waiting: 3, running: 1, retrying: 0, dead: 0, oldestMs: 4_000 },
  ];
  for (const jobs of [2, 5]) metrics.sink({ type: 'jobsAdded', jobs });
  for (const attempt of [1, 2]) metrics.sink({ type: 'jobStarted', ...started, attempt });
  metrics.sink({ type: 'jobsSwept', workers: 1, jobs: 4 });
  metrics.sink({ type: 'queueSampled', isCut: false, tasks });
  expect(await series('rowhouse_jobs_added_total')).toEqual(['rowhouse_jobs_added_total 7']);
  expect(await series('rowhouse_jobs_retried_total')).toEqual([
    'rowhouse_jobs_retried_total{task="documents__index"} 1',
  ]);
  expect(await series('rowhouse_jobs_swept_total')).toEqual(['rowhouse_jobs_swept_total 4']);
  const oldest = 'rowhouse_queue_oldest';
  expect(await series(oldest)).toEqual([`${oldest}{task="documents__index"} 4`]);
  // The queue is empty at the next look.
  metrics.sink({ type: 'queueSampled', isCut: false, tasks: [] });
  expect(await series(oldest)).toEqual([`${oldest}{task="documents__index"} 0`]);
});

test('jobs are counted and timed by task and outcome', async () => {
  const job = { task: 'documents__index', jobId: '1', attempt: 1, durationMs: 500, orgHash: null };
  metrics.sink({ type: 'jobFinished', ...job, outcome: 'dead', error: new Error('x') });
  expect(await series('rowhouse_job_duration_sum')).toEqual([
    'rowhouse_job_duration_sum{task="documents__index",outcome="dead"} 0.5',
  ]);
});

test('the process reports its memory, its age and its event loop', async () => {
  const text = await metrics.renderPrometheus();
  for (const name of [
    'process_memory_usage',
    'v8js_memory_heap_used',
    'process_uptime',
    'nodejs_eventloop_delay_p50',
    'nodejs_eventloop_delay_p99',
    'nodejs_eventloop_delay_max',
  ]) {
    expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'));
  }
});

test('others add gauges of their own', async () => {
  metrics.meter
    .createObservableGauge('db.client.connection.count', { description: 'Connections.' })
    .addCallback((result) => result.observe(7, { state: 'idle' }));
  expect(await series('db_client_connection_count')).toEqual([
    'db_client_connection_count{state="idle"} 7',
  ]);
});

test('no metric tells who asked', async () => {
  metrics.sink({ ...request, userHash: 'cafecafecafecafe', orgHash: 'beefbeefbeefbeef' });
  expect(await metrics.renderPrometheus()).not.toMatch(/cafecafe|beefbeef|r1/);
});

describe('uploads', () => {
  test('are counted by what became of them, and timed', async () => {
    const ended = { type: 'uploadEnded', fileId: 'f', durationMs: 200 } as const;
    metrics.sink({ ...ended, error: null });
    metrics.sink({ ...ended, error: 'UPLOAD_MISSING' });
    metrics.sink({ type: 'uploadDeclared', isInParts: true });
    metrics.sink({ type: 'uploadsExpired', files: 3 });
    expect(await series('rowhouse_upload_verification_duration_count')).toEqual([
      'rowhouse_upload_verification_duration_count{outcome="ready"} 1',
      'rowhouse_upload_verification_duration_count{outcome="UPLOAD_MISSING"} 1',
    ]);
    expect(await series('rowhouse_uploads_declared_total')).toEqual([
      'rowhouse_uploads_declared_total{form="parts"} 1',
    ]);
    expect(await series('rowhouse_uploads_expired_total')).toEqual([
      'rowhouse_uploads_expired_total 3',
    ]);
  });

  test('say whether the store is held to be down, and how often it began to be', async () => {
    metrics.sink({ type: 'storeBreaker', isOpen: true });
    expect(await series('rowhouse_store_breaker')).toEqual(['rowhouse_store_breaker 1']);
    metrics.sink({ type: 'storeBreaker', isOpen: false });
    expect(await series('rowhouse_store_breaker')).toEqual(['rowhouse_store_breaker 0']);
    expect(await series('rowhouse_store_breaks_total')).toEqual(['rowhouse_store_breaks_total 1']);
  });

  test('have what a reconciliation did about files and objects', async () => {
    metrics.sink({ type: 'filesReconciled', resumed: 2, orphans: 1, lost: 4, durationMs: 9 });
    metrics.sink({ type: 'objectsDeleted', reason: 'orphan', objects: 1 });
    expect(await series('rowhouse_files_resumed_total')).toEqual([
      'rowhouse_files_resumed_total 2',
    ]);
    expect(await series('rowhouse_files_lost_total')).toEqual(['rowhouse_files_lost_total 4']);
    expect(await series('rowhouse_objects_deleted_total')).toEqual([
      'rowhouse_objects_deleted_total{reason="orphan"} 1',
    ]);
  });
});
