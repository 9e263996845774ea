import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import compression from 'compression';
import {
  type BufferResult,
  GrafservBase,
  type GrafservConfig,
  getBodyFromRequest,
  processHeaders,
} from 'postgraphile/grafserv';
import { pathOf, type Stage } from './http/stages.ts';

/** Answers that are smaller travel as they are. */
const compressFromBytes = 1_024;

const compress = compression({ threshold: compressFromBytes }) as unknown as Stage;

/** grafserv, as a stage of the app: GraphQL, GraphiQL, and the events of watch mode. */
export class GraphqlServer extends GrafservBase {
  readonly answer: Stage = async (request, response, next) => {
    const result = await this.processRequest(this.#digest(request, response));
    if (result === null) return next();
    switch (result.type) {
      case 'buffer':
        return sendBuffer(request, response, result);
      case 'noContent':
        response.writeHead(result.statusCode, result.headers).end();
        return;
      case 'bufferStream':
        response.writeHead(result.statusCode, result.headers);
        // A client that leaves is no error.
        return pipeline(Readable.from(result.bufferIterator), response).catch(() => {});
      case 'error':
        return next(result.error);
      case 'json':
        throw new TypeError('Nobody asked for JSON that is not yet text.');
      default: {
        const never: never = result;
        return never;
      }
    }
  };

  #digest(request: IncomingMessage, response: ServerResponse) {
    const { httpVersionMajor, httpVersionMinor, method = '' } = request;
    const { maxRequestLength } = this.dynamicOptions;
    return {
      httpVersionMajor,
      httpVersionMinor,
      // TLS ends at the load balancer, and nothing here depends on it.
      isSecure: false,
      method,
      path: pathOf(request),
      headers: processHeaders(request.headers),
      getQueryParams: () => ({}),
      getBody: () => getBodyFromRequest(request, maxRequestLength),
      requestContext: { node: { req: request, res: response } },
    };
  }
}

/** Makes the server of a preset, for `createServ`. */
export function makeGraphqlServer(config: GrafservConfig): GraphqlServer {
  return new GraphqlServer(config);
}

function sendBuffer(
  request: IncomingMessage,
  response: ServerResponse,
  { statusCode, headers, buffer }: BufferResult,
): void {
  const send = () => response.writeHead(statusCode, headers).end(buffer);
  // Its listeners cost as much as the rest of a small answer.
  if (buffer.length < compressFromBytes || !request.headers['accept-encoding']) send();
  else void compress(request, response, send);
}
