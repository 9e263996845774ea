import { z } from 'zod';
import type { Claims } from '../../db/claims.ts';
import { decodePermissions, onlyWellFormed } from './permissions.ts';
import { refusal } from './refusal.ts';

/**
 * Turns the payload of a verified Clerk session token, version 1 or 2, into claims.
 *
 * @returns a frozen object.
 * @throws RowhouseError `UNAUTHENTICATED`, with cause `pending` for a session that has still to
 * choose an organization and `claims` for anything that is not a session token.
 */
export function parseClaims(payload: unknown): Claims {
  const session = read(sessionSchema, payload);
  if (session.sts === 'pending') throw refusal('pending');
  const organization = session.v === 2 ? organizationOfV2(payload) : organizationOfV1(payload);
  if (organization?.id === session.sub) throw refusal('claims');
  return Object.freeze({
    userId: session.sub,
    sessionId: session.sid ?? null,
    orgId: organization?.id ?? session.sub,
    isPersonal: organization === null,
    orgRole: organization?.role ?? '',
    orgSlug: organization?.slug ?? null,
    permissions: Object.freeze(organization?.permissions ?? []),
    email: session.email ?? null,
    name: session.name ?? null,
    actorId: session.act?.sub ?? null,
    firstFactorAtMs: verifiedAtMs(session.iat, session.fva?.[0]),
    secondFactorAtMs: verifiedAtMs(session.iat, session.fva?.[1]),
    expiresAtMs: session.exp * 1000,
  });
}

/** An id as every part of Rowhouse can carry it: 1 to 255 visible ASCII characters. */
const idSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters');

/**
 * A user's id. Clerk signs tokens of machines with the same keys, and a subject of another kind
 * must not get a personal space under another kind's id.
 */
export const userIdSchema = idSchema.refine((id) => !/^(?:org|mch)_/.test(id), {
  error: 'is the id of an organization or machine, not of a user',
});

/** An organization's id, never one that could be some user's personal space. */
export const orgIdSchema = idSchema.refine((id) => !id.startsWith('user_'), {
  error: 'is the id of a user, not of an organization',
});

/** A role with or without Clerk's `org:` prefix; parses to the role without it. */
export const roleSchema = z
  .string()
  .regex(/^(?:org:)?[A-Za-z0-9_-]{1,100}$/, 'must be letters, digits, _ and -')
  .transform((role) => role.replace(/^org:/, ''));

/** Seconds since 1970, up to the year 9999. */
const secondsSchema = z.int().min(0).max(253_402_300_799);

/** From -1, for never, to ten years. */
const minutesSchema = z.int().min(-1).max(5_256_000);

/** Text to show to people; what cannot be shown or stored counts as absent. */
const displaySchema = z
  .string()
  .trim()
  .min(1)
  .max(255)
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text))
  .nullish()
  .catch(null);

/**
 * Minutes from when a factor was verified until the token was issued, of the first and the second;
 * -1 says never. One that cannot be read counts as never.
 */
const factorAgesSchema = z.tuple([minutesSchema, minutesSchema]).nullish().catch(null);

/** What both versions say the same way. A version not known here may hide its organization. */
const sessionSchema = z.object({
  v: z.union([z.literal(1), z.literal(2)]).optional(),
  sub: userIdSchema,
  sid: idSchema.nullish(),
  sts: z.string().nullish(),
  exp: secondsSchema,
  iat: secondsSchema,
  nbf: secondsSchema.optional(),
  act: z.object({ sub: idSchema }).nullish(),
  fva: factorAgesSchema,
  email: displaySchema,
  name: displaySchema,
});

const textSchema = z.string().nullish();

const organizationV2Schema = z.object({
  fea: textSchema,
  o: z
    .object({
      id: orgIdSchema,
      rol: roleSchema,
      slg: displaySchema,
      per: textSchema,
      fpm: textSchema,
    })
    .nullish(),
});

const organizationV1Schema = z.object({
  org_id: orgIdSchema.nullish(),
  org_role: roleSchema.nullish(),
  org_slug: displaySchema,
  org_permissions: z.array(z.string()).nullish(),
});

type Organization = { id: string; role: string; slug: string | null; permissions: string[] };

function organizationOfV2(payload: unknown): Organization | null {
  const { o: organization, fea } = read(organizationV2Schema, payload);
  if (!organization) return null;
  const { id, rol: role, slg, per, fpm } = organization;
  return { id, role, slug: slg ?? null, permissions: decodePermissions({ fea, per, fpm }) };
}

function organizationOfV1(payload: unknown): Organization | null {
  const { org_id: id, org_role: role, ...rest } = read(organizationV1Schema, payload);
  if (!id) return null;
  if (!role) throw refusal('claims');
  const permissions = onlyWellFormed(rest.org_permissions ?? []);
  return { id, role, slug: rest.org_slug ?? null, permissions };
}

function verifiedAtMs(issuedAt: number, ageMinutes: number | undefined): number | null {
  if (ageMinutes === undefined || ageMinutes < 0) return null;
  return (issuedAt - ageMinutes * 60) * 1000;
}

function read<Schema extends z.ZodType>(schema: Schema, payload: unknown): z.output<Schema> {
  const result = schema.safeParse(payload);
  if (!result.success) throw refusal('claims');
  return result.data;
}
