import { access, context, type ObjectStep, object, sideEffect } from 'postgraphile/grafast';
import { extendSchema } from 'postgraphile/utils';
import { pgSettings } from '../db/claims.ts';
import { notAllowed, RowhouseError } from '../platform/errors/registry.ts';
import { type Asked, type Caller, type Generations, required } from './generations.ts';
import { makeReadNodeId } from './uploads.ts';

/** `generate`, `startGeneration` and `cancelGeneration`. */
export const GeneratePlugin = extendSchema((build) => {
  const { generations } = build.input.pgRegistry.pgResources;
  if (!generations) throw new Error('Generating needs the generations table.');
  const readDocumentId = makeReadNodeId(build, 'Document');
  const readGenerationId = makeReadNodeId(build, 'Generation');

  /** What of an input says which text is wanted. */
  function askedIn({ prompt, maxTokens, document, idempotencyKey }: Input): Asked {
    const documentId = document == null ? null : readDocumentId(document);
    if (document != null && documentId === null) throw notAllowed('document', null);
    return { prompt, maxTokens, documentId, idempotencyKey };
  }

  /** A mutation that does this, and answers the generation whose id comes back. */
  const mutation =
    (work: (generations: Generations, input: Input, caller: Caller) => Promise<string>) =>
    (_$root: unknown, fieldArgs: { getRaw(path: string): unknown }) => {
      const $input = fieldArgs.getRaw('input') as ReturnType<typeof object>;
      const $id = sideEffect([context(), $input], ([callerContext, input]) =>
        work(
          required(callerContext.generations),
          input as unknown as Input,
          callerOf(callerContext),
        ),
      );
      return object({
        result: generations.get({ id: $id }),
        clientMutationId: access($input, 'clientMutationId'),
      });
    };
  const payload = {
    scope: { isMutationPayload: true, pgTypeResource: generations },
    plans: { generation: ($payload: ObjectStep) => $payload.get('result') },
  };
  const whatIsWanted = /* GraphQL */ `
        """
        Comes back in the payload.
        """
        clientMutationId: String
        """
        What to do, 1 to 100000 characters, within the limit of tokens.
        """
        prompt: String!
        """
        How many tokens the text may have at most; 1024 if nothing is said.
        """
        maxTokens: Int
        """
        A document whose title and text go along with the prompt, as much as fits.
        """
        document: ID
        """
        A name of your own for this generation, at most 255 characters: asked for again under
        the same name, it is the same generation, and nothing is done twice.
        """
        idempotencyKey: String
  `;

  return {
    typeDefs: /* GraphQL */ `
      extend type Mutation {
        """
        Generates a text, and answers it if the AI service does so in time. Else the same
        generation is done in the background: it is \`QUEUED\` or \`RUNNING\`, and to be polled.
        """
        generate(
          """
          What is wanted.
          """
          input: GenerateInput!
        ): GeneratePayload
        """
        Has a text generated in the background, and answers at once: poll \`status\` until it
        is \`SUCCEEDED\`, \`FAILED\` or \`CANCELED\`.
        """
        startGeneration(
          """
          What is wanted.
          """
          input: StartGenerationInput!
        ): GeneratePayload
        """
        Cancels a generation that has not ended; of one that has, nothing changes.
        """
        cancelGeneration(
          """
          Which one.
          """
          input: CancelGenerationInput!
        ): CancelGenerationPayload
      }

      """
      Which text is wanted now.
      """
      input GenerateInput {${whatIsWanted}}

      """
      Which text is wanted later.
      """
      input StartGenerationInput {${whatIsWanted}}

      """
      What comes of \`generate\` and \`startGeneration\`.
      """
      type GeneratePayload {
        """
        As it was given.
        """
        clientMutationId: String
        """
        The generation as it stands now.
        """
        generation: Generation
      }

      """
      Which generation nobody wants any more.
      """
      input CancelGenerationInput {
        """
        Comes back in the payload.
        """
        clientMutationId: String
        """
        Of the generation.
        """
        id: ID!
      }

      """
      What comes of \`cancelGeneration\`.
      """
      type CancelGenerationPayload {
        """
        As it was given.
        """
        clientMutationId: String
        """
        The generation as it stands now.
        """
        generation: Generation
      }
    `,
    objects: {
      Mutation: {
        plans: {
          generate: mutation((all, input, caller) => all.generate(askedIn(input), caller)),
          startGeneration: mutation((all, input, caller) => all.start(askedIn(input), caller)),
          cancelGeneration: mutation(async (all, input, caller) => {
            const id = readGenerationId(input.id);
            if (id === null) throw new RowhouseError('NOT_FOUND');
            await all.cancel(id, caller);
            return id;
          }),
        },
      },
      GeneratePayload: payload,
      CancelGenerationPayload: payload,
    },
  };
}, 'GeneratePlugin');

type Input = {
  id: string;
  prompt: string;
  maxTokens?: number | null;
  document?: string | null;
  idempotencyKey?: string | null;
};

/** Who asks, in a scope that does not end when the client leaves: what was accepted goes on to its end. */
function callerOf(request: Grafast.Context): Caller {
  const { claims, requestId, pgSettings: scope, withPgClient } = request;
  const traceId = (scope as Record<string, string> | null)?.['app.trace_id'] ?? '';
  const settings = pgSettings(claims, requestId, 'write', traceId);
  return {
    request,
    orgId: claims.orgId,
    userId: claims.userId,
    traceId,
    query: <Row>(text: string, values: readonly unknown[]) =>
      withPgClient(settings, async (client) => {
        const { rows } = await client.query<Row>({ text, values: [...values] });
        return rows;
      }),
  };
}
