import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { z } from 'zod';
import { findFreePort } from './ports.ts';
import type { PrivateSigningKey } from './signToken.ts';

/** What the local issuer keeps between runs: its key, and the port that its name contains. */
export type IssuerRecord = {
  port: number;
  key: PrivateSigningKey;
  /** The public half, as published. */
  publicJwk: JWK;
};

/**
 * Reads `<dir>/issuer.json`, first making it, with a new key and a free port, where there is none.
 * Of several processes that make it at once one wins, and all get its key.
 *
 * @throws Error that names the file if it is damaged.
 */
export async function openIssuerRecord(dir: string): Promise<IssuerRecord> {
  const file = path.join(dir, 'issuer.json');
  await mkdir(dir, { recursive: true });
  return (await readRecord(file)) ?? (await createRecord(file));
}

/** Keeps another port for the issuer of this directory. */
export async function rememberPort(dir: string, port: number): Promise<void> {
  const file = path.join(dir, 'issuer.json');
  const stored = parseStored(file, await readFile(file, 'utf8'));
  await writeBeside(file, { ...stored, port }, (written) => rename(written, file));
}

const storedSchema = z.object({
  port: z.int().min(1).max(65_535),
  privateKey: z.object({
    kty: z.literal('RSA'),
    kid: z.string(),
    n: z.string(),
    e: z.string(),
    d: z.string(),
    p: z.string(),
    q: z.string(),
    dp: z.string(),
    dq: z.string(),
    qi: z.string(),
  }),
});

type Stored = z.output<typeof storedSchema>;

async function createRecord(file: string): Promise<IssuerRecord> {
  const { privateKey } = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = `ins_${await calculateJwkThumbprint(jwk)}`;
  const stored = storedSchema.parse({ port: await findFreePort(), privateKey: { ...jwk, kid } });
  // A link, unlike a rename, fails if another process was faster.
  await writeBeside(file, stored, (written) => link(written, file).catch(ignoreExisting));
  const record = await readRecord(file);
  if (record === undefined) throw new Error(`${file} was removed while it was being made`);
  return record;
}

async function readRecord(file: string): Promise<IssuerRecord | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (text === undefined) return undefined;
  const { port, privateKey: jwk } = parseStored(file, text);
  const privateKey = await importJWK(jwk, 'RS256').catch(() => undefined);
  if (!privateKey || !('algorithm' in privateKey)) throw damaged(file);
  if (((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600);
  const { kty, kid, n, e } = jwk;
  return {
    port,
    key: { keyId: kid, privateKey },
    publicJwk: { kty, kid, n, e, alg: 'RS256', use: 'sig' },
  };
}

function parseStored(file: string, text: string): Stored {
  try {
    return storedSchema.parse(JSON.parse(text));
  } catch {
    throw damaged(file);
  }
}

function damaged(file: string): Error {
  return new Error(`${file} is damaged. Delete it: a new key is made at the next start.`);
}

/** Writes a private file next to `file`, whole and on disk, and lets `put` move it into place. */
async function writeBeside(
  file: string,
  stored: Stored,
  put: (written: string) => Promise<void>,
): Promise<void> {
  const written = `${file}.${randomUUID()}`;
  try {
    const handle = await open(written, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(stored, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await put(written);
  } finally {
    await rm(written, { force: true });
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
