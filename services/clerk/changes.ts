import { z } from 'zod';

/** One thing that Clerk says of a user, an organization or a membership, as the mirror merges it. */
export type ClerkChange = {
  /** Empty for a user. */
  orgId: string;
  /** Empty for an organization. */
  userId: string;
  /** When a membership began; the same moment for all users and organizations. ISO 8601, as all times. */
  bornAt: string;
  isDeleted: boolean;
  /** When Clerk last changed it. */
  versionAt: string;
  /** When Clerk said so. */
  toldAt: string;
  /** Of a user. */
  email?: string | null;
  /** Of a user or an organization. */
  name?: string | null;
  /** Of an organization. */
  slug?: string | null;
  /** Of a membership, without Clerk's `org:` prefix. */
  role?: string;
};

/** An event of Clerk's, as far as the mirror needs it. */
export type ClerkEvent = {
  type: string;
  /** The newest of its changes: events are applied in this order. */
  versionAt: string;
  /** Null for an event of a kind that the mirror follows, but whose contents it cannot read. */
  changes: ClerkChange[] | null;
};

/**
 * Reads the body of a webhook.
 *
 * @param receivedMs stands in for times that the event does not say.
 * @returns undefined for an event that the mirror does not follow, or what is no event at all.
 */
export function readClerkEvent(body: unknown, receivedMs: number): ClerkEvent | undefined {
  const envelope = envelopeSchema.safeParse(body);
  if (!envelope.success) return undefined;
  const { type, data, timestamp } = envelope.data;
  const [kind = '', verb = ''] = type.split('.', 2);
  const readers: Record<string, (told: Told) => ClerkChange[]> = {
    user: readUser,
    organization: readOrganization,
    organizationMembership: readMembership,
  };
  const read = Object.hasOwn(readers, kind) ? readers[kind] : undefined;
  if (!read || !['created', 'updated', 'deleted'].includes(verb)) return undefined;
  const told = { data, isDeleted: verb === 'deleted', toldMs: timestamp ?? receivedMs };
  const changes = readable(() => read(told)) ?? null;
  const versionAt = changes
    ?.map((change) => change.versionAt)
    .sort()
    .at(-1);
  return { type, versionAt: versionAt ?? iso(told.toldMs), changes };
}

/** What Clerk's Backend API lists as a user. @throws ZodError */
export const readListedUser = (data: unknown, toldMs: number) =>
  readUser({ data, isDeleted: false, toldMs });
/** What Clerk's Backend API lists as an organization. @throws ZodError */
export const readListedOrganization = (data: unknown, toldMs: number) =>
  readOrganization({ data, isDeleted: false, toldMs });
/** What Clerk's Backend API lists as a membership; organizations have a list of their own. @throws ZodError */
export const readListedMembership = (data: unknown, toldMs: number) =>
  readMembership({ data, isDeleted: false, toldMs }).slice(-1);

/** What a reader gives; undefined where it finds another shape than it knows. */
export function readable<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/**
 * That something is not at Clerk any more.
 *
 * @param bornAt of a membership: when the one began that is over. A later one is another.
 */
export function goneChange({ orgId, userId }: Key, toldMs: number, bornAt = always): ClerkChange {
  return { orgId, userId, bornAt, isDeleted: true, versionAt: iso(toldMs), toldAt: iso(toldMs) };
}

/** Which thing a change is of. */
export type Key = Pick<ClerkChange, 'orgId' | 'userId'>;

type Told = { data: unknown; isDeleted: boolean; toldMs: number };

/** Users and organizations are never there a second time under the same id. */
const always = '1970-01-01T00:00:00.000Z';

/** Milliseconds since 1970, up to the year 9999. */
const timeSchema = z.int().min(0).max(253_402_300_799_999);

const envelopeSchema = z.object({
  type: z.string().max(100),
  data: z.unknown(),
  timestamp: timeSchema.optional().catch(undefined),
});

const idSchema = z.string().regex(/^[\x21-\x7e]{1,255}$/);
const userIdSchema = idSchema.refine((id) => !id.startsWith('org_'));
const orgIdSchema = idSchema.refine((id) => !id.startsWith('user_'));

/** Text to show, cut to what fits; what cannot be stored counts as absent. */
const displaySchema = (maxLength: number) =>
  z
    .string()
    .transform((text) =>
      text
        .replaceAll(/\p{Cc}/gu, '')
        .toWellFormed()
        .trim(),
    )
    .transform((text) => Array.from(text).slice(0, maxLength).join('') || null)
    .nullish()
    .catch(null);

const roleSchema = z
  .string()
  .min(1)
  .max(100)
  .transform((role) => role.replace(/^org:/, ''));

const addressSchema = z.object({ id: z.string(), email_address: displaySchema(320) });

const userSchema = z.object({
  id: userIdSchema,
  updated_at: timeSchema.nullish(),
  first_name: displaySchema(255),
  last_name: displaySchema(255),
  username: displaySchema(255),
  primary_email_address_id: z.string().nullish().catch(null),
  email_addresses: z.array(addressSchema).nullish().catch(null),
});

const organizationSchema = z.object({
  id: orgIdSchema,
  updated_at: timeSchema.nullish(),
  name: displaySchema(255),
  slug: displaySchema(255),
});

const membershipSchema = z.object({
  role: roleSchema,
  created_at: timeSchema.nullish(),
  updated_at: timeSchema.nullish(),
  organization: z.looseObject({ id: orgIdSchema }),
  public_user_data: z.object({ user_id: userIdSchema }),
});

const deletedSchema = z.object({ id: idSchema });

function readUser({ data, isDeleted, toldMs }: Told): ClerkChange[] {
  if (isDeleted) return [goneChange({ orgId: '', userId: userOf(data) }, toldMs)];
  const { id, updated_at: updatedMs, ...user } = userSchema.parse(data);
  const addresses = user.email_addresses ?? [];
  const primary = addresses.find((address) => address.id === user.primary_email_address_id);
  const names = [user.first_name, user.last_name].filter((name) => name);
  const name = names.join(' ').slice(0, 255) || user.username || null;
  const times = { bornAt: always, versionAt: iso(updatedMs ?? toldMs), toldAt: iso(toldMs) };
  const email = primary?.email_address ?? null;
  return [{ orgId: '', userId: id, isDeleted: false, ...times, email, name }];
}

function readOrganization({ data, isDeleted, toldMs }: Told): ClerkChange[] {
  if (isDeleted) return [goneChange({ orgId: orgOf(data), userId: '' }, toldMs)];
  const { id, updated_at: updatedMs, name, slug } = organizationSchema.parse(data);
  const times = { bornAt: always, versionAt: iso(updatedMs ?? toldMs), toldAt: iso(toldMs) };
  return [
    {
      orgId: id,
      userId: '',
      isDeleted: false,
      ...times,
      name: name ?? slug ?? id,
      slug: slug ?? null,
    },
  ];
}

/** A membership tells of its organization too, as that was then. */
function readMembership({ data, isDeleted, toldMs }: Told): ClerkChange[] {
  const { organization, public_user_data: user, role, ...times } = membershipSchema.parse(data);
  const updatedMs = times.updated_at ?? toldMs;
  const membership = {
    orgId: organization.id,
    userId: user.user_id,
    bornAt: iso(times.created_at ?? updatedMs),
    isDeleted,
    versionAt: iso(updatedMs),
    toldAt: iso(toldMs),
    role,
  };
  // Without a time of its own nothing says whether it is newer than what is known.
  if (typeof organization.updated_at !== 'number') return [membership];
  return [...readOrganization({ data: organization, isDeleted: false, toldMs }), membership];
}

const userOf = (data: unknown) => userIdSchema.parse(deletedSchema.parse(data).id);
const orgOf = (data: unknown) => orgIdSchema.parse(deletedSchema.parse(data).id);

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
