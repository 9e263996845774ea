import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { supportedMimeTypes } from 'file-type';
import { fitsType } from './fitsType.ts';
import { alsoNamed, containers, formats, halfKnown } from './mediaTypes.ts';

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

const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(
    parts.map((part) =>
      typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part),
    ),
  );
/** The first box of MP4, HEIF and their kin. */
const branded = (major: string, ...others: string[]) =>
  bytes([0, 0, 0, 16 + 4 * others.length], 'ftyp', major, [0, 0, 2, 0], others.join(''));
const matroska = (documentType: string) =>
  bytes(
    [0x1a, 0x45, 0xdf, 0xa3, 0x87 + documentType.length],
    [0x42, 0x86, 0x81, 1],
    [0x42, 0x82, 0x80 + documentType.length],
    documentType,
  );
const ogg = (codec: string) =>
  bytes('OggS', [0, 2], Array(8).fill(0), Array(12).fill(1), [1, 19], codec, Array(24).fill(1));
const chunk = (type: string, size: number) => bytes([0, 0, 0, size], type, Array(size + 4).fill(0));
const png = (...more: Buffer[]) =>
  Buffer.concat([
    bytes([0x89], 'PNG\r\n', [0x1a, 0x0a]),
    chunk('IHDR', 13),
    ...more,
    chunk('IDAT', 0),
  ]);
const tiff = (directoryAt: number) => {
  const head = Buffer.alloc(4_100);
  head.write('II*\0', 'latin1');
  head.writeUInt32LE(directoryAt, 4);
  return head;
};
/** A ZIP as far as the head of its first entries, which are stored. */
const zip = (...names: string[]) =>
  Buffer.concat(
    names.map((name) => {
      const head = Buffer.alloc(30);
      head.write('PK\x03\x04', 'latin1');
      head.writeUInt16LE(name.length, 26);
      return Buffer.concat([head, Buffer.from(name)]);
    }),
  );
const word = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
const office = bytes([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], Array(504).fill(0));
const asf = bytes(
  [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0, 0xaa, 0, 0x62, 0xce, 0x6c],
  [14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2],
);

describe('a format goes by all its names', () => {
  test.each<[string, Buffer, string[]]>([
    ['Matroska', matroska('matroska'), ['video/x-matroska', 'video/matroska', 'audio/x-matroska']],
    ['WebM', matroska('webm'), ['video/webm', 'audio/webm', 'video/webm;codecs=vp9,opus']],
    [
      'Opus in Ogg',
      ogg('OpusHead'),
      ['audio/ogg', 'audio/opus', 'application/ogg', 'audio/ogg; codecs=opus'],
    ],
    ['Vorbis in Ogg', ogg('\x01vorbis'), ['audio/ogg', 'audio/vorbis']],
    ['Theora in Ogg', ogg('\x80theora\0'), ['video/ogg']],
    [
      'AVI',
      bytes('RIFF', [0, 1, 0, 0], 'AVI LIST'),
      ['video/x-msvideo', 'video/avi', 'video/vnd.avi'],
    ],
    [
      'an MPEG program',
      bytes([0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1], Array(20).fill(0)),
      ['video/mpeg', 'video/MP2P', 'video/mp2p'],
    ],
    [
      'an older MPEG program',
      bytes([0, 0, 1, 0xba, 0x21, 0, 1, 0, 1, 0x80], Array(20).fill(0)),
      ['video/mpeg', 'video/mp1s'],
    ],
    ['MP4 by iTunes', branded('M4V ', 'mp42', 'isom'), ['video/mp4', 'video/x-m4v']],
    ['MP4', branded('isom', 'mp41'), ['video/mp4', 'audio/mp4', 'video/3gpp', 'video/quicktime']],
    ['QuickTime', branded('qt  '), ['video/quicktime', 'video/mp4']],
    ['audio of MP4', branded('M4A ', 'mp42'), ['audio/mp4', 'audio/x-m4a', 'audio/m4a']],
    ['3GPP', branded('3gp4', 'isom'), ['audio/3gpp', 'video/3gpp', 'video/mp4']],
    ['HEIF', branded('mif1', 'mif1', 'heic'), ['image/heic', 'image/heif', 'image/avif']],
    ['HEIC', branded('heic', 'mif1', 'heic'), ['image/heif', 'image/heic', 'IMAGE/HEIC']],
    ['HEIC that moves', branded('hevc', 'msf1'), ['image/heic', 'image/heic-sequence']],
    ['AVIF', branded('avif', 'mif1'), ['image/avif', 'image/heif']],
    [
      'JPEG',
      bytes([0xff, 0xd8, 0xff, 0xe0, 0, 16], 'JFIF\0'),
      ['image/jpeg', 'image/jpg', 'image/pjpeg'],
    ],
    ['PNG', png(), ['image/png', 'image/x-png']],
    ['a PNG that moves', png(chunk('acTL', 8)), ['image/png', 'image/apng']],
    ['a TIFF, its directory first', tiff(8), ['image/tiff', 'image/x-adobe-dng']],
    [
      'a TIFF, its directory last',
      tiff(1_000_000),
      ['image/tiff', 'image/tif', 'image/x-nikon-nef'],
    ],
    ['a bitmap', bmp, ['image/bmp', 'image/x-ms-bmp']],
    [
      'an icon',
      bytes([0, 0, 1, 0, 1, 0, 16, 16], Array(20).fill(0)),
      ['image/x-icon', 'image/vnd.microsoft.icon', 'image/ico'],
    ],
    ['MP3', mp3, ['audio/mpeg', 'audio/mp3']],
    ['FLAC', bytes('fLaC', [0, 0, 0, 0x22], Array(34).fill(0)), ['audio/flac', 'audio/x-flac']],
    ['AIFF', bytes('FORM', [0, 0, 1, 0], 'AIFFCOMM'), ['audio/aiff', 'audio/x-aiff']],
    ['AAC', bytes([0xff, 0xf1, 0x50, 0x80, 2, 0x1f, 0xfc]), ['audio/aac', 'audio/x-aac']],
    ['WAV', bytes('RIFF', [0, 1, 0, 0], 'WAVEfmt '), ['audio/wav', 'audio/x-wav', 'audio/wave']],
    ['MIDI', bytes('MThd', [0, 0, 0, 6, 0, 1]), ['audio/midi', 'audio/mid']],
    ['Windows Media', asf, ['video/x-ms-wmv', 'audio/x-ms-wma', 'video/x-ms-asf']],
    ['a ZIP', zip('a.txt'), ['application/zip', 'application/x-zip-compressed', word, 'model/3mf']],
    ['a Word document', zip('[Content_Types].xml', 'word/document.xml'), [word, 'application/zip']],
    ['a Word document with a password', office, [word, 'application/msword']],
    ['Numbers', zip('Index/Document.iwa'), ['application/vnd.apple.numbers']],
    [
      'RAR',
      bytes('Rar!', [0x1a, 7, 1, 0]),
      ['application/vnd.rar', 'application/x-rar-compressed', 'application/x-rar'],
    ],
    ['GZIP', gzipSync('a'), ['application/gzip', 'application/x-gzip', 'application/x-gtar']],
    [
      'a program',
      exe,
      ['application/x-msdownload', 'application/vnd.microsoft.portable-executable'],
    ],
    ['a drawing saved as PDF', bytes('%PDF-1.5\r'), ['application/pdf', 'application/postscript']],
  ])('%s', async (_, head, names) => {
    for (const name of names) expect([name, await fitsType(head, name)]).toEqual([name, true]);
    for (const other of ['image/gif', 'application/x-7z-compressed', 'text/plain']) {
      expect([other, await fitsType(head, other)]).toEqual([other, false]);
    }
  });

  test.each([
    ['image/jpg', png()],
    ['image/jpg', Buffer.from('Sell more anvils.')],
    ['video/x-matroska', branded('isom')],
    ['application/pdf', bytes('%!PS-Adobe-3.0')],
    ['application/gzip', Buffer.concat([Buffer.alloc(257), bytes('ustar', [0])])],
    [word, matroska('webm')],
    ['image/x-nikon-nef', png()],
  ])('and not by that of another: %s', async (name, head) => {
    expect(await fitsType(head, name)).toBe(false);
  });

  test('what shows in some of its forms only may begin as it likes', async () => {
    for (const name of halfKnown) expect(await fitsType(Buffer.alloc(84), name)).toBe(true);
  });

  test('each is told by a name that the library of first bytes gives', () => {
    const given = new Set([...supportedMimeTypes].map((name) => name.split(';')[0]?.toLowerCase()));
    const ours = [
      ...formats.map(([name]) => name),
      ...Object.keys(containers),
      ...Object.keys(alsoNamed),
      ...Object.values(alsoNamed).flat(),
      ...halfKnown,
    ];
    expect(ours.filter((name) => !given.has(name))).toEqual([]);
    const names = formats.flat();
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });
});
