import { imageSize } from 'image-size';

/** In pixels; null where it cannot be told. */
export type ImageSize = { width: number | null; height: number | null };

/** The size of an image stands within these, but for files with very much before it. */
export const imageHeadBytes = 512 * 1024;

/**
 * The library takes time by the square of what it is given where boxes or tags may repeat, as in
 * HEIF and SVG: half a megabyte would keep the process for seconds. The head of a HEIF file of
 * hundreds of tiles is within these.
 */
const nearBytes = 32 * 1024;

/** How formats begin whose size may stand far behind, and which the library reads once, from front to back. */
const farFormats: readonly [from: number, text: string][] = [
  [0, '\xff\xd8'],
  [0, 'II*\0'],
  [0, 'MM\0*'],
  [0, 'II+\0'],
  [0, 'MM\0+'],
  [4, 'JXL '],
];

/**
 * The size of an image, by its first bytes. Null where the library cannot tell: a file need not
 * be a good image.
 *
 * @param head as many as there are, up to `imageHeadBytes`.
 */
export function imageSizeOf(head: Buffer): ImageSize {
  const isFar = farFormats.some(
    ([from, text]) => head.toString('latin1', from, from + text.length) === text,
  );
  try {
    const { width, height } = imageSize(head.subarray(0, isFar ? imageHeadBytes : nearBytes));
    const isPlausible = [width, height].every((side) => side >= 0 && side < 2 ** 31);
    return isPlausible ? { width: Math.round(width), height: Math.round(height) } : noSize;
  } catch {
    return noSize;
  }
}

/** Of what is no image. */
export const noSize: ImageSize = { width: null, height: null };
