import { describe, expect, test } from '@jest/globals';
import { defaultText } from './loadConfig.ts';
import { settingRows } from './settings.ts';

const rows = settingRows.map(([key, setting]) => ({ key, ...setting }));

describe('the table of settings', () => {
  test('names no variable twice', () => {
    const names = rows.map(({ variable }) => variable);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(rows)('$variable says in words what it means and what it allows', (setting) => {
    expect(setting.meaning).toMatch(/\.$/);
    expect(setting.tradeOff ?? '.').toMatch(/\.$/);
    expect(setting.kind.description).toBeTruthy();
  });

  test.each(rows)('$variable has defaults that it allows', (setting) => {
    for (const isProduction of [true, false]) {
      const text = defaultText(setting, isProduction);
      if (text !== undefined) expect(setting.kind.safeParse(text).success).toBe(true);
    }
  });

  test('gives durations their unit in the name', () => {
    for (const { key, unit } of rows.filter((row) => row.unit === 'ms')) {
      expect([key, unit]).toEqual([expect.stringMatching(/Ms$/), 'ms']);
    }
  });
});
