import { credentialVariables, type Environment, readEnvironment } from './environment.ts';
import { ConfigError, loadConfig } from './loadConfig.ts';
import type { Config, Process } from './settings.ts';

/**
 * The settings of a process; where they are wrong, says all that is and exits with status 1.
 * Credentials for the store that came from a file are put where the AWS SDK looks for them.
 */
export function loadConfigOrExit<P extends Process>(need: P): Config<P> {
  const env = readEnvironment(process.env);
  lendCredentials(env);
  try {
    return loadConfig(need, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

function lendCredentials(env: Environment): void {
  for (const name of credentialVariables) {
    const value = env[name];
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
