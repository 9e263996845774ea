import type { Uploads } from '../../plugins/uploads.ts';
import { openStorage } from '../../services/storage/openStorage.ts';

/** Where nothing listens. */
const endpoint = 'http://store.invalid';

/** Uploads without a store: signing needs none. */
export const signingOnly: Uploads = {
  storage: openStorage({
    bucket: 'uploads',
    region: 'us-east-1',
    endpoint,
    credentials: { accessKeyId: 'golden', secretAccessKey: 'golden' },
    timeoutMs: 100,
    deadlineMs: 100,
  }),
  observe: () => {},
  limits: {
    allowedTypes: ['text/*', 'image/*'],
    maxBytes: 1e9,
    singleMaxBytes: 1e8,
    partBytes: 16 * 1024 ** 2,
    ttlSeconds: 900,
    multipartTtlSeconds: 86_400,
    quotaBytes: 1e9,
    quotaFiles: 10,
  },
  urlTtlSeconds: 900,
  inlineTypes: ['image/png'],
  maxDownloadTtlSeconds: 3_600,
};

/** A URL of that store without what differs each time. */
export function withoutSignature(url: string): string {
  return url
    .replace(/(X-Amz-(?:Date|Signature)=)[^&]+/g, '$1<new>')
    .replace(/(X-Amz-Credential=\w+%2F)\d+/, '$1<today>')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}/g, (id) =>
      id.startsWith('00000000') ? id : '<new id>',
    );
}

/** Whether something is a URL of that store. */
export const isSigned = (value: string): boolean => value.startsWith(endpoint);
