import { sideEffectWithPgClient } from 'postgraphile/@dataplan/pg';
import { access, context, type ObjectStep, object } from 'postgraphile/grafast';
import { extendSchema } from 'postgraphile/utils';
import { notAllowed } from '../platform/errors/registry.ts';
import type { SignedRequest } from '../services/storage/makeSigner.ts';
import { longestUploadSeconds } from '../services/storage/slowestRate.ts';
import { makeReadNodeId, required, type UploadLimits } from './uploads.ts';

/** `presignUpload`: declares a file, and answers a request that uploads exactly that file. */
export const PresignUploadPlugin = extendSchema((build) => {
  const { files } = build.input.pgRegistry.pgResources;
  if (!files) throw new Error('Uploads need the files table.');
  const readDocumentId = makeReadNodeId(build, 'Document');
  return {
    typeDefs: /* GraphQL */ `
      extend type Mutation {
        """
        Declares a file and answers where to upload it. The bytes go straight to the store,
        with exactly the headers that are answered; then \`finalizeUpload\`. A large file is
        uploaded in parts: \`upload\` is null, \`file.partSize\` says how large they are, and
        \`presignUploadParts\` is next.
        """
        presignUpload(
          """
          What the file is.
          """
          input: PresignUploadInput!
        ): PresignUploadPayload
      }

      """
      What a file is, before it is uploaded. Nothing of it can change later.
      """
      input PresignUploadInput {
        """
        Comes back in the payload.
        """
        clientMutationId: String
        """
        Its name, 1 to 255 characters. To be shown, never used as a path.
        """
        fileName: String!
        """
        Its media type, such as \`image/png\`.
        """
        contentType: String!
        """
        Its size in bytes.
        """
        byteSize: BigInt!
        """
        SHA-256 of its bytes, in base64.
        """
        checksumSha256: String!
        """
        The document it belongs to, if any.
        """
        document: ID
      }

      """
      What comes of \`presignUpload\`.
      """
      type PresignUploadPayload {
        """
        As it was given.
        """
        clientMutationId: String
        """
        The file, still without bytes.
        """
        file: File
        """
        The request that uploads it; null for a file that is uploaded in parts.
        """
        upload: PresignedUpload
      }

      """
      A request to the store, signed: send it as it is.
      """
      type PresignedUpload {
        """
        Where to.
        """
        url: String!
        """
        The HTTP method.
        """
        method: String!
        """
        Exactly these headers. A browser sets \`Content-Length\` by itself.
        """
        headers: [HttpHeader!]!
        """
        Until when the store lets it begin. It may take longer.
        """
        expiresAt: Datetime!
      }

      """
      A header of an HTTP request.
      """
      type HttpHeader {
        """
        Its name.
        """
        name: String!
        """
        Its value.
        """
        value: String!
      }
    `,
    objects: {
      Mutation: {
        plans: {
          presignUpload(_$root, fieldArgs) {
            const $input = fieldArgs.getRaw('input');
            const $created = sideEffectWithPgClient(
              files.executor,
              { input: $input, uploads: context().get('uploads') },
              async (client, { input, uploads }) => {
                const { storage, limits, urlTtlSeconds, observe } = required(uploads);
                const { fileName, contentType, byteSize, checksumSha256, document } =
                  input as Input;
                const documentId = document == null ? null : readDocumentId(document);
                if (document != null && documentId === null) throw notAllowed('document', null);
                // A file that nobody can be told how to upload would take room until it expires.
                await storage.sign.ready();
                const { rows } = await client.query<Created>({
                  text: 'select * from app_hidden.create_file($1, $2, $3, $4, $5, $6)',
                  values: [
                    fileName,
                    contentType,
                    byteSize,
                    checksumSha256,
                    documentId,
                    JSON.stringify(limitsFor(limits, Number(byteSize))),
                  ],
                });
                const [created] = rows;
                if (!created) throw new Error('No file was created.');
                const isInParts = created.part_size !== null;
                observe({ type: 'uploadDeclared', isInParts });
                if (isInParts) return { id: created.id, upload: null };
                const upload = await storage.sign.upload({
                  key: created.incoming_key,
                  contentType: contentType.toLowerCase(),
                  byteSize: BigInt(byteSize),
                  checksumSha256,
                  ttlSeconds: urlTtlSeconds,
                });
                return { id: created.id, upload: presignedUpload(upload) };
              },
            );
            return object({
              result: files.get({ id: access($created, 'id') }),
              upload: access($created, 'upload'),
              clientMutationId: access($input, 'clientMutationId'),
            });
          },
        },
      },
      PresignUploadPayload: {
        scope: { isMutationPayload: true, pgTypeResource: files },
        plans: { file: ($payload: ObjectStep) => $payload.get('result') },
      },
    },
  };
}, 'PresignUploadPlugin');

type Input = {
  fileName: string;
  contentType: string;
  byteSize: string;
  checksumSha256: string;
  document?: string | null;
};
type Created = { id: string; incoming_key: string; part_size: string | null };

/**
 * The store asks when an upload begins, and no more: what began while its URL was valid may take
 * its time, and the file waits for it.
 */
function limitsFor(limits: UploadLimits, byteSize: number): UploadLimits {
  const mostBytes = Math.min(byteSize, limits.singleMaxBytes);
  return { ...limits, ttlSeconds: limits.ttlSeconds + longestUploadSeconds(mostBytes) };
}

/** A signed request as the API's type `PresignedUpload`. */
export function presignedUpload({ url, method, headers, expiresAt }: SignedRequest) {
  return {
    url,
    method,
    headers: Object.entries(headers).map(([name, value]) => ({ name, value })),
    expiresAt: expiresAt.toISOString(),
  };
}
