import type { Config, Process } from './settings.ts';
import { developmentPseudonymKey } from './settings.ts';

/** A condition on several settings, or on a setting and the mode. */
export type Rule = {
  /** The variables it reads; the rule is checked only where each is valid by itself. */
  variables: readonly string[];
  /** Checked for these processes; for all where absent. */
  processes?: readonly Process[];
  /** The condition, as a sentence for messages and docs. */
  allowed: string;
  /** What was found, without secrets, where the condition does not hold. */
  broken(config: Config): string | undefined;
};

/** An orchestrator kills a process 30 s after SIGTERM; 5 s of that are kept in reserve. */
const stopWithinMs = 25_000;

/** Every rule there is. */
export const rules: readonly Rule[] = [
  {
    variables: ['SHUTDOWN_DRAIN_MS', 'SHUTDOWN_GRACE_MS'],
    allowed: `Together less than ${stopWithinMs} ms, so that a process stops before it is killed.`,
    broken: ({ shutdownDrainMs, shutdownGraceMs }) =>
      shutdownDrainMs + shutdownGraceMs < stopWithinMs
        ? undefined
        : `${shutdownDrainMs} + ${shutdownGraceMs}`,
  },
  {
    variables: ['WORKER_HEARTBEAT_MS', 'WORKER_DEAD_AFTER_MS'],
    allowed: 'A worker has at least three heartbeats in the time after which it counts as dead.',
    broken: ({ workerHeartbeatMs, workerDeadAfterMs }) =>
      workerDeadAfterMs >= 3 * workerHeartbeatMs
        ? undefined
        : `${workerHeartbeatMs} and ${workerDeadAfterMs}`,
  },
  {
    variables: ['AI_EMBEDDINGS', 'AI_SERVICE_URL'],
    processes: ['worker'],
    allowed: 'Embeddings come from an AI service.',
    broken: ({ aiEmbeddings, aiServiceUrl }) =>
      aiEmbeddings && aiServiceUrl === undefined ? '`true`, and no AI service' : undefined,
  },
  {
    variables: ['CLERK_JWKS_URL', 'CLERK_JWT_KEY'],
    processes: ['api'],
    allowed: 'At least one of them: without a key no token can be verified.',
    broken: ({ clerkJwksUrl, clerkJwtKey }) =>
      clerkJwksUrl === undefined && clerkJwtKey === undefined ? 'neither' : undefined,
  },
  {
    variables: ['NODE_ENV', 'CLERK_JWKS_URL'],
    allowed:
      'In production keys are fetched by `https://`, or by `http://` from this machine: whoever can change them can sign tokens.',
    broken: ({ isProduction, clerkJwksUrl }) =>
      isProduction && clerkJwksUrl !== undefined && !isConfidential(clerkJwksUrl)
        ? '`http://` to another machine'
        : undefined,
  },
  {
    variables: ['NODE_ENV', 'CLERK_API_URL'],
    allowed:
      'In production Clerk is asked by `https://`, or by `http://` on this machine: the secret key travels along, and whoever answers says who exists.',
    broken: ({ isProduction, clerkApiUrl }) =>
      isProduction && !isConfidential(clerkApiUrl) ? '`http://` to another machine' : undefined,
  },
  {
    variables: ['NODE_ENV', 'LOG_PSEUDONYM_KEY'],
    allowed: 'In production a key of your own: the development key is public.',
    broken: ({ isProduction, logPseudonymKey }) =>
      isProduction && logPseudonymKey === developmentPseudonymKey
        ? 'the development key'
        : undefined,
  },
];

function isConfidential(text: string): boolean {
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}
