import { createHash } from 'node:crypto';
import { parsePostgresUrl } from './kinds.ts';
import type { Setting } from './settings.ts';

const longestShown = 200;

/**
 * What may be shown of a setting's text, to people and in logs. Never a secret,
 * nor a part of one, even where the text is wrong in a way that puts it in an
 * unexpected place: a value that cannot be taken apart is only counted.
 */
export function revealText(setting: Setting, text: string): string {
  switch (setting.reveal) {
    case 'value':
      return clip(withoutUserInfo(text));
    case 'urlWithoutPassword':
      return databaseLocation(text) ?? count(text);
    case 'fingerprint':
      return setting.kind.safeParse(text).success ? fingerprint(text) : count(text);
    case 'nothing':
      return count(text);
    default: {
      const never: never = setting.reveal;
      return never;
    }
  }
}

function databaseLocation(text: string): string | undefined {
  const url = parsePostgresUrl(text);
  if (url === undefined) return undefined;
  const password = url.password === '' ? '' : ':***';
  const user = url.username === '' ? '' : `${url.username}${password}@`;
  // Query parameters are left out: `password` and `sslpassword` may be among them.
  return `${url.protocol}//${user}${url.host}${url.pathname}`;
}

/** Somebody may have put a URL with a password where none belongs. */
function withoutUserInfo(text: string): string {
  return text.replace(/\/\/\S*@/g, '//***@');
}

function fingerprint(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

function count(text: string): string {
  return `(${text.length} characters, not shown)`;
}

function clip(text: string): string {
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
