import { createHash } from 'node:crypto';
import type { ErrorCode } from '../../platform/errors/registry.ts';
import type { Scan } from '../../services/scanner/makeScanner.ts';
import type { StoredObject } from '../../services/storage/openStorage.ts';
import { fitsType } from './fitsType.ts';
import { imageHeadBytes, imageSizeOf, noSize } from './imageSizeOf.ts';
import type { FileServices } from './services.ts';

/** What the owner of a file said of it beforehand. */
export type Declared = { contentType: string; byteSize: bigint; checksumSha256: string };

/** What its bytes are. */
export type Verdict =
  | { isAsDeclared: true; width: number | null; height: number | null }
  | { isAsDeclared: false; error: ErrorCode };

/** Enough for every type to be told by its first bytes. */
const sniffedBytes = 4_100;

/**
 * Compares an object with what was declared: size and type as the store has them, the
 * checksum, the type by the first bytes, and the scanner's verdict. Reads all bytes, in
 * constant memory, unless the store has computed the checksum itself and nobody scans.
 *
 * @param object as the store describes what lies under `key`.
 */
export async function inspectBytes(
  { storage, scanner }: FileServices,
  key: string,
  object: StoredObject,
  declared: Declared,
  signal: AbortSignal,
): Promise<Verdict> {
  if (object.byteSize !== declared.byteSize) return rejected('UPLOAD_SIZE_MISMATCH');
  // With an encoding, readers would be told to make other bytes of these.
  if (!isSameType(object.contentType, declared.contentType) || object.contentEncoding !== null) {
    return rejected('UPLOAD_TYPE_MISMATCH');
  }
  if (object.checksumSha256 !== null && object.checksumSha256 !== declared.checksumSha256) {
    return rejected('UPLOAD_CHECKSUM_MISMATCH');
  }

  const isImage = declared.contentType.startsWith('image/');
  const headBytes = isImage ? imageHeadBytes : sniffedBytes;
  const readAll = object.checksumSha256 === null || scanner !== undefined;
  const scanning = await scanner?.open();
  try {
    const head =
      readAll || declared.byteSize === 0n
        ? await readWhole(storage.read(key, { seen: object, signal }), headBytes, scanning)
        : await readHead(storage.read(key, { seen: object, signal, first: headBytes }));
    if (head.checksumSha256 !== undefined && head.checksumSha256 !== declared.checksumSha256) {
      return rejected('UPLOAD_CHECKSUM_MISMATCH');
    }
    if (!(await fitsType(head.bytes.subarray(0, sniffedBytes), declared.contentType))) {
      return rejected('UPLOAD_TYPE_MISMATCH');
    }
    const found = await scanning?.verdict();
    if (found === 'infected') return rejected('UPLOAD_INFECTED');
    if (found === 'refused') return rejected('UPLOAD_UNVERIFIED');
    return { isAsDeclared: true, ...(isImage ? imageSizeOf(head.bytes) : noSize) };
  } finally {
    scanning?.close();
  }
}

const rejected = (error: ErrorCode): Verdict => ({ isAsDeclared: false, error });

/** Whether two media types are one: stores write parameters in ways of their own. */
export function isSameType(one: string, other: string): boolean {
  const normal = (text: string) => text.toLowerCase().replaceAll(' ', '');
  return normal(one) === normal(other);
}

type Head = { bytes: Buffer; checksumSha256?: string };

async function readHead(pieces: AsyncIterable<Buffer>): Promise<Head> {
  const head: Buffer[] = [];
  for await (const piece of pieces) head.push(piece);
  return { bytes: Buffer.concat(head) };
}

async function readWhole(
  pieces: AsyncIterable<Buffer>,
  headBytes: number,
  scanning: Scan | undefined,
): Promise<Head> {
  const hash = createHash('sha256');
  const head: Buffer[] = [];
  let headLength = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    if (headLength < headBytes) {
      // A copy: a slice would keep the whole piece.
      const part = Buffer.from(piece.subarray(0, headBytes - headLength));
      head.push(part);
      headLength += part.length;
    }
    await scanning?.write(piece);
  }
  return { bytes: Buffer.concat(head), checksumSha256: hash.digest('base64') };
}
