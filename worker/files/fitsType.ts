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
 * Whether a file may be of the type it was declared as, by its first bytes. A type that
 * is told by its first bytes has to have them; text must not look like anything else;
 * `application/octet-stream` may be anything.
 */
export async function fitsType(firstBytes: Buffer, contentType: string): Promise<boolean> {
  const declared = contentType.split(';')[0]?.trim() ?? '';
  if (declared === 'application/octet-stream') return true;
  const sniffed = (await fileTypeFromBuffer(firstBytes))?.mime;
  if (sniffed === undefined) {
    return isFree.test(declared) || !supportedMimeTypes.has(declared as never);
  }
  return sniffed === declared || (containers[sniffed]?.test(declared) ?? false);
}
