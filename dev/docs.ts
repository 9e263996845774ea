import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { renderLintPage } from '../db/lintPage.ts';
import { renderConfigurationPage } from '../platform/config/page.ts';
import { projectRoot } from '../platform/config/settings.ts';
import { renderErrorsPage } from '../platform/errors/page.ts';

/** Writes the pages that are derived from code, or checks that they are what the code says. */

const pages = {
  'docs/configuration.md': renderConfigurationPage,
  'docs/errors.md': renderErrorsPage,
  'docs/lint.md': renderLintPage,
};

const { check, root } = new Command('docs')
  .description('Writes docs/configuration.md, docs/errors.md and docs/lint.md.')
  .option('--check', 'write nothing; exit with 1 if a page is not what the code says')
  .option('--root <folder>', 'the project whose pages are meant', projectRoot)
  .parse()
  .opts<{ check?: true; root: string }>();

for (const [path, render] of Object.entries(pages)) {
  const file = resolve(root, path);
  const text = render();
  if (!check) {
    await writeFile(file, text);
    console.log(`wrote ${path}`);
  } else if ((await readFile(file, 'utf8').catch(() => undefined)) !== text) {
    console.error(`${path} is not what the code says: run \`npm run docs\`.`);
    process.exitCode = 1;
  }
}
