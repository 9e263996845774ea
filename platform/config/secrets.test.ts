import { randomInt } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { ConfigError, loadConfig } from './loadConfig.ts';
import { revealText } from './reveal.ts';
import { type Setting, settingRows } from './settings.ts';

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
const special = '/?#@:%&=+ \\\'"[]{}|^`~!$*,;<>\n\t\u00e9\u{1f511}';

function pick(alphabet: string, length: number): string {
  const all = [...alphabet];
  return Array.from({ length }, () => all[randomInt(all.length)]).join('');
}

/** Parts that do not occur by chance, joined by characters that take URLs apart. */
function makeSecret(): { text: string; parts: string[] } {
  const parts = Array.from({ length: randomInt(1, 6) }, () => `Q${pick(letters, 10)}`);
  return { text: parts.join(pick(special, randomInt(1, 3))), parts };
}

const databaseForms: ((secret: string) => string)[] = [
  (secret) => `postgres://user:${secret}@host:5432/db`,
  (secret) => `postgres://user:${encodeURIComponent(secret)}@host/db?sslmode=require`,
  (secret) => `postgresql://user@host/db?password=${secret}`,
  (secret) => `postgres://user@host/db?sslmode=require&sslpassword=${encodeURIComponent(secret)}`,
  (secret) => `postgres://${secret}@host/db`,
  (secret) => `postgres:/user:${secret}@host/db`,
  (secret) => `postgres//user:${secret}@host/db`,
  (secret) => `mysql://user:${secret}@host/db`,
  (secret) => `postgres://user:${secret}@host`,
  (secret) => `postgres://user:12/${secret}@host/db`,
  (secret) => `postgres://user:x@y/z#${secret}@host/db`,
  (secret) => `postgres://user:x@y/z?${secret}@host/db`,
  (secret) => `postgres://user:x@y/${secret}#z@host/db`,
  (secret) => `postgres://user:x@y/${secret}?z@host/db`,
  (secret) => `host=host user=user password=${secret}`,
  (secret) => secret,
];

function formsOf(setting: Setting): ((secret: string) => string)[] {
  if (setting.reveal === 'urlWithoutPassword') {
    // A login name alone is not a secret, unless the login is all there is of it.
    return databaseForms.filter((form) => !form('S').startsWith('postgres://S@'));
  }
  if (setting.reveal === 'fingerprint') return [(secret) => `-----BEGIN PRIVATE KEY-----${secret}`];
  if (setting.reveal === 'nothing') return [(secret) => secret];
  return [(secret) => `https://user:${secret.replaceAll(/\s/g, '')}@host/`];
}

function messageOf(env: Record<string, string>): string {
  try {
    loadConfig('api', env);
    return '';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return `${error.message}\n${error.stack}\n${JSON.stringify(error)}`;
  }
}

describe('secrets', () => {
  test('show in no message and in no printed value, however wrong the value is', () => {
    for (let round = 0; round < 300; round += 1) {
      const env: Record<string, string> = { NODE_ENV: 'wrong' };
      const parts: string[] = [];
      const printed: string[] = [];
      for (const [, setting] of settingRows) {
        if (setting.variable === 'NODE_ENV') continue;
        const forms = formsOf(setting);
        const secret = makeSecret();
        const text = forms[randomInt(forms.length)]?.(secret.text) ?? '';
        env[setting.variable] = text;
        parts.push(...secret.parts);
        printed.push(revealText(setting, text.trim()));
      }
      const unknown = makeSecret();
      env.ROWHOUSE_UNKNOWN = unknown.text;
      const output = [messageOf(env), ...printed].join('\n');
      const leaked = [...parts, ...unknown.parts].filter((part) => output.includes(part));
      expect({ env, leaked }).toEqual({ env, leaked: [] });
    }
  });

  test('in a well-formed database URL leave the place of the database readable', () => {
    const row = settingRows.find(([key]) => key === 'databaseUrl')?.[1] as Setting;
    expect(revealText(row, 'postgres://api:p%40ss@db.internal:6432/rowhouse?password=x')).toBe(
      'postgres://api:***@db.internal:6432/rowhouse',
    );
    expect(revealText(row, 'postgres://api@db/rowhouse')).toBe('postgres://api@db/rowhouse');
  });
});
