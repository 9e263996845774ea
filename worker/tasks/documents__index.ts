import { z } from 'zod';
import { defineTask } from '../task.ts';

/** Completes the search vector of a document too long to index while it is written. */
export const documents__index = defineTask({
  payload: z.object({ rowId: z.uuid() }),
  // Indexing twice gives the same vector, and a document that is gone needs none.
  run: ({ rowId }, { attempt, complete }) =>
    complete((client) =>
      client.query('select app_private.index_document($1, $2)', [attempt, rowId]),
    ),
});
