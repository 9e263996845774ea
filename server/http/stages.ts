import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { stateOf } from './requestState.ts';

/**
 * One step of a request: answers it or passes it on. What it throws, or passes
 * to `next`, ends the request as an error.
 */
export type Stage = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void | Promise<void>;

/** What becomes of a request whose stage failed. */
export type OnError = (error: unknown, request: IncomingMessage, response: ServerResponse) => void;

/** Takes requests through the stages in their order, each until one does not pass it on. */
export function inOrder(stages: readonly Stage[], onError: OnError): RequestListener {
  return (request, response) => {
    const fail = (error: unknown) => onError(error, request, response);
    const run = (i: number): void => {
      const next = (error?: unknown) => (error === undefined ? run(i + 1) : fail(error));
      try {
        stages[i]?.(request, response, next)?.catch(fail);
      } catch (error) {
        fail(error);
      }
    };
    run(0);
  };
}

/**
 * A stage for requests to one route only: exactly this path.
 * @param methods all, where none is given; HEAD comes where GET does.
 */
export function on(route: string, stage: Stage, ...methods: readonly ('GET' | 'POST')[]): Stage {
  return (request, response, next) => {
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const isMeant = methods.length === 0 || methods.includes(method as never);
    return isMeant && stateOf(request).route === route ? stage(request, response, next) : next();
  };
}

/** The path of a request, as it was sent; also where proxies send the whole URL. */
export function pathOf({ url = '' }: IncomingMessage): string {
  const target = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?]*/i, '');
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}
