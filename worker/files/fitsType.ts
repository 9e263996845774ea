import { fileTypeFromBuffer, supportedMimeTypes } from 'file-type';
import { alsoNamed, containers, halfKnown, nameOf } from './mediaTypes.ts';

/** Types whose first bytes are free, though the library knows some of them. */
const isFree =
  /^(?:text\/|application\/(?:json|xml|.+\+xml|.+\+json|octet-stream)|image\/svg\+xml)/;

/**
 * Bytes that stand in no text, as the MIME sniffing standard has them. Formats that are told by
 * two or three letters, such as `BM` or `ID3`, have some of these right after them.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const binaryByte = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/;

/** Formats that may be all text, and yet are taken for what they are by whoever reads them. */
const isTextual = /^application\/(?:pdf|rtf)$/;

/** What is told by its first bytes. */
const told = new Set([...supportedMimeTypes].map(nameOf).filter((name) => !halfKnown.has(name)));

/**
 * Whether a file may be of the type it was declared as, by its first bytes. A type that
 * is told by its first bytes has to have them; text must not look like anything else, though it
 * may begin with letters that some other type begins with; `application/octet-stream` may be
 * anything.
 */
export async function fitsType(firstBytes: Buffer, contentType: string): Promise<boolean> {
  const declared = nameOf(contentType);
  if (declared === 'application/octet-stream') return true;
  const sniffed = await sniff(firstBytes);
  if (sniffed === undefined) return isFree.test(declared) || !told.has(declared);
  if (sniffed === declared || alsoNamed[declared]?.includes(sniffed)) return true;
  if (isMadeOf(declared, sniffed) || isMadeOf(sniffed, declared)) return true;
  const readsAsText = !isTextual.test(sniffed) && !binaryByte.test(firstBytes.toString('latin1'));
  return isFree.test(declared) && readsAsText;
}

const isMadeOf = (name: string, container: string) => containers[container]?.test(name) ?? false;

async function sniff(firstBytes: Buffer): Promise<string | undefined> {
  const sniffed = await fileTypeFromBuffer(firstBytes);
  if (sniffed) return nameOf(sniffed.mime);
  // The library wants to read on where the first directory lies, which is often the end of the file.
  const head = firstBytes.toString('latin1', 0, 4);
  return head === 'II*\0' || head === 'MM\0*' ? 'image/tiff' : undefined;
}
