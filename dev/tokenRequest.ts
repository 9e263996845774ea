import { z } from 'zod';
import { orgIdSchema, roleSchema, userIdSchema } from '../server/auth/claims.ts';
import { permissionPattern } from '../server/auth/permissions.ts';

const needsOrg = 'needs an organization';

/** What may be asked of the local issuer: exactly what the API would accept in a token. */
export const tokenRequestSchema = z
  .strictObject({
    user: userIdSchema,
    org: orgIdSchema.optional(),
    role: roleSchema.optional(),
    permissions: z
      .array(z.string().regex(permissionPattern, 'must look like org:docs:manage'))
      .default([]),
    email: z.email().max(255).optional(),
    name: z.string().trim().min(1).max(255).optional(),
    /** In seconds, up to a year. */
    ttl: z.coerce.number().int().min(1).max(31_536_000).default(3600),
  })
  .refine(({ org, role }) => org !== undefined || role === undefined, {
    path: ['role'],
    error: needsOrg,
  })
  .refine(({ org, permissions }) => org !== undefined || permissions.length === 0, {
    path: ['permissions'],
    error: needsOrg,
  })
  .transform(({ ttl: ttlSeconds, ...content }) => ({ ...content, ttlSeconds }));

/** The problems of a request, one a line: `role: needs an organization`. */
export function describeProblems(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => `${String(path[0] ?? 'request')}: ${message}`)
    .join('\n');
}
