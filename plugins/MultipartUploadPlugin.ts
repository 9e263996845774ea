import { sideEffectWithPgClient } from 'postgraphile/@dataplan/pg';
import { access, context, type ObjectStep, object } from 'postgraphile/grafast';
import { extendSchema } from 'postgraphile/utils';
import { notAllowed, RowhouseError } from '../platform/errors/registry.ts';
import { presignedUpload } from './PresignUploadPlugin.ts';
import { makeReadNodeId, required } from './uploads.ts';

/** Parts that are signed in one request. */
const maxPartsAtOnce = 100;

/** `presignUploadParts` and `completeMultipartUpload`: uploads of large files. */
export const MultipartUploadPlugin = extendSchema((build) => {
  const { files } = build.input.pgRegistry.pgResources;
  if (!files) throw new Error('Uploads need the files table.');
  const readFileId = makeReadNodeId(build, 'File');
  const payload = {
    scope: { isMutationPayload: true, pgTypeResource: files },
    plans: { file: ($payload: ObjectStep) => $payload.get('result') },
  };
  return {
    typeDefs: /* GraphQL */ `
      extend type Mutation {
        """
        Answers where to upload parts of a large file: at most ${maxPartsAtOnce} at once. May be
        asked again for the same parts, for instance when their URLs have expired.
        """
        presignUploadParts(
          """
          Which parts.
          """
          input: PresignUploadPartsInput!
        ): PresignUploadPartsPayload
        """
        Says that all parts of a large file are uploaded. They are joined and verified in the
        background, as after \`finalizeUpload\`. Asking again changes nothing.
        """
        completeMultipartUpload(
          """
          The parts.
          """
          input: CompleteMultipartUploadInput!
        ): CompleteMultipartUploadPayload
      }

      """
      Which parts of a file are to be uploaded.
      """
      input PresignUploadPartsInput {
        """
        Comes back in the payload.
        """
        clientMutationId: String
        """
        Of the file.
        """
        id: ID!
        """
        The parts.
        """
        parts: [UploadPartInput!]!
      }

      """
      A part of a file.
      """
      input UploadPartInput {
        """
        Counts from 1. Each part but the last has \`file.partSize\` bytes.
        """
        partNumber: Int!
        """
        SHA-256 of the part, in base64. With it the store takes nothing else; without it, what
        is wrong shows only when the whole file is verified. Give it for all parts of a file, or
        for none: what the first request for parts does holds for the file.
        """
        checksumSha256: String
      }

      """
      What comes of \`presignUploadParts\`.
      """
      type PresignUploadPartsPayload {
        """
        As it was given.
        """
        clientMutationId: String
        """
        The file.
        """
        file: File
        """
        A request for each part, in the order they were asked for.
        """
        parts: [PresignedUploadPart!]
      }

      """
      How to upload a part.
      """
      type PresignedUploadPart {
        """
        Counts from 1.
        """
        partNumber: Int!
        """
        Its size in bytes.
        """
        byteSize: BigInt!
        """
        The request that uploads it. Keep the header \`ETag\` of the answer.
        """
        upload: PresignedUpload!
      }

      """
      Which parts a file has.
      """
      input CompleteMultipartUploadInput {
        """
        Comes back in the payload.
        """
        clientMutationId: String
        """
        Of the file.
        """
        id: ID!
        """
        All of them.
        """
        parts: [UploadedPartInput!]!
      }

      """
      A part that was uploaded.
      """
      input UploadedPartInput {
        """
        Counts from 1.
        """
        partNumber: Int!
        """
        The header \`ETag\` of the answer to its upload, as it is.
        """
        etag: String!
      }

      """
      What comes of \`completeMultipartUpload\`.
      """
      type CompleteMultipartUploadPayload {
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
          presignUploadParts(_$root, fieldArgs) {
            const $input = fieldArgs.getRaw('input');
            const $signed = sideEffectWithPgClient(
              files.executor,
              { input: $input, uploads: context().get('uploads') },
              async (client, { input, uploads }) => {
                const { storage, urlTtlSeconds } = required(uploads);
                const { id: globalId, parts } = input as PresignInput;
                const id = readFileId(globalId);
                if (id === null) throw new RowhouseError('NOT_FOUND');
                const file = await ownFile(client, id);
                if (file.status !== 'PENDING' || file.part_size === null || file.is_late) {
                  throw new RowhouseError('CONFLICT');
                }
                const shape = shapeOf(file);
                const hasChecksums = checkAsked(parts, shape.count);

                // The store is asked once, between two statements: no transaction is open.
                let begun = begunUpload(file);
                if (begun === null) {
                  const { incoming_key: key, content_type: contentType } = file;
                  const name = await storage.startMultipart(key, contentType, { hasChecksums });
                  begun = await keepUpload(client, id, { id: name, hasChecksums });
                  if (begun.id !== name) {
                    // Another request was faster. Should this fail, the sweep does it.
                    await storage.abortMultipart(key, name).catch(() => {});
                  }
                }
                // The store would refuse them. Of what an older version began nobody knows.
                if ((begun.hasChecksums ?? hasChecksums) !== hasChecksums) throw badParts(mixed);
                const signed = [];
                for (const { partNumber, checksumSha256 } of parts) {
                  const byteSize = partNumber < shape.count ? shape.size : shape.last;
                  const upload = await storage.sign.part({
                    key: file.incoming_key,
                    uploadId: begun.id,
                    partNumber,
                    byteSize,
                    checksumSha256: checksumSha256 ?? undefined,
                    ttlSeconds: urlTtlSeconds,
                  });
                  signed.push({
                    partNumber,
                    byteSize: String(byteSize),
                    upload: presignedUpload(upload),
                  });
                }
                return { id, parts: signed };
              },
            );
            return object({
              result: files.get({ id: access($signed, 'id') }),
              parts: access($signed, 'parts'),
              clientMutationId: access($input, 'clientMutationId'),
            });
          },

          completeMultipartUpload(_$root, fieldArgs) {
            const $input = fieldArgs.getRaw('input');
            const $asked = { input: $input, uploads: context().get('uploads') };
            const $told = sideEffectWithPgClient(
              files.executor,
              $asked,
              async (client, { input, uploads }) => {
                const { id: globalId, parts } = input as CompleteInput;
                const id = readFileId(globalId);
                if (id === null) throw new RowhouseError('NOT_FOUND');
                const file = await ownFile(client, id);
                if (file.part_size === null) throw new RowhouseError('CONFLICT');
                const inOrder = parts.toSorted((a, b) => a.partNumber - b.partNumber);
                const isWhole =
                  inOrder.length === shapeOf(file).count &&
                  inOrder.every(({ partNumber, etag }, i) => partNumber === i + 1 && isEtag(etag));
                if (!isWhole) {
                  throw badParts(
                    `Name each part from 1 to ${shapeOf(file).count} once, with the \`ETag\` of its upload.`,
                  );
                }
                const { rows } = await client.query<{ is_done: boolean }>({
                  text: 'select app_hidden.complete_multipart($1, $2) as is_done',
                  values: [id, JSON.stringify(inOrder)],
                });
                if (!rows[0]?.is_done) throw new RowhouseError('CONFLICT');
                uploads?.observe({ type: 'uploadFinalized' });
                return { id };
              },
            );
            return object({
              result: files.get({ id: access($told, 'id') }),
              clientMutationId: access($input, 'clientMutationId'),
            });
          },
        },
      },
      PresignUploadPartsPayload: payload,
      CompleteMultipartUploadPayload: payload,
    },
  };
}, 'MultipartUploadPlugin');

type AskedPart = { partNumber: number; checksumSha256?: string | null };
type PresignInput = { id: string; parts: AskedPart[] };
type CompleteInput = { id: string; parts: { partNumber: number; etag: string }[] };
type Client = {
  query<Row>(query: { text: string; values: unknown[] }): Promise<{ rows: readonly Row[] }>;
};
type OwnFile = {
  status: string;
  content_type: string;
  byte_size: string;
  part_size: string | null;
  multipart_upload_id: string | null;
  has_part_checksums: boolean | null;
  incoming_key: string;
  is_late: boolean;
};

/** @throws RowhouseError `NOT_FOUND` where the caller owns no such file. */
async function ownFile(client: Client, id: string): Promise<OwnFile> {
  const { rows } = await client.query<OwnFile>({
    text: `select u.*, f.has_part_checksums from app_hidden.own_upload($1) as u
      join app_public.files as f on f.org_id = app_hidden.current_org_id() and f.id = $1`,
    values: [id],
  });
  if (!rows[0]) throw new RowhouseError('NOT_FOUND');
  return rows[0];
}

/** An upload in parts, by the store's name, and whether its parts come with checksums. */
type BegunUpload = { id: string; hasChecksums: boolean | null };

const begunUpload = (file: OwnFile): BegunUpload | null =>
  file.multipart_upload_id === null
    ? null
    : { id: file.multipart_upload_id, hasChecksums: file.has_part_checksums };

/** Keeps an upload that was begun, and answers the one that was first. */
async function keepUpload(client: Client, id: string, begun: BegunUpload): Promise<BegunUpload> {
  await client.query({
    text: `update app_public.files set multipart_upload_id = $2, has_part_checksums = $3
      where org_id = app_hidden.current_org_id() and id = $1 and multipart_upload_id is null`,
    values: [id, begun.id, begun.hasChecksums],
  });
  const kept = begunUpload(await ownFile(client, id));
  if (kept === null) throw new RowhouseError('CONFLICT');
  return kept;
}

function shapeOf({ byte_size, part_size }: OwnFile): { count: number; size: bigint; last: bigint } {
  const [all, size] = [BigInt(byte_size), BigInt(part_size ?? byte_size)];
  const count = (all + size - 1n) / size;
  return { count: Number(count), size, last: all - (count - 1n) * size };
}

/**
 * Whether the parts that are asked for come with checksums.
 * @throws RowhouseError `BAD_USER_INPUT` where some do and some do not, or one is no part of the file.
 */
function checkAsked(parts: readonly AskedPart[], count: number): boolean {
  if (parts.length < 1 || parts.length > maxPartsAtOnce) {
    throw badParts(`Ask for 1 to ${maxPartsAtOnce} parts at once.`);
  }
  const numbers = new Set(parts.map(({ partNumber }) => partNumber));
  if (numbers.size < parts.length || Math.min(...numbers) < 1 || Math.max(...numbers) > count) {
    throw badParts(`The file has parts 1 to ${count}; ask for each once.`);
  }
  const checksums = parts.map(({ checksumSha256 }) => checksumSha256 ?? undefined);
  if (checksums.every((checksum) => checksum === undefined)) return false;
  if (checksums.some((checksum) => checksum === undefined)) throw badParts(mixed);
  for (const checksum of checksums) {
    if (!isSha256.test(checksum ?? '')) throw notAllowed('checksumSha256', null);
  }
  return true;
}

/** The 32 bytes in base64: the last digit before the sign carries four bits. */
const isSha256 = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** Quoted or not: browsers and stores differ. */
const isEtag = (etag: string) => /^"?[\w+/=-]{1,128}"?$/.test(etag);

const mixed = 'Give `checksumSha256` for all parts of a file, or for none.';

const badParts = (message: string) =>
  new RowhouseError('BAD_USER_INPUT', { field: 'parts', message });
