import { type Environment, readEnvironment, setValue } from './environment.ts';
import { nearest } from './nearest.ts';
import { revealText } from './reveal.ts';
import { rules } from './rules.ts';
import {
  type Config,
  type Process,
  type Setting,
  type SettingKey,
  settingRows,
} from './settings.ts';

/** One thing wrong with the settings. Holds no secret. */
export type Problem = { variable: string; found: string; allowed: string };

/** Every problem of the settings at once, one per line of the message. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(
      ({ variable, found, allowed }) => `  ${variable}: found ${found}; allowed: ${allowed}`,
    );
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    super([`${count} with the settings (see docs/configuration.md):`, ...lines].join('\n'));
    this.problems = problems;
  }
}

/**
 * Parses the settings that `need` needs. By default they come from the
 * environment and, in development, from env files; an `env` that is given is
 * taken as it is.
 * @throws {ConfigError} with every problem there is.
 */
export function loadConfig<P extends Process>(
  need: P,
  env: Environment = readEnvironment(process.env),
): Config<P> {
  const problems = unknownNames(env);
  const config: Partial<Record<SettingKey, unknown>> = {};
  const isProduction = !['development', 'test'].includes(setValue(env.NODE_ENV) ?? '');

  for (const [key, setting] of settingRows) {
    const given = setValue(env[setting.variable]);
    const text = given ?? defaultText(setting, isProduction);
    const parsed = text === undefined ? undefined : setting.kind.safeParse(text);
    config[key] = parsed?.data;
    if (parsed === undefined && setting.requiredBy.includes(need)) {
      problems.push(problem(setting, `nothing, but ${need} needs it`));
    } else if (parsed !== undefined && !parsed.success) {
      const shown = revealText(setting, text ?? '');
      problems.push(problem(setting, setting.reveal === 'value' ? JSON.stringify(shown) : shown));
    }
  }

  const invalid = new Set(problems.map(({ variable }) => variable));
  problems.push(...brokenRules(need, config as Config, invalid));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config as Config<P>);
}

/** The default that holds in the mode, as text. */
export function defaultText(setting: Setting, isProduction: boolean): string | undefined {
  if (typeof setting.default !== 'object') return setting.default;
  return isProduction ? setting.default.production : setting.default.otherwise;
}

function problem(setting: Setting, found: string): Problem {
  return { variable: setting.variable, found, allowed: setting.kind.description ?? '' };
}

function brokenRules(need: Process, config: Config, invalid: ReadonlySet<string>): Problem[] {
  return rules.flatMap(({ variables, processes, allowed, broken }) => {
    if (processes !== undefined && !processes.includes(need)) return [];
    if (variables.some((variable) => invalid.has(variable))) return [];
    const found = broken(config);
    return found === undefined ? [] : [{ variable: variables.join(', '), found, allowed }];
  });
}

/** A name with our prefix that nothing reads is a slip of the pen. Its value is never shown. */
function unknownNames(env: Environment): Problem[] {
  const known = settingRows.map(([, { variable }]) => variable);
  const prefix = 'ROWHOUSE_';
  return Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !known.includes(name))
    .map((name) => {
      const suggestion = nearest(name, known) ?? nearest(name.slice(prefix.length), known);
      const own = known.filter((other) => other.startsWith(prefix));
      return {
        variable: JSON.stringify(name.slice(0, 100)).slice(1, -1),
        found: 'a name that nothing reads',
        allowed: suggestion === undefined ? own.join(', ') : `perhaps ${suggestion} was meant`,
      };
    });
}
