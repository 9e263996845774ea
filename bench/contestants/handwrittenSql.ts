import type { Statement } from '../../db/scope/BatchQuery.ts';

/** The statement that answers an operation: one row, one column, the JSON of the whole answer. */
export function statementOf(
  operationName: string,
  variables: { id?: string; input?: { document: { title: string; body: string } } },
): Statement {
  switch (operationName) {
    case 'Me':
      return { name: 'me', text: me };
    case 'Page':
      return { name: 'page', text: page };
    case 'Nested':
      return { name: 'nested', text: nested };
    case 'Node':
      return { name: 'node', text: node, values: [keyOf(variables.id ?? '')] };
    case 'Create': {
      const { title = '', body = '' } = variables.input?.document ?? {};
      return { name: 'create', text: create, values: [title, body] };
    }
    default:
      throw new RangeError(`No statement for the operation ${operationName}`);
  }
}

/** The key in a global id. */
function keyOf(id: string): string {
  return JSON.parse(Buffer.from(id, 'base64').toString('utf8'))[1];
}

const globalId = (type: string, key: string) =>
  `encode(convert_to('["${type}","' || ${key} || '"]', 'UTF8'), 'base64')`;

/** Nobody reads it, so it need not be packed. */
const cursor = (row: string) => `${row}.created_at || ' ' || ${row}.id`;

const me = `
  select json_build_object('data', json_build_object('me', (
    select json_build_object('id', ${globalId('User', 'u.id')}, 'name', u.name, 'email', u.email)
    from app_public.users as u
    where u.id = (select app_hidden.current_user_id())
  )))::text`;

/** A page of documents; `more` is what each node has beside id, title and createdAt. */
const pageOf = (more: string) => `
  select json_build_object('data', json_build_object('documents', json_build_object(
    'edges', coalesce(json_agg(json_build_object(
      'cursor', d.cursor,
      'node', json_build_object(
        'id', ${globalId('Document', 'd.id')}, 'title', d.title, 'createdAt', d.created_at${more}
      )
    )) filter (where d.n <= 20), '[]'),
    'pageInfo', json_build_object(
      'hasNextPage', count(*) > 20,
      'endCursor', (array_agg(d.cursor))[least(20, count(*))]
    )
  )))::text
  from (
    select *, row_number() over () as n, ${cursor('first_21')} as cursor
    from (
      select id, title, created_at, owner_id from app_public.documents
      order by created_at desc, id desc limit 21
    ) as first_21
  ) as d`;

const page = pageOf('');

const nested = pageOf(`,
        'owner', (
          select json_build_object(
            'id', ${globalId('User', 'u.id')}, 'name', u.name,
            'documents', json_build_object('edges', coalesce((
              select json_agg(json_build_object(
                'cursor', ${cursor('o')},
                'node', json_build_object('id', ${globalId('Document', 'o.id')}, 'title', o.title)
              ))
              from (
                select id, title, created_at from app_public.documents
                where owner_id = u.id
                order by created_at desc, id desc limit 3
              ) as o
            ), '[]'))
          )
          from app_public.users as u where u.id = d.owner_id
        )`);

const node = `
  select json_build_object('data', json_build_object('node', (
    select json_build_object(
      'id', ${globalId('Document', 'd.id')}, 'title', d.title, 'body', d.body,
      'createdAt', d.created_at
    )
    from app_public.documents as d where d.id = $1::uuid
  )))::text`;

const create = `
  with created as (
    insert into app_public.documents (title, body) values ($1, $2)
    returning id, title, created_at
  )
  select json_build_object('data', json_build_object('createDocument', json_build_object(
    'document', (
      select json_build_object(
        'id', ${globalId('Document', 'id')}, 'title', title, 'createdAt', created_at
      )
      from created
    )
  )))::text`;
