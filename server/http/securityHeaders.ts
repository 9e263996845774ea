import helmet from 'helmet';
import type { Stage } from './stages.ts';

/**
 * The headers that helmet advises, on every answer. They are the same for all
 * requests, so helmet is asked once.
 *
 * @param graphiql whether pages of GraphiQL are served, which need scripts and workers.
 */
export function securityHeaders(graphiql: boolean): Stage {
  const headers: [name: string, value: string][] = [];
  const advise = helmet({
    contentSecurityPolicy: graphiql
      ? false
      : { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    crossOriginResourcePolicy: { policy: 'cross-origin' },
  });
  const listener = {
    setHeader: (name: string, value: string) => headers.push([name, value]),
    removeHeader() {},
  };
  advise({} as never, listener as never, () => {});

  return (_request, response, next) => {
    for (const [name, value] of headers) response.setHeader(name, value);
    next();
  };
}
