import type { TestDatabase } from '../support/database.ts';

/**
 * The rows golden cases run on, with ids and times that never change.
 *
 * Acme: Alice (admin), Bob (member), five documents a minute apart, the last two
 * at the same time. Globex: Carol, one document. Files of Acme: Alice's own, ready; Bob's own, on
 * its way; Bob's of Alice's first document, an image, ready; Bob's, rejected.
 * Each document is as similar to the next as that one to the one after. A generation each.
 */
export async function addGoldenRows({ provision, superuser }: TestDatabase): Promise<void> {
  await provision({ userId: 'user_alice', orgId: 'org_acme', orgRole: 'admin' });
  await provision({ userId: 'user_bob', orgId: 'org_acme' });
  await provision({ userId: 'user_carol', orgId: 'org_globex', orgRole: 'admin' });
  await superuser.query(`
    update app_public.users set email = replace(id, 'user_', '') || '@example.com', name = initcap(replace(id, 'user_', ''));
    update app_public.users set created_at = '2020-01-01', updated_at = '2020-01-01';
    update app_public.organizations set created_at = '2020-01-01', updated_at = '2020-01-01';
    update app_public.memberships set created_at = '2020-01-01', updated_at = '2020-01-01';
    insert into app_public.documents (org_id, id, owner_id, title, body, created_at, updated_at)
    select org_id, ('00000000-0000-7000-8000-00000000000' || n)::uuid, owner_id, title, body, at, at
    from (values
      ('org_acme', 1, 'user_alice', 'Plan', 'Sell more anvils.', timestamptz '2020-01-01 00:01Z'),
      ('org_acme', 2, 'user_bob', 'Notes on the plan', 'Anvils are heavy.', '2020-01-01 00:02Z'),
      ('org_acme', 3, 'user_bob', 'Review', 'The plan is good.', '2020-01-01 00:03Z'),
      ('org_acme', 4, 'user_alice', 'Budget', 'One anvil.', '2020-01-01 00:04Z'),
      ('org_acme', 5, 'user_alice', 'Minutes', 'Nothing was decided.', '2020-01-01 00:04Z'),
      ('org_globex', 6, 'user_carol', 'Secret plan', 'Anvils from Acme.', '2020-01-01 00:05Z')
    ) as d (org_id, n, owner_id, title, body, at);
    insert into app_public.document_embeddings (org_id, document_id, model, content_hash, vector)
    select org_id, id, 'flat-2', sha256(''), array[cos(angle), sin(angle)]::real[]
    from app_public.documents, lateral (select right(id::text, 1)::int * 0.3 as angle);
    insert into app_public.generations (org_id, id, user_id, document_id, prompt, max_tokens, status, text,
      latency_ms, provider, model, prompt_tokens, completion_tokens, created_at, updated_at, started_at, finished_at)
    select org_id, ('00000000-0000-7000-8000-00000000010' || n)::uuid, user_id, document_id::uuid, 'Sell anvils.', 100,
      'SUCCEEDED', 'Anvils!', 20, 'local', 'echo', 4, 2, at, at, at, at
    from (values
      ('org_acme', 1, 'user_alice', '00000000-0000-7000-8000-000000000001', timestamptz '2020-01-01 00:06Z'),
      ('org_acme', 2, 'user_bob', null, '2020-01-01 00:07Z'),
      ('org_globex', 3, 'user_carol', null, '2020-01-01 00:08Z')
    ) as g (org_id, n, user_id, document_id, at);
    set session_replication_role = replica;
    insert into app_public.files (org_id, id, owner_id, document_id, file_name, content_type, byte_size, checksum_sha256,
      status, error, width, height, object_key, ready_at, expires_at, created_at, updated_at)
    select 'org_acme', ('00000000-0000-7000-8000-00000000010' || n)::uuid, owner_id,
      ('00000000-0000-7000-8000-00000000000' || document)::uuid, file_name, content_type, 11, repeat('A', 43) || '=',
      status::app_public.file_status, error, side, side, case when status = 'READY' then 'files/org_acme/' || n || '/copy' end,
      case when status = 'READY' then at end, timestamptz '2099-01-01', at, at
    from (values
      (1, 'user_alice', null, 'plan “final”.txt', 'text/plain', 'READY', null, null::int, timestamptz '2020-01-01 00:01Z'),
      (2, 'user_bob', null, 'notes.txt', 'text/plain', 'PENDING', null, null, '2020-01-01 00:02Z'),
      (3, 'user_bob', 1, 'anvil.png', 'image/png', 'READY', null, 64, '2020-01-01 00:03Z'),
      (4, 'user_bob', null, 'other.txt', 'text/plain', 'REJECTED', 'UPLOAD_CHECKSUM_MISMATCH', null, '2020-01-01 00:04Z')
    ) as f (n, owner_id, document, file_name, content_type, status, error, side, at);
    insert into app_private.file_usage (org_id, files, bytes) values ('org_acme', 3, 33);
    set session_replication_role = origin`);
}
