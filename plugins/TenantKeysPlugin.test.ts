import { describe, expect, test } from '@jest/globals';
import { TenantKeysPlugin } from './TenantKeysPlugin.ts';

type Constraint = {
  contype: 'p' | 'u' | 'f' | 'c';
  conrelid: string;
  confrelid: string | null;
  conkey: number[] | null;
  confkey: number[] | null;
};

/** Columns by table, in order: their numbers are 1, 2, …. */
const columns = {
  organizations: ['id', 'name'],
  users: ['id', 'name'],
  memberships: ['org_id', 'user_id', 'role'],
  documents: ['title', 'org_id', 'id', 'owner_id'],
  notes: ['id', 'org_id', 'document_id'],
};
type Table = keyof typeof columns;

const number = (table: Table, column: string) => columns[table].indexOf(column) + 1;
const numbers = (table: Table, names: string[]) => names.map((name) => number(table, name));

function key(contype: 'p' | 'u', table: Table, names: string[]): Constraint {
  const conkey = numbers(table, names);
  return { contype, conrelid: table, confrelid: null, conkey, confkey: null };
}

function reference(table: Table, names: string[], to: Table, toNames: string[]): Constraint {
  return {
    contype: 'f',
    conrelid: table,
    confrelid: to,
    conkey: numbers(table, names),
    confkey: numbers(to, toNames),
  };
}

/** What PostGraphile would see of these constraints and indexes. */
function seen(constraints: Constraint[], indexes: { indrelid: Table; indkey: number[] }[] = []) {
  const lists = { own: [...constraints] };
  const classOf = (table: string) => {
    const referring = constraints.filter(({ confrelid }) => confrelid === table);
    return { getConstraints: () => lists.own, getForeignConstraints: () => referring };
  };
  const classes = Object.fromEntries(
    Object.keys(columns).map((table) => [table, classOf(table)]),
  ) as Record<Table, ReturnType<typeof classOf>>;
  const introspection = {
    attributes: Object.entries(columns).flatMap(([attrelid, names]) =>
      names.map((attname, i) => ({ attrelid, attname, attnum: i + 1 })),
    ),
    constraints: constraints.map((constraint) =>
      Object.assign(constraint, {
        getClass: () => classes[constraint.conrelid as Table],
        getForeignClass: () => classes[constraint.confrelid as Table],
      }),
    ),
    indexes,
  };
  const hook = TenantKeysPlugin.gather?.hooks?.pgIntrospection_introspection;
  if (typeof hook !== 'function') throw new Error('There is no hook.');
  hook({} as never, { introspection } as never);
  return { own: lists.own, referring: (table: Table) => classes[table].getForeignConstraints() };
}

const documentsKey = () => key('p', 'documents', ['org_id', 'id']);
const notesKey = () => key('p', 'notes', ['org_id', 'id']);

describe('of a tenant table PostGraphile sees', () => {
  test('a primary key without the tenant, wherever the column stands', () => {
    const [documents, notes] = [documentsKey(), notesKey()];
    seen([documents, notes]);
    expect(documents.conkey).toEqual(numbers('documents', ['id']));
    expect(notes.conkey).toEqual(numbers('notes', ['id']));
  });

  test('unique keys and indexes without the tenant', () => {
    const unique = key('u', 'documents', ['org_id', 'title']);
    const index = {
      indrelid: 'documents' as const,
      indkey: numbers('documents', ['org_id', 'owner_id']),
    };
    seen([documentsKey(), unique], [index]);
    expect(unique.conkey).toEqual(numbers('documents', ['title']));
    expect(index.indkey).toEqual(numbers('documents', ['owner_id']));
  });

  test('a reference to another tenant table by its id alone', () => {
    const toDocument = reference('notes', ['org_id', 'document_id'], 'documents', ['org_id', 'id']);
    seen([notesKey(), toDocument, documentsKey()]);
    expect(toDocument.conkey).toEqual(numbers('notes', ['document_id']));
    expect(toDocument.confkey).toEqual(numbers('documents', ['id']));
  });

  test('no reference to the organization, in either direction', () => {
    const toOrganization = reference('documents', ['org_id'], 'organizations', ['id']);
    const { own, referring } = seen([documentsKey(), toOrganization]);
    expect(own).not.toContain(toOrganization);
    expect(referring('organizations')).not.toContain(toOrganization);
  });

  test('references to tables of no tenant as they are', () => {
    const toOwner = reference('documents', ['owner_id'], 'users', ['id']);
    const { own } = seen([documentsKey(), toOwner]);
    expect(own).toContain(toOwner);
    expect(toOwner.conkey).toEqual(numbers('documents', ['owner_id']));
  });

  test('an index on the tenant alone, and one that does not lead with it, as they are', () => {
    const alone = { indrelid: 'documents' as const, indkey: numbers('documents', ['org_id']) };
    const second = {
      indrelid: 'documents' as const,
      indkey: numbers('documents', ['title', 'org_id']),
    };
    seen([documentsKey()], [alone, second]);
    expect(alone.indkey).toEqual(numbers('documents', ['org_id']));
    expect(second.indkey).toEqual(numbers('documents', ['title', 'org_id']));
  });
});

describe('of a table whose rows span organizations PostGraphile sees', () => {
  test('the whole key, and its reference to the organization', () => {
    const primary = key('p', 'memberships', ['org_id', 'user_id']);
    const toOrganization = reference('memberships', ['org_id'], 'organizations', ['id']);
    const index = {
      indrelid: 'memberships' as const,
      indkey: numbers('memberships', ['org_id', 'role']),
    };
    const { own } = seen([primary, toOrganization], [index]);
    expect(primary.conkey).toEqual(numbers('memberships', ['org_id', 'user_id']));
    expect(own).toContain(toOrganization);
    expect(index.indkey).toEqual(numbers('memberships', ['org_id', 'role']));
  });

  const toMembership = () =>
    reference('documents', ['org_id', 'owner_id'], 'memberships', ['org_id', 'user_id']);
  const primary = () => key('p', 'memberships', ['org_id', 'user_id']);

  test('a reference from a tenant table as one to the user', () => {
    const toUser = reference('memberships', ['user_id'], 'users', ['id']);
    const given = toMembership();
    const { own, referring } = seen([documentsKey(), primary(), toUser, given]);
    expect(own).toContain(given);
    expect(given).toMatchObject({
      conkey: numbers('documents', ['owner_id']),
      confrelid: 'users',
      confkey: numbers('users', ['id']),
    });
    expect(referring('users')).toEqual([toUser, given]);
    expect(referring('memberships')).toEqual([]);
  });

  test('a reference from a tenant table as it is, where the user is no reference itself', () => {
    const given = toMembership();
    const { referring } = seen([documentsKey(), primary(), given]);
    expect(given.conkey).toEqual(numbers('documents', ['org_id', 'owner_id']));
    expect(given.confkey).toEqual(numbers('memberships', ['org_id', 'user_id']));
    expect(referring('memberships')).toEqual([given]);
  });
});
