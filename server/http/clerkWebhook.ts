import type { IncomingMessage } from 'node:http';
import type { Login } from '../../db/scope/asLogin.ts';
import { RowhouseError } from '../../platform/errors/registry.ts';
import type { Observe, WebhookReceived } from '../../platform/observer.ts';
import { readClerkEvent } from '../../services/clerk/changes.ts';
import { faultOfSignature } from '../../services/clerk/webhookSignature.ts';
import { stateOf } from './requestState.ts';
import { sendError } from './sendError.ts';
import type { Stage } from './stages.ts';

/** Clerk's events are a few kilobytes. */
const maxBytes = 512 * 1024;

/**
 * Takes Clerk's events: believes those that are signed over their raw bytes, puts them into the
 * inbox, and answers once they are there. Clerk sends an event again until the answer is 2xx, so
 * only what cannot get better is answered 204 without having been kept.
 */
export function clerkWebhook(secret: string, login: Login, observe: Observe): Stage {
  return async (request, response) => {
    const body = await readBody(request);
    const { requestId } = stateOf(request);
    const report = (outcome: WebhookReceived['outcome'], event: string | null) =>
      observe({ type: 'webhookReceived', requestId, outcome, event });
    const id = header(request, 'svix-id');
    const signed = {
      id,
      timestamp: header(request, 'svix-timestamp'),
      signature: header(request, 'svix-signature'),
    };
    const fault = body ? faultOfSignature(secret, signed, body, Date.now()) : 'too-large';
    if (fault) {
      observe({ type: 'requestRefused', requestId, cause: `webhook-${fault}` });
      report('rejected', null);
      return sendError(response, body ? 'BAD_SIGNATURE' : 'PAYLOAD_TOO_LARGE');
    }

    const event = readClerkEvent(parse(body), Date.now());
    if (!event) {
      report('ignored', null);
    } else {
      const { rows } = await login.query<{ is_new: boolean }>(
        'select app_private.receive_clerk_event($1, $2, $3, $4) as is_new',
        [id, event.type, event.versionAt, event.changes && JSON.stringify(event.changes)],
      );
      const outcome = event.changes ? 'stored' : 'unreadable';
      report(rows[0]?.is_new ? outcome : 'duplicate', event.type);
    }
    response.writeHead(204).end();
  };
}

/** The body as it was sent; undefined where it is too large. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      bytes += chunk.length;
      // The rest is read and dropped, so that the sender hears the answer.
      if (bytes <= maxBytes) chunks.push(chunk);
      else chunks.length = 0;
      if (bytes > 4 * maxBytes) return undefined;
    }
  } catch (cause) {
    throw new RowhouseError('BAD_USER_INPUT', { cause });
  }
  return bytes <= maxBytes ? Buffer.concat(chunks) : undefined;
}

/** A header that is there once: two of a name are joined with a comma, which no signature holds up to. */
function header({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function parse(body: Buffer | undefined): unknown {
  try {
    return JSON.parse(body?.toString('utf8') ?? '');
  } catch {
    return undefined;
  }
}
