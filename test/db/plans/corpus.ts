import type { Pool } from 'pg';

/** 2 000 documents in each organization, by 11 members. */
const corpus = { organizations: 100, users: 1_000, documents: 200_000 };

/**
 * Fills an empty database as a year of use would have left it: documents of all
 * organizations interleaved in time, most users in one organization and every
 * tenth in two. The same rows each time, so that plans can be compared.
 *
 * @param superuser who may switch triggers and row-level security off.
 */
export async function writeCorpus(superuser: Pool): Promise<void> {
  const client = await superuser.connect();
  try {
    await client.query('begin');
    await client.query('set local session_replication_role = replica');
    for (const statement of rows) await client.query(statement);
    await client.query('commit');
    // Nobody but this function decides when statistics change.
    for (const table of tables) {
      await client.query(`alter table app_public.${table} set (autovacuum_enabled = false)`);
    }
    // Of all rows, where a sample would tip a plan one day and not the next.
    await client.query('set default_statistics_target = 1000');
    await client.query('vacuum (analyze)');
    await client.query('reset default_statistics_target');
  } finally {
    client.release();
  }
}

const tables = [
  'users',
  'organizations',
  'memberships',
  'documents',
  'files',
  'document_embeddings',
  'generations',
  'dead_letters',
];

const rows = [
  `insert into app_public.organizations (id, kind, name, created_at)
   select 'org_' || n, 'ORGANIZATION', 'Organization ' || n, timestamptz '2025-01-01' + n * interval '1 hour'
   from generate_series(0, ${corpus.organizations - 1}) as n`,

  `insert into app_public.users (id, email, name, created_at)
   select 'user_' || n, 'user' || n || '@example.com', 'User ' || n, timestamptz '2025-01-01' + n * interval '1 hour'
   from generate_series(0, ${corpus.users - 1}) as n`,

  // User 107 is in organization 7; user 7 also in organization 8.
  `insert into app_public.memberships (org_id, user_id, role, created_at)
   select 'org_' || n % 100, 'user_' || n, 'member', timestamptz '2025-02-01' + n * interval '1 hour'
   from generate_series(0, ${corpus.users - 1}) as n
   union all
   select 'org_' || (n + 1) % 100, 'user_' || n, 'member', timestamptz '2025-03-01' + n * interval '1 hour'
   from generate_series(0, 99) as n`,

  // Document n is the (n / 100)th of organization n % 100, whose eleven members take turns.
  `insert into app_public.documents (org_id, id, owner_id, title, body, search, created_at, updated_at)
   select 'org_' || org, ('0190' || lpad(to_hex(n), 8, '0') || '70008000000000000000')::uuid,
     'user_' || case when turn = 10 then (org + 99) % 100 else org + 100 * turn end,
     title, body, app_hidden.document_search(title, body), at, at
   from generate_series(0, ${corpus.documents - 1}) as n,
     lateral (select n % 100 as org, n / 100 % 11 as turn, 'Document ' || n as title,
       'Notes on topic' || abs(hashint4(n)) % 50 || ' and subject' || abs(hashint4(n + 1)) % 2000 || ' for the spring release' as body,
       timestamptz '2025-06-01' + n * interval '2 minutes' as at) as document`,

  // Every tenth document has a file, of the same owner; one in five of them is on its way.
  `insert into app_public.files (org_id, id, owner_id, document_id, file_name, content_type, byte_size, checksum_sha256,
     status, object_key, ready_at, expires_at, created_at, updated_at)
   select org_id, id, owner_id, id, 'notes.txt', 'text/plain', 11, repeat('A', 43) || '=',
     status::app_public.file_status, case status when 'READY' then 'files/' || id end,
     case status when 'READY' then created_at end, timestamptz '2099-01-01', created_at, created_at
   from (select *, ('x' || substr(id::text, 5, 4) || substr(id::text, 10, 4))::bit(32)::int / 100 as place from app_public.documents) as d,
     lateral (select case when place % 50 = 0 then 'PENDING' else 'READY' end as status) as s
   where place % 10 = 0`,

  `insert into app_private.file_usage (org_id, files, bytes)
   select org_id, count(*), sum(byte_size) from app_public.files group by org_id`,

  // Those that have a file have an embedding.
  `insert into app_public.document_embeddings (org_id, document_id, model, content_hash, vector, created_at, updated_at)
   select org_id, document_id, 'm', sha256(document_id::text::bytea),
     array[cos(n), sin(n), 0, 0, 0, 0, 0, 0]::real[], created_at, created_at
   from (select *, row_number() over (order by id) as n from app_public.files) as f`,

  // Each document with a file has a generation too, and its owner one about nothing.
  `insert into app_public.generations (org_id, id, user_id, document_id, prompt, max_tokens, status, text, latency_ms,
     provider, model, prompt_tokens, completion_tokens, created_at, updated_at, started_at, finished_at)
   select org_id, ('0191' || substr(id::text, 5, 22) || '00000000' || n || '0')::uuid, owner_id, case n when 0 then id end,
     'Summarize.', 100, 'SUCCEEDED', 'In short: ' || id, 20, 'local', 'echo', 4, 2, created_at, created_at, created_at, created_at
   from app_public.files, generate_series(0, 1) as n`,

  // A hundred jobs of each organization failed for good.
  `insert into app_public.dead_letters (org_id, id, job_id, task, subject, error_code, attempts, queued_at, created_at, updated_at)
   select 'org_' || n % 100, ('0192' || lpad(to_hex(n), 8, '0') || '70008000000000000000')::uuid, n,
     'files__finalize', 'file', 'INTERNAL', 25, at, at, at
   from generate_series(0, 9999) as n, lateral (select timestamptz '2025-06-01' + n * interval '1 hour' as at) as d`,
];
