/**
 * Names of one format, or of formats that are taken for each other, as first bytes do not tell
 * them apart. First a name that the library of first bytes gives, then others that it or clients
 * give. A file that was declared by any of them has to begin as that format does.
 */
export const formats: readonly (readonly [string, ...string[]])[] = [
  ['image/jpeg', 'image/jpg', 'image/pjpeg'],
  // A PNG that moves is a PNG to whoever does not know.
  ['image/png', 'image/apng', 'image/vnd.mozilla.apng', 'image/x-png'],
  ['image/bmp', 'image/x-ms-bmp', 'image/x-bmp', 'image/x-windows-bmp'],
  ['image/x-icon', 'image/vnd.microsoft.icon', 'image/ico', 'image/vnd.microsoft.cursor'],
  ['image/tiff', 'image/tif', 'image/x-tiff'],
  // The brand tells the general format or the special one.
  ['image/heif', 'image/heic', 'image/heif-sequence', 'image/heic-sequence'],
  ['image/vnd.adobe.photoshop', 'image/x-photoshop', 'image/psd', 'application/x-photoshop'],
  ['image/jpm', 'video/jpm'],
  ['image/mj2', 'video/mj2'],
  ['image/icns', 'image/x-icns'],
  ['image/vnd.ms-photo', 'image/jxr'],
  ['image/vnd.dwg', 'image/x-dwg', 'application/acad', 'application/x-acad'],
  ['image/x-fujifilm-raf', 'image/x-fuji-raf'],
  ['audio/mpeg', 'audio/mp3', 'audio/x-mp3', 'audio/x-mpeg', 'audio/mpeg3', 'audio/x-mpeg-3'],
  ['audio/wav', 'audio/wave', 'audio/x-wav', 'audio/vnd.wave'],
  ['audio/flac', 'audio/x-flac'],
  ['audio/aiff', 'audio/x-aiff'],
  ['audio/aac', 'audio/x-aac', 'audio/aacp', 'audio/vnd.dlna.adts'],
  ['audio/midi', 'audio/mid', 'audio/x-midi'],
  ['audio/amr', 'audio/amr-wb'],
  ['audio/x-caf', 'audio/caf'],
  ['audio/vnd.dolby.dd-raw', 'audio/ac3', 'audio/x-ac3'],
  [
    'application/ogg',
    'audio/ogg',
    'video/ogg',
    'audio/opus',
    'audio/vorbis',
    'audio/speex',
    'audio/x-ogg',
  ],
  [
    'video/matroska',
    'video/x-matroska',
    'audio/matroska',
    'audio/x-matroska',
    'video/webm',
    'audio/webm',
  ],
  [
    'video/mp4',
    'audio/mp4',
    'application/mp4',
    'video/quicktime',
    'video/x-m4v',
    'audio/x-m4a',
    'audio/m4a',
    'audio/x-m4b',
    'video/x-f4v',
    'video/3gpp',
    'audio/3gpp',
    'video/3gpp2',
    'audio/3gpp2',
  ],
  ['video/vnd.avi', 'video/x-msvideo', 'video/avi', 'video/msvideo'],
  ['video/mpeg', 'video/mp1s', 'video/mp2p', 'video/mpg', 'video/x-mpeg', 'video/x-ms-vob'],
  ['video/mp2t', 'video/vnd.dlna.mpeg-tts'],
  ['video/x-flv', 'video/flv'],
  [
    'application/vnd.ms-asf',
    'video/x-ms-asf',
    'audio/x-ms-asf',
    'video/x-ms-wmv',
    'audio/x-ms-wma',
  ],
  [
    'font/ttf',
    'font/otf',
    'font/collection',
    'font/sfnt',
    'application/x-font-ttf',
    'application/x-font-otf',
    'application/vnd.ms-opentype',
  ],
  ['font/woff', 'application/font-woff'],
  ['font/woff2', 'application/font-woff2'],
  ['application/pdf', 'application/x-pdf'],
  [
    'application/postscript',
    'application/eps',
    'application/x-eps',
    'image/x-eps',
    'application/illustrator',
  ],
  ['application/rtf', 'text/rtf', 'application/x-rtf'],
  ['application/zip', 'application/x-zip-compressed', 'application/x-zip'],
  ['application/gzip', 'application/x-gzip', 'application/x-tgz', 'application/x-compressed-tar'],
  ['application/x-tar', 'application/x-gtar', 'application/tar'],
  ['application/x-bzip2', 'application/x-bzip', 'application/x-bzip-compressed-tar'],
  ['application/x-xz', 'application/x-xz-compressed-tar'],
  ['application/zstd', 'application/x-zstd'],
  ['application/x-rar-compressed', 'application/vnd.rar', 'application/x-rar'],
  [
    'application/x-msdownload',
    'application/x-dosexec',
    'application/vnd.microsoft.portable-executable',
    'application/x-msdos-program',
  ],
  ['application/x-deb', 'application/vnd.debian.binary-package'],
  ['application/x-rpm', 'application/x-redhat-package-manager'],
  ['application/x-sqlite3', 'application/vnd.sqlite3'],
  ['application/java-archive', 'application/x-java-archive'],
  [
    'application/vnd.apple.pages',
    'application/vnd.apple.numbers',
    'application/vnd.apple.keynote',
    'application/x-iwork-pages-sffpages',
    'application/x-iwork-numbers-sffnumbers',
    'application/x-iwork-keynote-sffkey',
  ],
];

/**
 * Formats of which others are made, by the first name of each, and the names of those. Their
 * first bytes may show no more than what they are made of.
 */
export const containers: Readonly<Record<string, RegExp>> = {
  'application/zip':
    /^(?:.+\+zip|model\/3mf|application\/(?:java-archive|x-xpinstall|vnd\.(?:openxmlformats-officedocument|oasis\.opendocument|apple|android\.package|visio|ms-visio|google-earth\.kmz|ms-.+macroenabled)\b.*))$/,
  // Office files of old, and new ones with a password.
  'application/x-cfb':
    /^application\/(?:msword|x-msi|vnd\.(?:visio|ms-(?:excel|powerpoint|outlook|project)|openxmlformats-officedocument\b.*|ms-.+macroenabled\b.*))$/,
  'application/xml': /^(?:text\/(?:xml|html|plain)|.+\/(?:.+\+)?xml)$/,
  'image/tiff':
    /^image\/(?:dng|x-(?:[a-z]+-)?(?:dng|cr2|nef|nrw|arw|srf|sr2|pef|dcr|kdc|raw|3fr))$/,
  'image/heif': /^image\/avif(?:-sequence)?$/,
};

/** What also goes by the name of another format, that of the key: a drawing saved as PDF, a packed archive. */
export const alsoNamed: Readonly<Record<string, readonly string[]>> = {
  'application/postscript': ['application/pdf'],
  'application/x-tar': ['application/gzip', 'application/x-bzip2', 'application/x-xz'],
};

/** What the library knows in some of its forms only: files of these may begin as they like. */
export const halfKnown: ReadonlySet<string> = new Set([
  'application/x-apple-diskimage',
  'application/x-iso9660-image',
  'application/vnd.tcpdump.pcap',
  'application/pgp-encrypted',
  'model/stl',
]);

/** The first name of a format, of any of its names: in lower case, without parameters. */
export function nameOf(mediaType: string): string {
  const plain = (mediaType.split(';')[0] ?? '').trim().toLowerCase();
  return firstNames.get(plain) ?? plain;
}

const firstNames = new Map(
  formats.flatMap((names) => names.map((name) => [name, names[0]] as const)),
);
