import { sideEffectWithPgClient } from 'postgraphile/@dataplan/pg';
import { access, context, type FieldArgs, type ObjectStep, object } from 'postgraphile/grafast';
import { extendSchema } from 'postgraphile/utils';
import { RowhouseError } from '../platform/errors/registry.ts';
import type { Observation } from '../platform/observer.ts';
import { makeReadNodeId } from './uploads.ts';

/** `finalizeUpload` and `abortUpload`: what the owner says of an upload. The worker does the rest. */
export const FinalizeUploadPlugin = extendSchema((build) => {
  const { files } = build.input.pgRegistry.pgResources;
  if (!files) throw new Error('Uploads need the files table.');
  const readFileId = makeReadNodeId(build, 'File');

  /** Calls a function that says whether the caller owns such a file, and reports what was done. */
  const tell = (sql: string, told?: Observation) => (_$root: unknown, fieldArgs: FieldArgs) => {
    const $input = fieldArgs.getRaw('input');
    const $told = sideEffectWithPgClient(
      files.executor,
      { input: $input, uploads: context().get('uploads') },
      async (client, { input, uploads }) => {
        const id = readFileId((input as { id: unknown }).id);
        if (id === null) throw new RowhouseError('NOT_FOUND');
        const { rows } = await client.query<{ is_done: boolean | null }>({
          text: sql,
          values: [id],
        });
        const isDone = rows[0]?.is_done;
        if (isDone == null) throw new RowhouseError('NOT_FOUND');
        if (!isDone) throw new RowhouseError('CONFLICT');
        if (told) uploads?.observe(told);
        return { id };
      },
    );
    return object({
      result: files.get({ id: access($told, 'id') }),
      clientMutationId: access($input, 'clientMutationId'),
    });
  };
  const payload = {
    scope: { isMutationPayload: true, pgTypeResource: files },
    plans: { file: ($payload: ObjectStep) => $payload.get('result') },
  };

  return {
    typeDefs: /* GraphQL */ `
      extend type Mutation {
        """
        Says that the bytes of a file are uploaded. They are verified in the background: poll
        \`status\` until it is \`READY\`, \`REJECTED\` or \`EXPIRED\`. Asking again changes nothing.
        """
        finalizeUpload(
          """
          Which file.
          """
          input: FinalizeUploadInput!
        ): FinalizeUploadPayload
        """
        Gives up an upload that is not finalized: the file is \`EXPIRED\`. Asking again, or
        later, changes nothing.
        """
        abortUpload(
          """
          Which file.
          """
          input: AbortUploadInput!
        ): AbortUploadPayload
      }

      """
      Which file has been uploaded.
      """
      input FinalizeUploadInput {
        """
        Comes back in the payload.
        """
        clientMutationId: String
        """
        Of the file.
        """
        id: ID!
      }

      """
      What comes of \`finalizeUpload\`.
      """
      type FinalizeUploadPayload {
        """
        As it was given.
        """
        clientMutationId: String
        """
        The file as it stands now.
        """
        file: File
      }

      """
      Which upload is given up.
      """
      input AbortUploadInput {
        """
        Comes back in the payload.
        """
        clientMutationId: String
        """
        Of the file.
        """
        id: ID!
      }

      """
      What comes of \`abortUpload\`.
      """
      type AbortUploadPayload {
        """
        As it was given.
        """
        clientMutationId: String
        """
        The file as it stands now.
        """
        file: File
      }
    `,
    objects: {
      Mutation: {
        plans: {
          finalizeUpload: tell('select app_hidden.finalize_file($1) as is_done', {
            type: 'uploadFinalized',
          }),
          abortUpload: tell('select app_hidden.abort_upload($1) as is_done'),
        },
      },
      FinalizeUploadPayload: payload,
      AbortUploadPayload: payload,
    },
  };
}, 'FinalizeUploadPlugin');
