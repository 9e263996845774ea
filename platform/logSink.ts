import type { Observation, Sink } from './observer.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';
type Line = { level: Level; message: string; fields: object };

/** The part of a logger that the sink calls. */
type SinkLog = Record<Level, (fields: object, message: string) => void>;

/** Clients choose the names of operations, and their length. */
const maxNameLength = 100;

/** Called every few seconds by machines, so not worth a line. */
const probeRoutes = ['/healthz', '/readyz', '/metrics'];

/** Makes the sink that writes one log line for each observation. */
export function makeLogSink(log: SinkLog): Sink {
  return (observation) => {
    const { level, message, fields } = toLine(observation);
    log[level](fields, message);
  };
}

function toLine(observation: Observation): Line {
  const { type, ...fields } = observation;
  switch (observation.type) {
    case 'requestFinished': {
      const operationName = observation.operationName?.slice(0, maxNameLength) ?? null;
      const line = { ...fields, operationName };
      return { level: requestLevel(observation), message: 'request', fields: line };
    }
    case 'requestRefused':
      return { level: 'info', message: 'request refused', fields };
    case 'keysLoaded':
      return { level: 'info', message: 'keys of the issuer loaded', fields };
    case 'keysUnreachable':
      return { level: 'warn', message: 'keys of the issuer not to be had', fields };
    case 'webhookReceived': {
      const isWell = observation.outcome !== 'rejected' && observation.outcome !== 'unreadable';
      return { level: isWell ? 'info' : 'warn', message: 'webhook', fields };
    }
    case 'clerkEventsApplied': {
      const level = observation.failed > 0 ? 'error' : 'info';
      return { level, message: 'events of Clerk applied', fields };
    }
    case 'clerkReconciled': {
      const level = observation.unreadable > 0 ? 'warn' : 'info';
      return { level, message: 'reconciled with Clerk', fields };
    }
    case 'errorMasked': {
      const { requestId, error } = observation;
      return { level: 'error', message: 'error masked', fields: { requestId, err: error } };
    }
    case 'jobsAdded':
      return { level: 'debug', message: 'jobs added', fields };
    case 'jobStarted':
      return { level: 'debug', message: 'job started', fields };
    case 'jobsSwept':
      return { level: 'warn', message: 'jobs of dead workers returned', fields };
    case 'queueSampled':
      return { level: 'debug', message: 'queue', fields };
    case 'jobFinished': {
      const { type: _, error, ...job } = observation;
      const withError = error === undefined ? job : { ...job, err: error };
      const level = {
        succeeded: 'info',
        postponed: 'debug',
        interrupted: 'warn',
        failed: 'warn',
        dead: 'error',
      } as const;
      return { level: level[job.outcome], message: 'job', fields: withError };
    }
    case 'uploadDeclared':
    case 'uploadFinalized':
    case 'objectsDeleted':
      return { level: 'debug', message: uploadMessages[observation.type], fields };
    case 'uploadEnded':
      return { level: 'info', message: 'upload verified', fields };
    case 'uploadsExpired':
      return { level: 'info', message: 'uploads expired', fields };
    case 'filesReconciled': {
      const { orphans, lost } = observation;
      const level = lost > 0 ? 'error' : orphans > 0 ? 'warn' : 'info';
      return { level, message: 'store and files compared', fields };
    }
    case 'storeBreaker': {
      const { isOpen } = observation;
      const message = isOpen ? 'the store of files is down' : 'the store of files is back';
      return { level: isOpen ? 'warn' : 'info', message, fields };
    }
    case 'aiCallFinished': {
      const level = ['ok', 'rejected', 'aborted'].includes(observation.outcome) ? 'info' : 'warn';
      return { level, message: 'AI call', fields };
    }
    case 'aiTryFailed':
      return { level: 'warn', message: 'a try at the AI service failed', fields };
    case 'aiBreakerOpened':
      return { level: 'error', message: 'the AI service counts as down', fields };
    case 'aiBreakerClosed':
      return { level: 'info', message: 'the AI service answers again', fields };
    case 'generationAccepted':
      return { level: 'debug', message: 'generation accepted', fields };
    case 'generationOverBudget':
      return { level: 'warn', message: 'generation over budget', fields };
    case 'generationHandedOff':
      return handedOff(observation);
    case 'generationFinished':
      return { level: 'info', message: 'generation', fields };
    case 'generationCanceled':
      return { level: 'info', message: 'generation canceled', fields };
    case 'processReady':
      return { level: 'info', message: 'ready', fields };
    case 'processDraining':
      return { level: 'info', message: 'draining', fields };
    default: {
      const never: never = observation;
      return never;
    }
  }
}

const uploadMessages = {
  uploadDeclared: 'upload declared',
  uploadFinalized: 'upload finalized',
  objectsDeleted: 'objects deleted',
};
function handedOff({
  type: _,
  error,
  ...fields
}: Extract<Observation, { type: 'generationHandedOff' }>): Line {
  const message = 'generation handed off';
  if (error === undefined) return { level: 'info', message, fields };
  return { level: 'error', message, fields: { ...fields, err: error } };
}

function requestLevel({ route, status }: { route: string; status: number }): Level {
  if (probeRoutes.includes(route)) return 'debug';
  return status >= 500 ? 'warn' : 'info';
}
