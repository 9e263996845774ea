import { expect, test } from '@jest/globals';
import { imageHeadBytes, imageSizeOf, noSize } from './imageSizeOf.ts';

/** A box as HEIF and JPEG XL have them. */
function box(type: string, ...content: Buffer[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), ...content]);
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.write(type, 4, 'latin1');
  return bytes;
}

/** A HEIF file with so many sizes, and a box of so many bytes before them. */
function heif(sizes: number, before = 0): Buffer {
  const side = Buffer.from([0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 9]);
  const properties = box('ipco', ...Array(sizes).fill(box('ispe', side)));
  const head = [
    box('ftyp', Buffer.from('mif1\0\0\0\0mif1')),
    box('free', Buffer.alloc(before)),
    box('meta', Buffer.alloc(4), box('iprp', properties)),
  ];
  return Buffer.concat(head);
}

/** A JPEG with so many segments of 60 KB before its size. */
function jpeg(segments: number): Buffer {
  const comment = Buffer.alloc(60_002);
  comment.set([0xff, 0xfe]);
  comment.writeUInt16BE(60_000, 2);
  const frame = Buffer.from([0xff, 0xc0, 0, 11, 8, 0, 9, 0, 16, 1, 1, 0x11, 0, 0xff, 0xd9]);
  return Buffer.concat([Buffer.from([0xff, 0xd8]), ...Array(segments).fill(comment), frame]);
}

/** How often numbers are read from memory meanwhile. */
function readsOf(work: () => void): number {
  const { getUint32 } = DataView.prototype;
  let reads = 0;
  DataView.prototype.getUint32 = function counted(...where) {
    reads += 1;
    if (reads > 10_000_000) throw new Error('There is no end of it.');
    return getUint32.apply(this, where);
  };
  try {
    work();
  } finally {
    DataView.prototype.getUint32 = getUint32;
  }
  return reads;
}

const size = { width: 16, height: 9 };

test('tells the size of a HEIF file with hundreds of tiles', () => {
  expect(imageSizeOf(heif(1))).toEqual(size);
  expect(imageSizeOf(heif(500, 20_000))).toEqual(size);
});

test('a HEIF file that names its size again and again is not read to the end', () => {
  const hostile = heif(26_000);
  expect(hostile.length).toBeLessThan(imageHeadBytes);
  const reads = readsOf(() => imageSizeOf(Buffer.concat([hostile, Buffer.alloc(10)])));
  // Otherwise it takes some hundred million, by the square of the sizes.
  expect(reads).toBeLessThan(10_000);
});

test('nor is it where what it names fits into what is read', () => {
  const hostile = Buffer.concat([heif(1_600), Buffer.alloc(imageHeadBytes)]);
  expect(readsOf(() => expect(imageSizeOf(hostile)).toEqual(size))).toBeLessThan(4_000_000);
});

test('an SVG is read no further than that, whatever its beginning', () => {
  const svg = (attributes: number) =>
    Buffer.from(`<svg ${'a="b" '.repeat(attributes)} width="16" height="9">`);
  // The library looks for the tag in the first thousand characters, and reads on from there.
  expect(imageSizeOf(Buffer.concat([Buffer.from('<svg >'), svg(1)]))).toEqual(noSize);
  expect(imageSizeOf(svg(100))).toEqual(size);
  const second = `<svg '<svg >${' '.repeat(40_000)}' width="16" height="9">`;
  expect(imageSizeOf(Buffer.from(second))).toEqual(noSize);
});

test.each([
  ['a JPEG', jpeg(8)],
  [
    'a TIFF',
    (() => {
      const bytes = Buffer.alloc(400_100);
      bytes.write('II*\0', 'latin1');
      bytes.writeUInt32LE(400_000, 4);
      bytes.set([2, 0, 0, 1, 3, 0, 1, 0, 0, 0, 16, 0, 0, 0, 1, 1, 3, 0, 1, 0, 0, 0, 9], 400_000);
      return bytes;
    })(),
  ],
  [
    'a JPEG XL',
    Buffer.concat([
      box('JXL ', Buffer.from([0x0d, 0x0a, 0x87, 0x0a])),
      box('ftyp', Buffer.from('jxl \0\0\0\0jxl ')),
      box('Exif', Buffer.alloc(400_000)),
      // 9 high, as 9 bits after two that say so; 16:9 wide.
      box('jxlc', Buffer.from([0xff, 0x0a, 0x40, 0x50, 0, 0])),
    ]),
  ],
])('tells the size of %s where it stands far behind', (_, bytes) => {
  expect(imageSizeOf(bytes)).toEqual(size);
});

test('what is no image has none', () => {
  expect(imageSizeOf(Buffer.alloc(0))).toEqual(noSize);
  expect(imageSizeOf(Buffer.from('Sell more anvils.'))).toEqual(noSize);
});
