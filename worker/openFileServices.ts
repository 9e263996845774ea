import type { Config } from '../platform/config/settings.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import type { Observe } from '../platform/observer.ts';
import { makeScanner } from '../services/scanner/makeScanner.ts';
import { openStorage } from '../services/storage/openStorage.ts';
import type { FileServices } from './files/services.ts';

/** How long the virus scanner may be silent: it looks at the whole file before it answers. */
const scannerTimeoutMs = 120_000;

/** Opens the store of files; nothing where no bucket is configured. */
export function openFileServices(
  config: Config<'worker'>,
  lifecycle: Pick<Lifecycle, 'opened'>,
  observe: Observe,
): FileServices | undefined {
  const { s3BucketUploads: bucket, awsRegion: region, s3Endpoint: endpoint, clamavUrl } = config;
  if (!bucket) return undefined;
  const storage = openStorage({
    bucket,
    region,
    endpoint,
    timeoutMs: config.s3TimeoutMs,
    onBreaker: (isOpen) => observe({ type: 'storeBreaker', isOpen }),
  });
  lifecycle.opened('storage', () => storage.close());
  return { storage, scanner: clamavUrl ? makeScanner(clamavUrl, scannerTimeoutMs) : undefined };
}
