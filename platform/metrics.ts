import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Meter } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { makeLabelCap } from './labelCap.ts';
import type {
  AiCallFinished,
  AiTryFailed,
  GenerationFinished,
  JobFinished,
  QueueSampled,
  RequestFinished,
  Sink,
  WebhookReceived,
} from './observer.ts';
import { makeUploadMetrics } from './uploadMetrics.ts';

/** The metrics of a process. */
export type Metrics = {
  /** Turns observations into measurements. */
  sink: Sink;
  /** For gauges that others own, such as those of a pool. */
  meter: Meter;
  /** All metrics in the text format of Prometheus; serve it as `prometheusContentType`. */
  renderPrometheus(): Promise<string>;
  close(): Promise<void>;
};

/** The content type of what `renderPrometheus` returns. */
export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Seconds. A small read takes about one millisecond, a request at most its time limit. */
const durationBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25,
];
/** Seconds. Jobs wait for the outside world. */
const jobBuckets = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900];

const knownMethods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'];
const loopResolutionMs = 20;

/**
 * Opens the metrics of a process, read through `renderPrometheus` and not over a
 * server of their own. Names and labels follow OpenTelemetry's semantic conventions.
 *
 * Operation names come from clients, and every one would be a series for ever:
 * after the first `maxOperationNames` they are counted as `other`.
 */
export function openMetrics({ maxOperationNames = 500 } = {}): Metrics {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const serializer = new PrometheusSerializer('', false, undefined, true, true);
  const provider = new MeterProvider({ readers: [exporter] });
  const meter = provider.getMeter('rowhouse');
  const record = makeRequestMetrics(meter, maxOperationNames);
  const recordRefusal = makeRefusalMetrics(meter);
  const keys = makeKeyMetrics(meter);
  const clerk = makeClerkMetrics(meter);
  const jobs = makeJobMetrics(meter);
  const recordQueue = makeQueueMetrics(meter);
  const recordUpload = makeUploadMetrics(meter);
  const ai = makeAiMetrics(meter);
  const generations = makeGenerationMetrics(meter);
  const closeProcess = observeProcess(meter);

  return {
    meter,
    sink(observation) {
      if (observation.type === 'requestFinished') record(observation);
      else if (observation.type === 'requestRefused') recordRefusal(observation.cause);
      else if (observation.type === 'jobsAdded') jobs.added(observation.jobs);
      else if (observation.type === 'keysLoaded') keys.loaded();
      else if (observation.type === 'keysUnreachable') keys.unreachable(observation.reason);
      else if (observation.type === 'webhookReceived') clerk.received(observation);
      else if (observation.type === 'clerkEventsApplied') clerk.applied(observation);
      else if (observation.type === 'clerkReconciled') clerk.reconciled(observation);
      else if (observation.type === 'jobStarted') jobs.started(observation);
      else if (observation.type === 'jobFinished') jobs.finished(observation);
      else if (observation.type === 'jobsSwept') jobs.swept(observation.jobs);
      else if (observation.type === 'queueSampled') recordQueue(observation);
      else if (observation.type === 'aiCallFinished') ai.finished(observation);
      else if (observation.type === 'aiTryFailed') ai.tryFailed(observation);
      else if (observation.type === 'aiBreakerOpened') ai.breaker(observation, true);
      else if (observation.type === 'aiBreakerClosed') ai.breaker(observation, false);
      else if (observation.type === 'generationAccepted') generations.accepted(observation.by);
      else if (observation.type === 'generationOverBudget') generations.overBudget();
      else if (observation.type === 'generationHandedOff')
        generations.handedOff(observation.reason);
      else if (observation.type === 'generationFinished') generations.finished(observation);
      else if (observation.type === 'generationCanceled') generations.canceled();
      else recordUpload(observation);
    },
    async renderPrometheus() {
      const { resourceMetrics } = await exporter.collect();
      return serializer.serialize(resourceMetrics);
    },
    async close() {
      closeProcess();
      await provider.shutdown();
    },
  };
}

function makeRequestMetrics(meter: Meter, maxOperationNames: number) {
  const requests = meter.createHistogram('http.server.request.duration', {
    description: 'Duration of HTTP requests.',
    unit: 's',
    advice: { explicitBucketBoundaries: durationBuckets },
  });
  const operations = meter.createHistogram('graphql.server.operation.duration', {
    description: 'Duration of GraphQL operations; outcome is ok or the code of the first error.',
    unit: 's',
    advice: { explicitBucketBoundaries: durationBuckets },
  });
  const routes = makeLabelCap(100);
  const names = makeLabelCap(maxOperationNames);

  return ({ operationName, operationType, errorCode, ...request }: RequestFinished) => {
    const seconds = request.durationMs / 1000;
    requests.record(seconds, {
      'http.request.method': knownMethods.includes(request.method) ? request.method : '_OTHER',
      'http.route': routes(request.route),
      'http.response.status_code': request.status,
    });
    if (operationType === null) return;
    // A document that did not run must not use up the names of those that do.
    const mayBeNew = errorCode !== 'BAD_USER_INPUT' && errorCode !== 'UNAUTHENTICATED';
    operations.record(seconds, {
      'graphql.operation.name':
        operationName === null ? 'anonymous' : names(operationName, mayBeNew),
      'graphql.operation.type': operationType,
      outcome: errorCode ?? 'ok',
    });
  };
}

function makeRefusalMetrics(meter: Meter) {
  const refused = meter.createCounter('rowhouse.requests.refused', {
    description: 'Requests that were not let in, by cause.',
  });
  const causes = makeLabelCap(50);
  return (cause: string) => refused.add(1, { cause: causes(cause) });
}

function makeKeyMetrics(meter: Meter) {
  const downloads = meter.createCounter('rowhouse.keys.downloads', {
    description: "Downloads of the issuer's keys; outcome is ok or why there were none.",
  });
  const loadedAt = meter.createGauge('rowhouse.keys.loaded', {
    description: "When the issuer's keys were last downloaded, since 1970.",
    unit: 's',
  });
  return {
    loaded() {
      downloads.add(1, { outcome: 'ok' });
      loadedAt.record(Math.floor(Date.now() / 1000));
    },
    unreachable: (outcome: string) => downloads.add(1, { outcome }),
  };
}

function makeClerkMetrics(meter: Meter) {
  const webhooks = meter.createCounter('rowhouse.webhooks.received', {
    description: 'Webhooks, by what happened and what became of them.',
  });
  const events = meter.createCounter('rowhouse.clerk.events', {
    description: 'Events of Clerk that were applied, or stale, or failed.',
  });
  const repaired = meter.createCounter('rowhouse.clerk.repaired', {
    description: 'Things that reconciliation with Clerk found otherwise in the mirror.',
  });
  const reconciledAt = meter.createGauge('rowhouse.clerk.reconciled', {
    description: 'When the mirror was last reconciled with Clerk, since 1970.',
    unit: 's',
  });
  return {
    received({ outcome, event }: WebhookReceived) {
      // Only events that the mirror follows are named, so there are few names.
      webhooks.add(1, { outcome, event: event ?? 'none' });
    },
    applied({ applied, stale, failed }: { applied: number; stale: number; failed: number }) {
      for (const [outcome, count] of Object.entries({ applied, stale, failed })) {
        if (count > 0) events.add(count, { outcome });
      }
    },
    reconciled({ changed }: { changed: number }) {
      repaired.add(changed);
      reconciledAt.record(Math.floor(Date.now() / 1000));
    },
  };
}

function makeJobMetrics(meter: Meter) {
  const durations = meter.createHistogram('rowhouse.job.duration', {
    description: 'Duration of attempts at jobs.',
    unit: 's',
    advice: { explicitBucketBoundaries: jobBuckets },
  });
  const waits = meter.createHistogram('rowhouse.job.wait', {
    description: 'Time from when a job was due until a worker took it.',
    unit: 's',
    advice: { explicitBucketBoundaries: jobBuckets },
  });
  const added = meter.createCounter('rowhouse.jobs.added', {
    description: 'Jobs added to the queue, as this process was the one to count them.',
  });
  const retries = meter.createCounter('rowhouse.jobs.retried', {
    description: 'Attempts at jobs that had been tried before.',
  });
  const returned = meter.createCounter('rowhouse.jobs.swept', {
    description: 'Jobs of dead workers that this process returned to the queue.',
  });
  const tasks = makeLabelCap(200);
  return {
    started({ task, attempt, waitedMs }: { task: string; attempt: number; waitedMs: number }) {
      const labels = { task: tasks(task) };
      waits.record(waitedMs / 1000, labels);
      if (attempt > 1) retries.add(1, labels);
    },
    finished({ task, outcome, durationMs }: JobFinished) {
      durations.record(durationMs / 1000, { task: tasks(task), outcome });
    },
    added: (jobs: number) => added.add(jobs),
    swept: (jobs: number) => returned.add(jobs),
  };
}

/** Gauges of the queue, as it was last looked at: the same in every process that looks. */
function makeQueueMetrics(meter: Meter) {
  const depth = meter.createGauge('rowhouse.queue.jobs', {
    description: 'Jobs in the queue, by task and state.',
  });
  const oldest = meter.createGauge('rowhouse.queue.oldest', {
    description: 'How long the oldest waiting job of a task has been due.',
    unit: 's',
  });
  const names = makeLabelCap(200);
  const seen = new Set<string>();
  return (sample: QueueSampled) => {
    const empty = { waiting: 0, running: 0, retrying: 0, dead: 0, oldestMs: 0 };
    const present = new Map(sample.tasks.map((each) => [each.task, each]));
    for (const task of present.keys()) seen.add(task);
    // A task that has no jobs any more has none, rather than what it had.
    for (const task of seen) {
      const { oldestMs, ...counts } = { ...empty, ...present.get(task), task: undefined };
      oldest.record(oldestMs / 1000, { task: names(task) });
      for (const state of ['waiting', 'running', 'retrying', 'dead'] as const) {
        depth.record(counts[state], { task: names(task), state });
      }
    }
  };
}

function makeAiMetrics(meter: Meter) {
  const durations = meter.createHistogram('gen_ai.client.operation.duration', {
    description: 'Duration of calls of the AI service, all tries together.',
    unit: 's',
    advice: { explicitBucketBoundaries: jobBuckets },
  });
  const tokens = meter.createHistogram('gen_ai.client.token.usage', {
    description: 'Tokens of calls of the AI service.',
    unit: '{token}',
    advice: { explicitBucketBoundaries: [1, 16, 64, 256, 1_024, 4_096, 16_384, 65_536] },
  });
  const failed = meter.createCounter('rowhouse.ai.tries.failed', {
    description: 'Tries at the AI service that failed, by reason, and whether another followed.',
  });
  const open = meter.createGauge('rowhouse.ai.breaker.open', {
    description: '1 while the AI service counts as down for an operation, as this process sees it.',
  });
  const models = makeLabelCap(50);
  const names = {
    generate: 'text_completion',
    embed: 'embeddings',
    filter: 'content_filter',
  } as const;
  return {
    finished({ operation, outcome, durationMs, ...used }: AiCallFinished) {
      const labels = { 'gen_ai.operation.name': names[operation] };
      const failure = outcome === 'ok' ? {} : { 'error.type': outcome };
      durations.record(durationMs / 1_000, { ...labels, ...failure });
      const model = models(`${used.provider ?? '-'}/${used.model ?? '-'}`);
      for (const [type, count] of [
        ['input', used.promptTokens],
        ['output', used.completionTokens],
      ] as const) {
        if (count === undefined) continue;
        tokens.record(count, {
          ...labels,
          'gen_ai.token.type': type,
          'gen_ai.response.model': model,
        });
      }
    },
    tryFailed: ({ reason, isRetried }: AiTryFailed) =>
      failed.add(1, { reason, retried: isRetried }),
    breaker: ({ operation }: Pick<AiCallFinished, 'operation'>, isOpen: boolean) =>
      open.record(isOpen ? 1 : 0, { 'gen_ai.operation.name': names[operation] }),
  };
}

function makeGenerationMetrics(meter: Meter) {
  const accepted = meter.createCounter('rowhouse.generations.accepted', {
    description: 'Generations that were accepted, by who was to do them first.',
  });
  const durations = meter.createHistogram('rowhouse.generation.duration', {
    description: 'Duration of work on generations that came to an end.',
    unit: 's',
    advice: { explicitBucketBoundaries: jobBuckets },
  });
  const cost = meter.createCounter('rowhouse.generations.cost', {
    description: 'What generations have cost, in millionths of the unit of the price table.',
  });
  const handedOff = meter.createCounter('rowhouse.generations.handed_off', {
    description: 'Generations that a request left to a job, by reason.',
  });
  const overBudget = meter.createCounter('rowhouse.generations.over_budget', {
    description: 'Generations that were not accepted because a budget was spent.',
  });
  const canceled = meter.createCounter('rowhouse.generations.canceled', {
    description: 'Cancellations of generations.',
  });
  return {
    accepted: (by: string) => accepted.add(1, { by }),
    overBudget: () => overBudget.add(1),
    handedOff: (reason: string) => handedOff.add(1, { reason }),
    canceled: () => canceled.add(1),
    finished({ by, outcome, errorCode, durationMs, costMicros }: GenerationFinished) {
      durations.record(durationMs / 1_000, { by, outcome: errorCode ?? outcome });
      if (costMicros > 0) cost.add(costMicros);
    },
  };
}

/** Memory, age and event loop of the process. Returns what ends the measuring. */
function observeProcess(meter: Meter): () => void {
  const loop = monitorEventLoopDelay({ resolution: loopResolutionMs });
  loop.enable();
  const options = (description: string, unit: string) => ({ description, unit });
  const rss = meter.createObservableUpDownCounter(
    'process.memory.usage',
    options('Resident memory.', 'By'),
  );
  const heap = meter.createObservableUpDownCounter(
    'v8js.memory.heap.used',
    options('Heap in use by V8.', 'By'),
  );
  const uptime = meter.createObservableGauge(
    'process.uptime',
    options('Time since the process started.', 's'),
  );
  const lag = (name: string, which: string) =>
    meter.createObservableGauge(
      `nodejs.eventloop.delay.${name}`,
      options(`How late the event loop was since the last reading, ${which}.`, 's'),
    );
  const [p50, p99, max] = [
    lag('p50', 'median'),
    lag('p99', '99th percentile'),
    lag('max', 'at worst'),
  ];

  meter.addBatchObservableCallback(
    (result) => {
      const { rss: rssBytes, heapUsed } = process.memoryUsage();
      result.observe(rss, rssBytes);
      result.observe(heap, heapUsed);
      result.observe(uptime, process.uptime());
      result.observe(p50, lateSeconds(loop.percentile(50)));
      result.observe(p99, lateSeconds(loop.percentile(99)));
      result.observe(max, lateSeconds(loop.max));
      loop.reset();
    },
    [rss, heap, uptime, p50, p99, max],
  );
  return () => loop.disable();
}

/** The histogram holds the time between two ticks of its timer, so an idle loop reads as one period. */
function lateSeconds(nanoseconds: number): number {
  const late = nanoseconds / 1e9 - loopResolutionMs / 1000;
  return Number.isFinite(late) ? Math.max(0, late) : 0;
}
