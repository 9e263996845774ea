import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { actAs, alice, inTransaction } from './seed.ts';

/** Where the demo file goes. */
export type SeedStore = {
  /** As `app_hidden.create_file` reads them. */
  limits: object;
  /** Uploads bytes by the request that a client would be given for them. */
  upload(terms: SeedUpload, bytes: Buffer): Promise<void>;
};

/** What an upload is declared as. */
export type SeedUpload = {
  key: string;
  contentType: string;
  byteSize: bigint;
  /** In base64. */
  checksumSha256: string;
};

const fileName = 'anvils.txt';
const contentType = 'text/plain';
const bytes = Buffer.from('Anvil, small: 12 kg\nAnvil, large: 60 kg\n');

/**
 * Gives a demo document a file, the way a client would: declared, uploaded, finalized. A
 * worker then verifies it. Adds nothing where Alice of Acme has a file that is there or on
 * its way, so it may run any number of times, also at once.
 *
 * @param pool the API's login.
 * @returns how many files were added.
 * @throws what `upload` throws; the file is given up then.
 */
export async function seedFile(pool: Pool, store: SeedStore): Promise<number> {
  const checksumSha256 = createHash('sha256').update(bytes).digest('base64');
  const declared = await inTransaction(pool, async (client) => {
    await actAs(client, alice);
    const { rows } = await client.query<{ id: string; incoming_key: string }>(
      `select file.id, file.incoming_key
       from (
         select id from app_public.documents
         where owner_id = (select app_hidden.current_user_id())
           and not exists (
             select from app_public.files
             where owner_id = (select app_hidden.current_user_id())
               and status in ('PENDING', 'FINALIZING', 'READY')
           )
         order by created_at, id limit 1
       ) as document,
       app_hidden.create_file($1, $2, $3, $4, document.id, $5) as file`,
      [fileName, contentType, bytes.length, checksumSha256, JSON.stringify(store.limits)],
    );
    return rows[0];
  });
  if (!declared) return 0;

  const tell = (sql: 'finalize_file' | 'abort_upload') =>
    inTransaction(pool, async (client) => {
      await actAs(client, alice);
      await client.query(`select app_hidden.${sql}($1)`, [declared.id]);
    });
  const byteSize = BigInt(bytes.length);
  try {
    await store.upload(
      { key: declared.incoming_key, contentType, byteSize, checksumSha256 },
      bytes,
    );
  } catch (error) {
    await tell('abort_upload');
    throw error;
  }
  await tell('finalize_file');
  return 1;
}
