import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { projectRoot, settings } from './settings.ts';

/** Variables by name; an empty one counts as unset. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One place values come from. */
type Source = { name: string; values: Environment };

/**
 * As soon as one of these is set by hand, the local stack is not what is meant,
 * and nothing of `local.env` is used: half of one deployment and half of another
 * is never right.
 */
export const deploymentVariables = [
  settings.databaseUrl.variable,
  settings.databaseWorkerUrl.variable,
  settings.databaseOwnerUrl.variable,
  settings.clerkIssuer.variable,
  settings.clerkJwksUrl.variable,
  settings.clerkJwtKey.variable,
];

/**
 * What the AWS SDK reads as credentials, by itself and from the environment alone. They belong
 * together: half of one account and half of another opens no store, and a profile goes before keys.
 */
export const credentialVariables = [
  'AWS_PROFILE',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_CREDENTIAL_EXPIRATION',
  'AWS_CREDENTIAL_SCOPE',
  'AWS_ACCOUNT_ID',
];

const localEnvName = 'local.env';

/**
 * The places values come from, the strongest first: the environment, `.env` of
 * the project, `local.env` of the running local stack. The files are read only
 * where NODE_ENV is unset or `development`, and `local.env` only where the two
 * before it leave the mode open or development and name no deployment.
 * @throws where a file is there but cannot be read.
 */
export function readSources(real: Environment, root = projectRoot): Source[] {
  const environment = { name: 'environment', values: real };
  if (!allowsFiles(strongest([environment], 'NODE_ENV'))) return [environment];

  const dotenv = { name: '.env', values: readEnvFile(resolve(root, '.env')) };
  const byHand = [environment, dotenv];
  const isDeployment = deploymentVariables.some((name) => strongest(byHand, name) !== undefined);
  if (isDeployment || !allowsFiles(strongest(byHand, 'NODE_ENV'))) return byHand;

  const { variable, default: defaultDir } = settings.dataDir;
  const dataDir = resolve(root, strongest(byHand, variable) ?? defaultDir);
  return [...byHand, { name: localEnvName, values: readEnvFile(resolve(dataDir, 'local.env')) }];
}

/** All values of `readSources` in one. */
export function readEnvironment(real: Environment, root = projectRoot): Environment {
  return mergeSources(readSources(real, root));
}

/** All values in one, the strongest winning, and credentials of one source; unset names are absent. */
export function mergeSources(sources: readonly Source[]): Record<string, string> {
  const merged: Record<string, string> = {};
  const lender = credentialsSource(sources);
  for (const source of sources.toReversed()) {
    const isOfAnother = source !== lender && (lender !== undefined || source.name === localEnvName);
    for (const [name, value] of Object.entries(source.values)) {
      const set = setValue(value);
      if (set === undefined) continue;
      if (!isOfAnother || !credentialVariables.includes(name)) merged[name] = set;
    }
  }
  return merged;
}

/** The source of the credentials: for the store of the running stack that stack, else the strongest that has any. */
function credentialsSource(sources: readonly Source[]): Source | undefined {
  const byHand = sources.filter(({ name }) => name !== localEnvName);
  const bucket = settings.s3BucketUploads.variable;
  if (strongest(byHand, bucket) === undefined && strongest(sources, bucket) !== undefined) {
    return sources.find(({ name }) => name === localEnvName);
  }
  return byHand.find((source) =>
    ['AWS_PROFILE', 'AWS_ACCESS_KEY_ID'].some((name) => strongest([source], name) !== undefined),
  );
}

/** The trimmed value, or undefined where it is absent or empty. */
export function setValue(value: string | undefined): string | undefined {
  const trimmed = value?.trim();
  return trimmed === '' ? undefined : trimmed;
}

function strongest(sources: readonly Source[], name: string): string | undefined {
  for (const { values } of sources) {
    const value = setValue(values[name]);
    if (value !== undefined) return value;
  }
  return undefined;
}

function allowsFiles(mode: string | undefined): boolean {
  return mode === undefined || mode === 'development';
}

function readEnvFile(path: string): Environment {
  try {
    return parseEnv(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}
