import type { Meter } from '@opentelemetry/api';
import type { Sink } from './observer.ts';

/** Seconds. Verifying takes as long as reading the file. */
const verificationBuckets = [0.05, 0.1, 0.25, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600];

/** Makes the sink that measures uploads, what is done about files, and the store behind them. */
export function makeUploadMetrics(meter: Meter): Sink {
  const declared = meter.createCounter('rowhouse.uploads.declared', {
    description: 'Files that were declared, in one piece or in parts.',
  });
  const finalized = meter.createCounter('rowhouse.uploads.finalized', {
    description: 'Times that an owner said the bytes are there, repetitions included.',
  });
  const verification = meter.createHistogram('rowhouse.upload.verification.duration', {
    description: 'Duration of the attempt that ended an upload; outcome is ready or why not.',
    unit: 's',
    advice: { explicitBucketBoundaries: verificationBuckets },
  });
  const expired = meter.createCounter('rowhouse.uploads.expired', {
    description:
      'Uploads that ended because nobody finalized, or nothing could verify, them in time.',
  });
  const deleted = meter.createCounter('rowhouse.objects.deleted', {
    description: 'Objects deleted because their file ended, or as orphans that no file wants.',
  });
  const resumed = meter.createCounter('rowhouse.files.resumed', {
    description: 'Files whose job was gone or had to wait, and that a reconciliation went on with.',
  });
  const lost = meter.createCounter('rowhouse.files.lost', {
    description: 'Times that a reconciliation missed the object of a file that is ready.',
  });
  const breaker = meter.createGauge('rowhouse.store.breaker', {
    description: 'Whether this process holds the store to be down: 1 while it is not asked.',
  });
  const broke = meter.createCounter('rowhouse.store.breaks', {
    description: 'Times that this process began to hold the store to be down.',
  });
  return (observation) => {
    switch (observation.type) {
      case 'uploadDeclared':
        return declared.add(1, { form: observation.isInParts ? 'parts' : 'whole' });
      case 'uploadFinalized':
        return finalized.add(1);
      case 'uploadEnded': {
        const outcome = observation.error ?? 'ready';
        return verification.record(observation.durationMs / 1000, { outcome });
      }
      case 'uploadsExpired':
        return expired.add(observation.files);
      case 'objectsDeleted':
        return deleted.add(observation.objects, { reason: observation.reason });
      case 'filesReconciled':
        resumed.add(observation.resumed);
        return lost.add(observation.lost);
      case 'storeBreaker':
        if (observation.isOpen) broke.add(1);
        return breaker.record(observation.isOpen ? 1 : 0);
      default:
    }
  };
}
