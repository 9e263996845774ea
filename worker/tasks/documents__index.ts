import { z } from 'zod';
import { inTenantScope } from '../../db/tenantScope.ts';
import { defineTask } from '../defineTask.ts';

/** Completes the search vector of a document too long to index while it is written. */
export const documents__index = defineTask(
  z.object({
    orgId: z.string(),
    documentId: z.uuid(),
    userId: z.string().nullable(),
    requestId: z.string().nullable(),
  }),
  // Indexing twice gives the same vector, and a document that is gone needs none.
  ({ orgId, userId, requestId, documentId }, { withPgClient }) =>
    withPgClient((client) =>
      inTenantScope(client, { orgId, userId, requestId }, () =>
        client.query('select app_private.index_document($1)', [documentId]),
      ),
    ),
);
