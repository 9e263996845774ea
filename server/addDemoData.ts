import { openPool } from '../db/pool.ts';
import { type SeedResult, seed } from '../db/seed.ts';
import { type SeedStore, seedFile } from '../db/seedFile.ts';
import type { Environment } from '../platform/config/environment.ts';
import { loadConfig } from '../platform/config/loadConfig.ts';
import { openStorage } from '../services/storage/openStorage.ts';
import { uploadLimits } from './openUploads.ts';

/** What demo data was added; `filesAdded` is undefined where no store is configured. */
export type DemoData = SeedResult & { filesAdded: number | undefined };

/**
 * Writes demo data as the API's login; with a file, where there is a store. Adds nothing twice.
 *
 * @param storeEnv the settings that say where files go, and the credentials there.
 */
export async function addDemoData(
  connectionString: string,
  storeEnv: Environment,
): Promise<DemoData> {
  const pool = openPool({
    connectionString,
    size: 1,
    applicationName: 'rowhouse-seed',
    onConnectionError: () => {},
  });
  const store = openSeedStore(storeEnv);
  try {
    const result = await seed(pool);
    return { ...result, filesAdded: store && (await seedFile(pool, store)) };
  } finally {
    store?.close();
    await pool.end();
  }
}

function openSeedStore(env: Environment): (SeedStore & { close(): void }) | undefined {
  const config = loadConfig('none', env);
  const { s3BucketUploads: bucket, awsRegion: region, s3Endpoint: endpoint } = config;
  if (!bucket) return undefined;
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  const storage = openStorage({
    bucket,
    region,
    endpoint,
    timeoutMs: config.s3TimeoutMs,
    // Of a store that was started for this, the SDK's environment does not know.
    ...(accessKeyId &&
      secretAccessKey && {
        credentials: {
          accessKeyId,
          secretAccessKey,
          ...(env.AWS_SESSION_TOKEN && { sessionToken: env.AWS_SESSION_TOKEN }),
        },
      }),
  });
  return {
    limits: uploadLimits(config),
    async upload(terms, bytes) {
      const { url, method, headers } = await storage.sign.upload({
        ...terms,
        ttlSeconds: config.uploadUrlTtlSeconds,
      });
      const signal = AbortSignal.timeout(config.s3TimeoutMs);
      const sent = fetch(url, { method, headers, body: new Uint8Array(bytes), signal });
      const { ok, status } = await sent.catch((cause) => {
        throw new Error('The store cannot be reached for the demo file.', { cause });
      });
      if (!ok) throw new Error(`The store answered ${status} to the demo file.`);
    },
    close: storage.close,
  };
}
