import type { PgCodec, PgSelectQueryBuilder, PgSelectStep } from 'postgraphile/@dataplan/pg';
import { type ConnectionStep, context, lambda, type Step } from 'postgraphile/grafast';
import type { Claims } from '../db/claims.ts';
import './context.ts';

/**
 * Lets Postgres use the owner's index for who sees their own rows alone.
 *
 * A policy `owner_id = <caller> or <caller manages>` is one plan for both kinds of callers, and that plan has to
 * go through everybody's rows. Lists of a table with the tag `ownRows`, say `"owner_id unless org:docs:manage"`,
 * are asked with `owner_id = <caller>` as well, where the claims are not those of a manager: what the policy
 * comes to for them. It can only narrow what the policy shows; a test holds the two to each other.
 */
export const OwnRowsPlugin: GraphileConfig.Plugin = {
  name: 'OwnRowsPlugin',
  description: 'Asks for the rows of an owner, where the caller may see no others',
  version: '1.0.0',
  after: ['PageLimitsPlugin'],

  schema: {
    hooks: {
      GraphQLObjectType_fields_field(field, build, { scope }) {
        const { plan } = field;
        const codec = scope.pgFieldResource?.codec;
        const rule = codec && ownRowsOf(codec);
        if (!scope.isRootQuery || !scope.isPgFieldConnection || !plan || !rule) return field;
        const { sql } = build;
        const own = (query: PgSelectQueryBuilder) =>
          query.where(
            sql`${query.alias}.${sql.identifier(rule.owner)} = (select app_hidden.current_user_id())`,
          );
        return {
          ...field,
          plan(...args) {
            const $connection = plan(...args) as ConnectionStep<unknown>;
            const $select = $connection.getSubplan() as unknown as PgSelectStep;
            const $claims = context().get('claims') as Step<Claims>;
            $select.apply(
              lambda($claims, (claims) => (isManager(claims, rule.permission) ? all : own), true),
            );
            return $connection;
          },
        };
      },
    },
  },
};

/** Whose the rows of a table are, and what lets a caller see those of others. */
export type OwnRows = { owner: string; permission: string };

/**
 * What the tag `ownRows` says of a table.
 * @throws Error where it cannot be read, or names no column of the table.
 */
export function ownRowsOf({ attributes, extensions, name }: PgCodec): OwnRows | undefined {
  const { ownRows } = extensions?.tags ?? {};
  if (ownRows === undefined) return undefined;
  const [, owner, permission] = /^(\w+) unless ([\w:]+)$/.exec(String(ownRows)) ?? [];
  if (!owner || !permission || !attributes?.[owner])
    throw new Error(`The tag ownRows of ${name} is not "<column> unless <permission>".`);
  return { owner, permission };
}

/** As `app_hidden.can_manage_…()` has it. */
export const isManager = (
  { orgRole, permissions }: Pick<Claims, 'orgRole' | 'permissions'>,
  permission: string,
): boolean => orgRole === 'admin' || permissions.includes(permission);

const all = () => {};
