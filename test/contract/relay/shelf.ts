import { randomUUID } from 'node:crypto';
import type { Direction } from 'relay-runtime';
import { signIn, type TestApi } from '../../support/api.ts';
import type { TestDatabase } from '../../support/database.ts';
import type { Edge } from './pages.ts';

/** A document as lists of this test show it. Titles are unique within an organization. */
export type TitledNode = { id: string; title: string };

/** What a list shows and in which order, in SQL about `d`. */
export type ListSql = { where: string; orderBy: string };

/** The documents of an organization of its own, which come and go while somebody reads a list. */
export type Shelf = {
  /** The reader's token. */
  token: string;
  /** Writes documents of the reader, the n-th created at a moment given in SQL about `n`. */
  fill(count: number, createdAt: string, body?: string): Promise<void>;
  /**
   * Lets documents come and go around where a reader stands: what was read last, what was read
   * first and something still to come are deleted; neighbours of a document still to come and of
   * one already read appear, and a new one.
   */
  disturb(list: ListSql, direction: Direction, last: Edge<TitledNode>): Promise<void>;
  /** Titles of the list as it is now, in its order. */
  titles(list: ListSql): Promise<string[]>;
  /** Titles of the list in its order, with all that have ever been there. */
  everTitles(list: ListSql): Promise<string[]>;
  /** Which of those now there a reader of the list must have met. */
  owed(list: ListSql, direction: Direction): Promise<string[]>;
};

/** Has a database remember every document that was ever there. Once for a database. */
export async function rememberDocuments({ superuser }: TestDatabase): Promise<void> {
  await superuser.query(`
    create table public.ever (like app_public.documents);
    create function public.remember() returns trigger language plpgsql security definer as $$
      begin
        insert into public.ever values (new.*);
        return null;
      end;
    $$;
    create trigger _999_remember after insert on app_public.documents
      for each row execute function public.remember();
  `);
}

/** Makes an organization with a manager who reads and an administrator who changes things. */
export async function makeShelf(database: TestDatabase, api: TestApi): Promise<Shelf> {
  const orgId = `org_${randomUUID()}`;
  const token = await signIn({ user: reader, org: orgId, permissions: ['org:docs:manage'] });
  const otherToken = await signIn({ user: 'user_bob', org: orgId, role: 'admin' });
  await database.provision({ userId: reader, orgId });
  /** Those who came, with what the reader had read last by then. */
  const guests: { title: string; after: string }[] = [];
  const sql = (text: string, ...values: unknown[]) =>
    database.superuser.query(text, [orgId, ...values]);

  async function titlesIn(table: string, { where, orderBy }: ListSql): Promise<string[]> {
    const { rows } = await sql(
      `select d.title from ${table} as d where d.org_id = $1 and ${where} order by ${orderBy}`,
    );
    return rows.map(({ title }) => title);
  }
  const titles = (list: ListSql) => titlesIn('app_public.documents', list);
  const everTitles = (list: ListSql) => titlesIn('public.ever', list);

  async function seat(neighbour: string | undefined, after: string) {
    const title = `Guest ${guests.length}`;
    guests.push({ title, after });
    await sql(
      `insert into app_public.documents (org_id, id, owner_id, title, body, created_at)
       select org_id, gen_random_uuid(), owner_id, $2, body, created_at
       from app_public.documents where org_id = $1 and title = $3`,
      title,
      neighbour,
    );
  }

  return {
    token,
    async fill(count, createdAt, body = "''") {
      // Random ids, so that the order of writing is not the order of ids.
      await sql(
        `insert into app_public.documents (org_id, id, owner_id, title, body, created_at)
         select $1, gen_random_uuid(), $2, 'Steady ' || n, ${body}, ${createdAt}
         from generate_series(1, $3) as n`,
        reader,
        count,
      );
    },
    async disturb(list, direction, { node }) {
      const now = await titles(list);
      if (direction === 'backward') now.reverse();
      const at = now.indexOf(node.title);
      await seat(now[at + 2], node.title);
      await seat(now[at - 2], node.title);
      const { errors, data } = await api.request(otherToken, createAndDelete, {
        title: `Guest ${guests.length}`,
        read: node.id,
      });
      if (errors) throw new Error(JSON.stringify(errors));
      guests.push({ title: data.createDocument.document.title, after: node.title });
      await sql(
        'delete from app_public.documents where org_id = $1 and title = any ($2)',
        [now[0], now[at + 4]].filter((title) => title !== undefined),
      );
    },
    titles,
    everTitles,
    async owed(list, direction) {
      const ever = await everTitles(list);
      if (direction === 'backward') ever.reverse();
      const behind = guests.filter(({ title, after }) => ever.indexOf(title) < ever.indexOf(after));
      const excused = new Set(behind.map(({ title }) => title));
      return (await titles(list)).filter((title) => !excused.has(title));
    },
  };
}

const reader = 'user_alice';

const createAndDelete = /* GraphQL */ `
  mutation ($title: String!, $read: ID!) {
    createDocument(input: { document: { title: $title } }) {
      document {
        title
      }
    }
    deleteDocument(input: { id: $read }) {
      deletedDocumentId
    }
  }
`;
