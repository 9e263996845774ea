import type { Config } from '../platform/config/settings.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import type { Observe } from '../platform/observer.ts';
import type { UploadLimits, Uploads } from '../plugins/uploads.ts';
import { openStorage } from '../services/storage/openStorage.ts';

/**
 * How long a request waits for the store, all tries together. It seldom has to: only the
 * first parts of a large upload need an answer of it.
 */
const deadlineMs = 700;

/** Opens what the API needs for uploads; nothing where no bucket is configured. */
export function openUploads(
  config: Config<'api'>,
  lifecycle: Pick<Lifecycle, 'opened'>,
  observe: Observe,
): Uploads | undefined {
  const { s3BucketUploads: bucket, awsRegion: region, s3Endpoint: endpoint } = config;
  if (!bucket) return undefined;
  const storage = openStorage({
    bucket,
    region,
    endpoint,
    timeoutMs: deadlineMs,
    deadlineMs,
    onBreaker: (isOpen) => observe({ type: 'storeBreaker', isOpen }),
  });
  lifecycle.opened('storage', () => storage.close());
  return {
    storage,
    observe,
    limits: uploadLimits(config),
    urlTtlSeconds: config.uploadUrlTtlSeconds,
    inlineTypes: config.uploadInlineTypes,
    maxDownloadTtlSeconds: config.downloadUrlMaxTtlSeconds,
  };
}

/** The limits that hold where an organization has none of its own. */
export function uploadLimits(config: Config | Config<'api'>): UploadLimits {
  return {
    allowedTypes: config.uploadAllowedTypes,
    maxBytes: config.uploadMaxBytes,
    singleMaxBytes: config.uploadSingleMaxBytes,
    partBytes: config.uploadPartBytes,
    ttlSeconds: config.uploadUrlTtlSeconds,
    multipartTtlSeconds: config.uploadMultipartTtlSeconds,
    quotaBytes: config.uploadQuotaBytes,
    quotaFiles: config.uploadQuotaFiles,
  };
}
