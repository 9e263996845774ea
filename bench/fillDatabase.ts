import { Client } from 'pg';
import type { Progress } from './progress.ts';
import type { Sizes } from './sizes.ts';

/** Documents of one insert. */
const chunkSize = 50_000;

/**
 * Fills a migrated database, as superuser and without triggers: users, their
 * memberships in two organizations, and documents of all organizations in turn,
 * so that those of one organization lie apart as they would after years.
 */
export async function fillDatabase(
  superuserUrl: string,
  sizes: Sizes,
  progress: Progress,
): Promise<void> {
  const { documents, organizations, users } = sizes;
  if (users < organizations) throw new RangeError('Every organization needs a user of its own.');
  const client = new Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    await client.query('set session_replication_role = replica; set synchronous_commit = off');
    await client.query(insertOrganizations, [organizations]);
    await client.query(insertUsers, [users]);
    await client.query(insertMemberships, [users, organizations]);

    const indexes = await dropIndexes(client);
    for (let from = 1; from <= documents; from += chunkSize) {
      const to = Math.min(documents, from + chunkSize - 1);
      await client.query(insertDocuments, [from, to, documents, organizations, users]);
      progress.show(`  ${Math.round((to / documents) * 100)} % of the documents`);
    }
    for (const [at, index] of indexes.entries()) {
      progress.show(`  index ${at + 1} of ${indexes.length}`);
      await client.query(index);
    }
    progress.show('  vacuum and analyze');
    await client.query('vacuum (analyze, freeze)');
    await client.query('checkpoint');
    progress.say('Built');
  } finally {
    await client.end();
  }
}

/** Drops the indexes of documents that serve no key, and returns how to make them again. */
async function dropIndexes(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
     from pg_index
     where indrelid = 'app_public.documents'::regclass
       and not exists (select from pg_constraint where conindid = indexrelid)`,
  );
  for (const { name } of rows) await client.query(`drop index ${name}`);
  return rows.map(({ definition }) => definition);
}

const insertOrganizations = `
  insert into app_public.organizations (id, kind, name, slug)
  select 'org_' || i, 'ORGANIZATION', 'Organization ' || i, 'organization-' || i
  from generate_series(1, $1::int) as i`;

const insertUsers = `
  insert into app_public.users (id, email, name)
  select 'user_' || i, 'user' || i || '@example.com', 'User ' || i
  from generate_series(1, $1::int) as i`;

// The first organization of user i is number i, counted round; the second is elsewhere.
const insertMemberships = `
  insert into app_public.memberships (org_id, user_id, role)
  select distinct on (org_id, user_id) * from (
    select 'org_' || (i - 1) % $2::int + 1 as org_id, 'user_' || i as user_id,
      case when i <= $2::int then 'admin' else 'member' end as role
    from generate_series(1, $1::int) as i
    union all
    select 'org_' || (i * 7 + 3) % $2::int + 1, 'user_' || i, 'member'
    from generate_series(1, $1::int) as i
  ) as membership
  order by org_id, user_id, role`;

// One document every so often over 300 days, each by a member of its organization.
const insertDocuments = `
  insert into app_public.documents
    (org_id, id, owner_id, title, body, search, created_at, updated_at)
  select 'org_' || org, uuidv7(at - now()), 'user_' || owner, title, body,
    app_hidden.document_search(title, body), at, at
  from generate_series($1::int, $2::int) as i,
    lateral (select i * 7919::bigint % $4::int + 1 as org, i / $4::int as round) as o,
    lateral (select org + $4::int * (round % ($5::int / $4::int)) as owner) as u,
    lateral (select now() - interval '301 days' + interval '300 days' * (i::float8 / $3::int) as at) as t,
    lateral (select
      (array['Plan', 'Notes', 'Review', 'Proposal', 'Report', 'Checklist', 'Minutes'])[i % 7 + 1]
        || ' on ' || (array['onboarding', 'pricing', 'the spring release', 'hiring', 'security'])[i % 5 + 1]
        || ', number ' || i as title) as n,
    lateral (select title || '. What was said and what follows from it: we agreed to look at the '
      || 'numbers again, to ask the people who know, and to decide before the end of week '
      || i % 52 + 1 || '.' as body) as b`;
