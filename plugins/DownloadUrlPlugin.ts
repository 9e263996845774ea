import type { PgSelectSingleStep } from 'postgraphile/@dataplan/pg';
import { context, lambda } from 'postgraphile/grafast';
import { extendSchema } from 'postgraphile/utils';
import { RowhouseError } from '../platform/errors/registry.ts';
import { required, type Uploads } from './uploads.ts';

/** `File.downloadUrl`: signed for whoever may see the file. Asks nobody, so a page may have many. */
export const DownloadUrlPlugin = extendSchema(() => {
  return {
    typeDefs: /* GraphQL */ `
      extend type File {
        """
        Where to download it; null until it is ready. Whoever has the URL can use it until it
        expires. A browser saves the file instead of showing it, but for harmless types.
        """
        downloadUrl(
          """
          For how many seconds it is valid.
          """
          ttlSeconds: Int = 60
        ): DownloadUrl
      }

      """
      Where to download a file.
      """
      type DownloadUrl {
        """
        Where from, by \`GET\`.
        """
        url: String!
        """
        Until when it is valid.
        """
        expiresAt: Datetime!
      }
    `,
    objects: {
      File: {
        plans: {
          downloadUrl($file: PgSelectSingleStep, fieldArgs) {
            return lambda(
              [
                context().get('uploads'),
                fieldArgs.getRaw('ttlSeconds'),
                $file.get('object_key'),
                $file.get('object_version'),
                $file.get('file_name'),
                $file.get('content_type'),
              ],
              (values) => downloadUrl(values as never),
            );
          },
        },
      },
    },
  };
}, 'DownloadUrlPlugin');

type Values = [Uploads | undefined, number | null, string | null, string | null, string, string];

async function downloadUrl([uploads, ttl, key, version, fileName, contentType]: Values) {
  if (key === null) return null;
  const { storage, inlineTypes, maxDownloadTtlSeconds } = required(uploads);
  const ttlSeconds = ttl ?? 60;
  if (ttlSeconds < 1 || ttlSeconds > maxDownloadTtlSeconds) {
    throw new RowhouseError('BAD_USER_INPUT', {
      field: 'ttlSeconds',
      message: `A URL is valid for 1 to ${maxDownloadTtlSeconds} seconds.`,
    });
  }
  const isInline = inlineTypes.includes(contentType.split(';')[0] ?? '');
  const { url, expiresAt } = await storage.sign.download({
    key,
    version,
    fileName,
    contentType,
    isInline,
    ttlSeconds,
  });
  return { url, expiresAt: expiresAt.toISOString() };
}
