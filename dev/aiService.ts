import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { type Faculties, ModelError } from './ai/faculties.ts';
import {
  type AiFault,
  aiFault,
  answerBadly,
  befallsBefore,
  type FullAiFault,
} from './ai/faults.ts';
import { filtered, localFaculties } from './ai/localFaculties.ts';
import { findFreePort } from './ports.ts';

/** A request as the service got it. */
export type AiServiceCall = {
  operation: Operation;
  idempotencyKey: string;
  orgId: string;
  userId: string;
  traceparent: string | undefined;
  headers: IncomingMessage['headers'];
  /** As it was sent. */
  body: unknown;
  /** Whether work was done for it, rather than the answer of another call given again. */
  isEffective: boolean;
  atMs: number;
};

/** An AI service on this machine. */
export type LocalAiService = {
  url: string;
  /** What came so far, oldest first; at most the last 20 000. */
  calls: readonly AiServiceCall[];
  /** Lets something befall the calls from now on; nothing where undefined. */
  setFault(fault: AiFault | undefined): void;
  close(): Promise<void>;
};

/**
 * Opens the local AI service, which speaks docs/ai-service.openapi.yaml on 127.0.0.1 only.
 *
 * For tests it has `PUT` and `DELETE /dev/fault`, with a fault of dev/ai/faults.ts as the body, and
 * `GET` and `DELETE /dev/calls`.
 *
 * @param port the port to use if it is free; by default any.
 * @param faculties who does the work; by default a stand-in that understands nothing.
 */
export async function openLocalAiService({
  port,
  faculties = localFaculties,
}: {
  port?: number;
  faculties?: Faculties;
} = {}): Promise<LocalAiService> {
  const calls: AiServiceCall[] = [];
  const once = makeOnce();
  let fault: FullAiFault | undefined;
  const setFault = (next: AiFault | undefined) => {
    fault = next && aiFault.parse(next);
  };
  /** The fault that this call has to bear. */
  const takeFault = (operation: Operation): FullAiFault | undefined => {
    if (fault === undefined || (fault.operation ?? operation) !== operation) return undefined;
    const taken = fault;
    if (fault.times !== undefined)
      fault = fault.times > 1 ? { ...fault, times: fault.times - 1 } : undefined;
    return taken;
  };

  async function serve(operation: Operation, request: IncomingMessage, response: ServerResponse) {
    const body = await readJson(request);
    const header = (name: string) => String(request.headers[name] ?? '');
    const call = {
      operation,
      idempotencyKey: header('idempotency-key'),
      orgId: header('x-org-id'),
      userId: header('x-user-id'),
      traceparent: request.headers.traceparent as string | undefined,
      headers: request.headers,
      body,
      isEffective: false,
      atMs: Date.now(),
    };
    calls.push(call);
    if (calls.length > 20_000) calls.shift();

    const befalls = takeFault(operation);
    if (befalls && !(await befallsBefore(befalls, response))) return;
    const reply = await answer(call, faculties, once);
    const text = JSON.stringify(reply.body);
    if (befalls && reply.status === 200) return answerBadly(befalls, response, text);
    send(response, reply);
  }

  const server = createServer((request, response) => {
    // What is left of a broken connection is nobody's concern.
    request.on('error', () => {});
    response.on('error', () => {});
    const route = `${request.method} ${request.url}`;
    const operation = operations[route];
    if (operation !== undefined) {
      serve(operation, request, response).catch((error: unknown) => {
        // Whoever asked is gone, in the middle of asking.
        if (!request.complete) return;
        console.error('AI service:', error);
        send(response, refusal(500, 'INTERNAL', 'The local AI service failed.'));
      });
    } else if (route === 'GET /healthz') {
      send(response, { status: 200, body: { status: 'ok' } });
    } else {
      control(route, request, { calls, setFault }).then(
        (reply) => send(response, reply),
        () => send(response, refusal(400, 'INVALID_REQUEST', 'That is no fault.')),
      );
    }
  });
  const bound = await findFreePort(port ? [port] : []);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(bound, '127.0.0.1', resolve);
  });

  return {
    url: `http://127.0.0.1:${bound}`,
    calls,
    setFault,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Operation = 'generate' | 'embed' | 'filter';

const operations: Record<string, Operation> = {
  'POST /v1/generate': 'generate',
  'POST /v1/embeddings': 'embed',
  'POST /v1/filters': 'filter',
};

type Reply = { status: number; body?: object; headers?: Record<string, string> };

/** What a call has to look like. */
const requestSchemas = {
  generate: z.strictObject({
    prompt: z.string().min(1).max(4_000_000),
    maxTokens: z.int().min(1).max(1_000_000),
  }),
  embed: z.strictObject({ texts: z.array(z.string().max(1_000_000)).min(1).max(128) }),
  filter: z.strictObject({
    text: z.string().max(4_000_000),
    kind: z.enum(['prompt', 'result']),
  }),
} as const;

/** The limits that the contract sets to what is sent; a test holds them together. */
export const aiRequestSchemas = requestSchemas;

const names = z.object({
  orgId: z.string().min(1).max(200),
  userId: z.string().min(1).max(200),
  idempotencyKey: z.string().min(1).max(200),
});

async function answer(call: AiServiceCall, faculties: Faculties, once: Once): Promise<Reply> {
  if (!names.safeParse(call).success) {
    return refusal(400, 'INVALID_REQUEST', 'X-Org-ID, X-User-ID and Idempotency-Key are needed.');
  }
  const { data } = z
    .discriminatedUnion('operation', [
      z.object({ operation: z.literal('generate'), body: requestSchemas.generate }),
      z.object({ operation: z.literal('embed'), body: requestSchemas.embed }),
      z.object({ operation: z.literal('filter'), body: requestSchemas.filter }),
    ])
    .safeParse(call);
  if (data === undefined)
    return refusal(400, 'INVALID_REQUEST', 'The body is not of the contract.');
  const work = async (): Promise<object> => {
    if (data.operation === 'filter') return filtered(data.body.text, data.body.kind);
    if (data.operation === 'embed') return faculties.embed(data.body.texts);
    const beganMs = performance.now();
    const completion = await faculties.generate(data.body.prompt, data.body.maxTokens);
    return { ...completion, latencyMs: Math.round(performance.now() - beganMs) };
  };
  try {
    return await once(call, async () => {
      const body = await work();
      call.isEffective = true;
      return { status: 200, body };
    });
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    const { status, retryAfter } = error;
    if (status === 422) return refusal(422, 'CONTENT_REJECTED', 'This prompt is refused.');
    const code = status === 429 ? 'RATE_LIMITED' : 'OVERLOADED';
    const reply = refusal(status, code, 'The model behind is not available.');
    return retryAfter === undefined ? reply : { ...reply, headers: { 'retry-after': retryAfter } };
  }
}

type Once = (call: AiServiceCall, work: () => Promise<Reply>) => Promise<Reply>;

/** How many answers are remembered. The contract wants a day; no development sees more. */
const maxRemembered = 50_000;

/**
 * Does the work of a key once: the same call again, even while the first still runs, gets the
 * answer of the first. Work that failed is forgotten.
 */
function makeOnce(): Once {
  const done = new Map<string, { content: string; reply: Promise<Reply> }>();
  return async ({ operation, orgId, idempotencyKey, body }, work) => {
    const key = JSON.stringify([operation, orgId, idempotencyKey]);
    const content = JSON.stringify(body);
    const known = done.get(key);
    if (known && known.content !== content) {
      return refusal(409, 'IDEMPOTENCY_CONFLICT', 'This key was used for something else.');
    }
    if (known) return known.reply;
    const reply = work();
    done.set(key, { content, reply });
    reply.catch(() => done.delete(key));
    for (const oldest of done.keys()) {
      if (done.size <= maxRemembered) break;
      done.delete(oldest);
    }
    return reply;
  };
}

/** What is not in the contract: for tests, and for who looks at a running stack. */
async function control(
  route: string,
  request: IncomingMessage,
  { calls, setFault }: { calls: AiServiceCall[]; setFault: LocalAiService['setFault'] },
): Promise<Reply> {
  // A page of elsewhere can have its own name resolve to this machine, but still sends that name.
  const isHere = /^(localhost|127\.0\.0\.1)(:\d+)?$/.test(request.headers.host ?? '');
  if (!isHere) return refusal(403, 'INVALID_REQUEST', 'This host is not served.');
  switch (route) {
    case 'GET /dev/calls':
      return { status: 200, body: calls };
    case 'DELETE /dev/calls':
      calls.length = 0;
      return { status: 204 };
    case 'PUT /dev/fault':
      setFault(aiFault.parse(await readJson(request)));
      return { status: 204 };
    case 'DELETE /dev/fault':
      setFault(undefined);
      return { status: 204 };
    default:
      return refusal(404, 'INVALID_REQUEST', 'There is nothing here.');
  }
}

function refusal(status: number, code: string, message: string): Reply {
  return { status, body: { error: { code, message } } };
}

function send(response: ServerResponse, { status, body, headers = {} }: Reply): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { ...headers, ...(body && { 'content-type': 'application/json' }) });
  response.end(body && JSON.stringify(body));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  try {
    return JSON.parse(Buffer.concat(pieces).toString());
  } catch {
    return undefined;
  }
}
