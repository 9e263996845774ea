import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Client } from 'pg';
import { z } from 'zod';

/** Passwords by login. The superuser has none: it connects over the private socket only. */
export type Passwords = Record<string, string>;

/** The logins every development database has, and what is said when one is created. */
const logins = {
  rowhouse_owner: 'login createrole nosuperuser nobypassrls',
  rowhouse_api: 'login noinherit',
  rowhouse_worker: 'login noinherit',
};

const databases = ['rowhouse', 'rowhouse_shadow'];

/** Whether passwords would go to `file`; null keeps them in memory, for an ephemeral cluster. */
export type PasswordFile = string | null;

/**
 * The passwords to use: `given` before those in `file` before new random ones. A file that is
 * missing or unreadable counts as empty, since every start sets the passwords again anyway.
 */
export async function loadPasswords(file: PasswordFile, given: Passwords = {}): Promise<Passwords> {
  const random = Object.keys(logins).map((login) => [login, randomBytes(18).toString('base64url')]);
  const passwords = {
    ...Object.fromEntries(random),
    ...(file === null ? {} : await readPasswords(file)),
    ...given,
  };
  await savePasswords(file, passwords);
  return passwords;
}

/** Writes the passwords for the owner of `file` alone, whole or not at all. */
export async function savePasswords(file: PasswordFile, passwords: Passwords): Promise<void> {
  if (file === null) return;
  const unfinished = `${file}.${process.pid}`;
  await writeFile(unfinished, `${JSON.stringify(passwords, null, 2)}\n`, { mode: 0o600 });
  await rename(unfinished, file);
}

/** Reads a password file; empty when there is none that makes sense. */
export async function readPasswords(file: string): Promise<Passwords> {
  try {
    return passwordsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return {};
  }
}

/**
 * Creates the logins and databases that are missing and sets every password again, so that one
 * changed in the database or lost from the file heals by itself.
 *
 * @param superuser a connected client
 */
export async function setUpLogins(superuser: Client, passwords: Passwords): Promise<void> {
  const roles = await superuser.query<{ name: string }>('select rolname as name from pg_roles');
  const existing = new Set(roles.rows.map(({ name }) => name));
  for (const [login, attributes] of Object.entries(logins)) {
    if (existing.has(login)) continue;
    await superuser.query(`create role ${superuser.escapeIdentifier(login)} ${attributes}`);
    existing.add(login);
  }
  for (const [login, password] of Object.entries(passwords)) {
    if (existing.has(login)) await setPassword(superuser, login, password);
  }

  const found = await superuser.query<{ name: string }>('select datname as name from pg_database');
  for (const database of databases) {
    if (found.rows.some(({ name }) => name === database)) continue;
    await superuser.query(`create database ${database} owner rowhouse_owner`);
  }
}

/** Sets the password of an existing login. */
export async function setPassword(
  superuser: Client,
  login: string,
  password: string,
): Promise<void> {
  const role = superuser.escapeIdentifier(login);
  await superuser.query(`alter role ${role} password ${superuser.escapeLiteral(password)}`);
}

const passwordsSchema = z.record(z.string(), z.string());
