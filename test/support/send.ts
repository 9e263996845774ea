import { type Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** An HTTP request to the last byte; nothing is added to it but what HTTP needs. */
export type Sent = {
  method?: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
  /** A connection of its own by default. */
  agent?: Agent;
};

/** What came back, to the last byte: nothing is decoded. */
export type Received = {
  status: number;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
  text: string;
};

/** Sends a request as it is written, where `fetch` would know better. */
export function send(url: string, { body, ...options }: Sent = {}): Promise<Received> {
  const { method = body === undefined ? 'GET' : 'POST', headers = {}, agent } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: agent ?? false }, (response) => {
      buffer(response).then((bytes) => {
        const { statusCode = 0, headers: received } = response;
        resolve({ status: statusCode, headers: received, bytes, text: bytes.toString('utf8') });
      }, reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Posts a GraphQL request with a token. */
export function sendGraphql(
  url: string,
  token: string | null,
  body: object,
  { headers, agent }: Pick<Sent, 'headers' | 'agent'> = {},
): Promise<Received> {
  return send(`${url}/graphql`, {
    body: JSON.stringify(body),
    headers: {
      'content-type': 'application/json',
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(agent && { agent }),
  });
}
