import { Command, Option } from 'commander';
import { readSources, setValue } from './environment.ts';
import { ConfigError, defaultText, loadConfig } from './loadConfig.ts';
import { revealText } from './reveal.ts';
import { type Process, type Setting, settingRows } from './settings.ts';

/** The effective settings, secrets redacted, and where each comes from. */

type Line = { section: string; variable: string; value: string | null; from: string };

const processes: readonly Process[] = ['api', 'worker', 'migrate', 'none'];

const { json, for: need } = new Command('config:print')
  .description('Prints the settings in effect, secrets redacted, and where each comes from.')
  .option('--json', 'print JSON')
  .addOption(
    new Option('--for <process>', 'also check what this process requires')
      .choices(processes)
      .default('none'),
  )
  .parse()
  .opts<{ json?: true; for: Process }>();

const sources = readSources(process.env);
const lines = settingRows.map(([, setting]) => describe(setting));
process.stdout.write(json ? `${JSON.stringify(lines, null, 2)}\n` : renderText());

try {
  loadConfig(need);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function describe(setting: Setting): Line {
  const { section, variable } = setting;
  const source = sources.find(({ values }) => setValue(values[variable]) !== undefined);
  const given = setValue(source?.values[variable]);
  if (given !== undefined) {
    return { section, variable, value: revealText(setting, given), from: source?.name ?? '' };
  }
  const text = defaultText(setting, isProduction());
  return { section, variable, value: text || null, from: text === undefined ? 'unset' : 'default' };
}

function isProduction(): boolean {
  const modes = sources.map(({ values }) => setValue(values.NODE_ENV));
  return !['development', 'test'].includes(modes.find((mode) => mode !== undefined) ?? '');
}

function renderText(): string {
  const width = Math.max(...lines.map(({ variable }) => variable.length));
  const sections = [...new Set(lines.map(({ section }) => section))];
  return sections
    .map((section) => {
      const rows = lines
        .filter((line) => line.section === section)
        .map(({ variable, value, from }) => {
          return `  ${variable.padEnd(width)}  ${value ?? '(none)'}  [${from}]\n`;
        });
      return `${section}\n${rows.join('')}`;
    })
    .join('\n');
}
