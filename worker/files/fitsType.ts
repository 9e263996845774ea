import { fileTypeFromBuffer, supportedMimeTypes } from 'file-type';

/** Types whose first bytes are those of another. */
const containers: Record<string, RegExp> = {
  'application/zip':
    /^application\/(?:zip|x-zip-compressed|java-archive|epub\+zip|vnd\.(?:openxmlformats-officedocument|oasis\.opendocument|ms-.+macroenabled)\b.*)$/i,
  'application/x-cfb': /^application\/(?:msword|vnd\.ms-(?:excel|powerpoint|outlook)|x-cfb)$/,
  'application/xml': /^(?:text\/(?:xml|html|plain)|application\/(?:.+\+)?xml|image\/svg\+xml)$/,
  'application/gzip': /^application\/(?:x-gzip|gzip|x-tgz|x-gtar)$/,
  'video/mp4': /^(?:audio|video)\/(?:mp4|x-m4a|x-m4v|quicktime)$/,
  'video/webm': /^(?:audio|video)\/(?:webm|x-matroska)$/,
  'audio/ogg': /^(?:audio|video|application)\/ogg$/,
  'video/ogg': /^(?:audio|video|application)\/ogg$/,
  'audio/wav': /^audio\/(?:wav|wave|x-wav|vnd\.wave)$/,
  'audio/mpeg': /^audio\/(?:mpeg|mp3)$/,
  'audio/x-m4a': /^audio\/(?:mp4|x-m4a|m4a)$/,
  'image/vnd.microsoft.icon': /^image\/(?:x-icon|vnd\.microsoft\.icon)$/,
  'application/rtf': /^(?:text|application)\/rtf$/,
};

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

/**
 * Whether a file may be of the type it was declared as, by its first bytes. A type that
 * is told by its first bytes has to have them; text must not look like anything else, though it
 * may begin with letters that some other type begins with; `application/octet-stream` may be
 * anything.
 */
export async function fitsType(firstBytes: Buffer, contentType: string): Promise<boolean> {
  const declared = contentType.split(';')[0]?.trim() ?? '';
  if (declared === 'application/octet-stream') return true;
  const sniffed = (await fileTypeFromBuffer(firstBytes))?.mime;
  if (sniffed === undefined) {
    return isFree.test(declared) || !supportedMimeTypes.has(declared as never);
  }
  if (sniffed === declared || containers[sniffed]?.test(declared)) return true;
  const readsAsText = !isTextual.test(sniffed) && !binaryByte.test(firstBytes.toString('latin1'));
  return isFree.test(declared) && readsAsText;
}
