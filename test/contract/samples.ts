import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '../../platform/config/settings.ts';

/** One fenced block of a page. */
export type Sample = {
  page: string;
  /** Of its first line of text, counted from 1. */
  line: number;
  /** The word after the fence; '' where there is none. */
  language: string;
  text: string;
};

/** Pages written from code: their generators answer for them. */
export const generatedPages = ['docs/configuration.md', 'docs/errors.md', 'docs/lint.md'];

/** Every page of the project, as a path below its root. */
export async function listPages(): Promise<string[]> {
  const below = async (folder: string, recursive: boolean) =>
    (await readdir(join(projectRoot, folder), { recursive }))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name));
  return [...(await below('.', false)), ...(await below('docs', true))].sort();
}

/** The text of a page. */
export function readPage(page: string): string {
  return readFileSync(join(projectRoot, page), 'utf8');
}

/** The fenced blocks of a page, in order. */
export function readSamples(page: string): Sample[] {
  const samples: Sample[] = [];
  let open: (Sample & { fence: string }) | undefined;
  for (const [index, content] of readPage(page).split('\n').entries()) {
    const fence = content.match(/^\s*(```+|~~~+)(.*)$/);
    if (open && fence?.[1] === open.fence && fence[2]?.trim() === '') {
      const { fence: _, ...sample } = open;
      samples.push(sample);
      open = undefined;
    } else if (open) {
      open.text += `${content}\n`;
    } else if (fence) {
      const [, mark = '', language = ''] = fence;
      open = { page, line: index + 2, language: language.trim(), text: '', fence: mark };
    }
  }
  if (open) throw new Error(`${page}:${open.line}: this block does not end.`);
  return samples;
}

/** The prose of a page: without its blocks. */
export function readProse(page: string): string {
  const lines = readPage(page).split('\n');
  for (const { line, text } of readSamples(page)) {
    const count = text.split('\n').length - 1;
    lines.fill('', line - 2, line + count);
  }
  return lines.join('\n');
}

/** The commands of a shell sample, one a line, continued lines joined. */
export function commandsOf({ text }: Sample): string[] {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
