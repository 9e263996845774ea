import { ConfigError, loadConfig } from './loadConfig.ts';
import type { Config, Process } from './settings.ts';

/** The settings of a process; where they are wrong, says all that is and exits with status 1. */
export function loadConfigOrExit<P extends Process>(need: P): Config<P> {
  try {
    return loadConfig(need);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}
