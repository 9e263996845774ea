import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { fitsType } from './fitsType.ts';

const bmp = Buffer.concat([
  Buffer.from('BM'),
  Buffer.from([0x3a, 0, 0, 0, 0, 0, 0, 0, 0x36, 0, 0, 0]),
]);
const mp3 = Buffer.concat([Buffer.from('ID3'), Buffer.from([3, 0, 0, 0, 0, 0, 0x0a])]);
const exe = Buffer.concat([Buffer.from('MZ'), Buffer.from([0x90, 0, 3, 0, 0, 0, 4, 0])]);

describe('a text', () => {
  test.each([
    'BMW sells cars.',
    'MZ is how programs for DOS begin.',
    'ID3 tags hold titles.',
    'GIF is said with a hard G.',
    'FLV, BZh, FWS and Cr24 are short.',
    'BM: für ältere Leser',
    '%! is a comment',
  ])('may begin as other types do: %s', async (text) => {
    for (const type of [
      'text/plain',
      'text/csv',
      'application/json',
      'text/plain; charset=utf-8',
    ]) {
      expect([type, await fitsType(Buffer.from(text), type)]).toEqual([type, true]);
      expect([type, await fitsType(Buffer.from(text, 'latin1'), type)]).toEqual([type, true]);
    }
  });

  test.each([
    ['a bitmap', bmp],
    ['music', mp3],
    ['a program', exe],
    ['a packed text', gzipSync('Sell more anvils.')],
    ['a PDF, also where all of it is text', Buffer.from('%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>')],
  ])('is not %s', async (_, bytes) => {
    for (const type of ['text/plain', 'application/json']) {
      expect([type, await fitsType(bytes, type)]).toEqual([type, false]);
    }
  });
});

test('what is told by its first bytes has to have them, and reading as text is no excuse', async () => {
  expect(await fitsType(bmp, 'image/bmp')).toBe(true);
  expect(await fitsType(Buffer.from('Sell more anvils.'), 'image/bmp')).toBe(false);
  expect(await fitsType(Buffer.from('BMW sells cars.'), 'image/png')).toBe(false);
});
