import type { ErrorCode } from './errors/registry.ts';

/** A request was answered. */
export type RequestFinished = {
  type: 'requestFinished';
  requestId: string;
  method: string;
  /** The route as it was declared (`/graphql`), never the path of the request. */
  route: string;
  status: number;
  durationMs: number;
  operationName: string | null;
  operationType: 'query' | 'mutation' | 'subscription' | null;
  /** Of the first error in the answer. */
  errorCode: ErrorCode | null;
  userHash: string | null;
  orgHash: string | null;
};

/** A request was not let in. */
type RequestRefused = {
  type: 'requestRefused';
  requestId: string;
  /** A word of a fixed set, such as the reasons a token is refused. The caller does not see it. */
  cause: string;
};

/** The issuer's keys were downloaded. */
type KeysLoaded = { type: 'keysLoaded'; keyCount: number; durationMs: number };

/** The issuer's keys could not be downloaded; those held so far stay in use for a while. */
type KeysUnreachable = {
  type: 'keysUnreachable';
  /** A word of a fixed set. */
  reason: string;
  durationMs: number;
  /** The age of the keys held so far; null where there are none. */
  keysAgeMs: number | null;
};

/** A webhook came in. */
export type WebhookReceived = {
  type: 'webhookReceived';
  requestId: string;
  /** `duplicate`: it was there already; `ignored`: of a kind that nothing follows. */
  outcome: 'stored' | 'duplicate' | 'ignored' | 'unreadable' | 'rejected';
  /** What happened, in the sender's words; null where it is not believed or not followed. */
  event: string | null;
};

/** Events of Clerk were merged into the mirror, or were older than what it knew. */
type ClerkEventsApplied = {
  type: 'clerkEventsApplied';
  applied: number;
  stale: number;
  /** Tried again later. */
  failed: number;
};

/** A walk through all that Clerk has came to an end. */
type ClerkReconciled = {
  type: 'clerkReconciled';
  /** Things looked at. */
  seen: number;
  /** Of those, what the mirror had otherwise. */
  changed: number;
  /** What Clerk has in a form that is not understood; the mirror keeps what it has of it. */
  unreadable: number;
  durationMs: number;
};

/** An error nobody foresaw; the client got INTERNAL. */
type ErrorMasked = { type: 'errorMasked'; requestId: string; error: unknown };

/** Jobs were added, replacements of waiting ones included. Of all workers one reports each. */
type JobsAdded = { type: 'jobsAdded'; jobs: number };

/** An attempt at a job begins. */
type JobStarted = {
  type: 'jobStarted';
  task: string;
  jobId: string;
  /** Counts from 1. */
  attempt: number;
  orgHash: string | null;
  /** From when it was due until a worker took it. */
  waitedMs: number;
};

/** An attempt at a job ended. */
export type JobFinished = {
  type: 'jobFinished';
  task: string;
  jobId: string;
  attempt: number;
  durationMs: number;
  /**
   * `failed` is tried again, `dead` is not; `interrupted` went back to the queue, or to another
   * worker; `postponed` could not begin, and was no attempt.
   */
  outcome: 'succeeded' | 'failed' | 'dead' | 'interrupted' | 'postponed';
  error?: unknown;
  orgHash: string | null;
};

/** Jobs of workers that are gone went back to the queue. */
type JobsSwept = { type: 'jobsSwept'; workers: number; jobs: number };

/** How much there is to do, as one look at the queue saw it. */
export type QueueSampled = {
  type: 'queueSampled';
  /** Over this many jobs the counts stop. */
  isCut: boolean;
  tasks: {
    task: string;
    /** Due, and not taken. */
    waiting: number;
    running: number;
    /** Failed before, and due later. */
    retrying: number;
    dead: number;
    /** How long the oldest of those that wait has been due; 0 where none waits. */
    oldestMs: number;
  }[];
};

/** A file was declared. */
type UploadDeclared = { type: 'uploadDeclared'; isInParts: boolean };

/** An owner said that the bytes are there, perhaps again. */
type UploadFinalized = { type: 'uploadFinalized' };

/** The bytes of a file were verified. */
type UploadEnded = {
  type: 'uploadEnded';
  fileId: string;
  /** Why the file was rejected; null for one that is ready. */
  error: ErrorCode | null;
  /** Of the attempt. */
  durationMs: number;
};

/** Uploads ended that nobody finalized in time, or that could not be verified. */
type UploadsExpired = { type: 'uploadsExpired'; files: number };

/** Objects of files that have ended, or of none, were deleted. */
type ObjectsDeleted = { type: 'objectsDeleted'; reason: 'ended' | 'orphan'; objects: number };

/** Files and store were compared. */
export type FilesReconciled = {
  type: 'filesReconciled';
  /** Files on their way that had stopped, and go on. */
  resumed: number;
  /** Objects that no file wants; they are deleted. */
  orphans: number;
  /** Ready files whose objects are gone. */
  lost: number;
  durationMs: number;
};

/** The store of files is asked no more for a while, or again. */
type StoreBreaker = { type: 'storeBreaker'; isOpen: boolean };
/** A call of the AI service came to an end, after all its tries. */
export type AiCallFinished = {
  type: 'aiCallFinished';
  operation: AiOperation;
  /** `ok`; `notAsked`: the breaker is open, or too many calls are; or why it failed, a word of a fixed set. */
  outcome: string;
  durationMs: number;
  provider?: string | undefined;
  model?: string | undefined;
  promptTokens?: number | undefined;
  completionTokens?: number | undefined;
};

/** What the AI service can be asked for. */
type AiOperation = 'generate' | 'embed' | 'filter';

/** A try at a call of the AI service failed. */
export type AiTryFailed = {
  type: 'aiTryFailed';
  /** A word of a fixed set. */
  reason: string;
  isRetried: boolean;
};

/** The AI service counts as down for an operation: it is not asked, but for a try every few seconds. */
type AiBreakerOpened = { type: 'aiBreakerOpened'; operation: AiOperation };

/** It does no more. */
type AiBreakerClosed = { type: 'aiBreakerClosed'; operation: AiOperation };

/** A generation was accepted that the AI service is needed for. */
type GenerationAccepted = {
  type: 'generationAccepted';
  /** Who is to do it first. */
  by: 'request' | 'job';
  orgHash: string;
};

/** A generation was not accepted: the budget of the month is spent. */
type GenerationOverBudget = { type: 'generationOverBudget'; orgHash: string };

/** A request leaves its generation to a job. */
type GenerationHandedOff = {
  type: 'generationHandedOff';
  reason: ErrorCode;
  /** Where nobody foresaw it. */
  error?: unknown;
  orgHash: string;
};

/** Work on a generation came to its end. One that fails with its job is told of by `jobFinished`. */
export type GenerationFinished = {
  type: 'generationFinished';
  by: 'request' | 'job';
  /** `DROPPED`: it was canceled meanwhile, or was somebody else's. */
  outcome: 'SUCCEEDED' | 'FAILED' | 'DROPPED';
  errorCode: ErrorCode | null;
  durationMs: number;
  /** In millionths of the unit of the price table. */
  costMicros: number;
  orgHash: string;
};

/** Somebody canceled a generation, which may have ended already. */
type GenerationCanceled = { type: 'generationCanceled'; orgHash: string };

/** The process does its work. */
type ProcessReady = {
  type: 'processReady';
  process: 'api' | 'worker';
  durationMs: number;
  url?: string;
};

/** Readiness is red; what runs is finished, nothing new is taken after the drain. */
type ProcessDraining = { type: 'processDraining'; reason: string };

/** Everything that code of ours reports. What becomes of it is for the sinks to decide. */
export type Observation =
  | RequestFinished
  | RequestRefused
  | KeysLoaded
  | KeysUnreachable
  | WebhookReceived
  | ClerkEventsApplied
  | ClerkReconciled
  | ErrorMasked
  | JobsAdded
  | JobStarted
  | JobFinished
  | JobsSwept
  | QueueSampled
  | UploadDeclared
  | UploadFinalized
  | UploadEnded
  | UploadsExpired
  | ObjectsDeleted
  | FilesReconciled
  | StoreBreaker
  | AiCallFinished
  | AiTryFailed
  | AiBreakerOpened
  | AiBreakerClosed
  | GenerationAccepted
  | GenerationOverBudget
  | GenerationHandedOff
  | GenerationFinished
  | GenerationCanceled
  | ProcessReady
  | ProcessDraining;

/** Reports that something happened. Never throws, never waits. */
export type Observe = (observation: Observation) => void;

/** Makes something of observations: a log line, a metric. */
export type Sink = (observation: Observation) => void;

/**
 * Makes the observer that passes each observation to all sinks.
 * @param onSinkError told of a sink that threw; the other sinks and the caller are not.
 */
export function makeObserver(
  sinks: readonly Sink[],
  onSinkError: (error: unknown) => void = () => {},
): Observe {
  return (observation) => {
    for (const sink of sinks) {
      try {
        sink(observation);
      } catch (error) {
        try {
          onSinkError(error);
        } catch {
          // Whoever listens for broken sinks is broken too: nobody is left to tell.
        }
      }
    }
  };
}
