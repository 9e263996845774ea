import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { makeGraphiqlPlugin } from './GraphiqlPlugin.ts';

/** What the plugin adds to the page. */
function addedBy(tokenUrl: string): string {
  const event = { htmlParts: { headerScripts: '<script>own</script>' } };
  const middleware = makeGraphiqlPlugin(tokenUrl).grafserv?.middleware?.ruruHTML;
  if (typeof middleware !== 'function') throw new Error('There is no middleware.');
  middleware((() => undefined) as never, event as never);
  return event.htmlParts.headerScripts.replace('<script>own</script>', '');
}

type Call = { url: string; authorization: string | null };

/** Runs the script as the page would; its fetch answers with tokens of so many seconds. */
function openPage(expiresInSeconds: number) {
  const calls: Call[] = [];
  let tokens = 0;
  const fetch = async (input: string | { url: string }, init?: { headers?: Headers }) => {
    const url = typeof input === 'string' ? input : input.url;
    calls.push({ url, authorization: new Headers(init?.headers).get('authorization') });
    return { json: async () => ({ token: `token-${++tokens}`, expiresInSeconds }) };
  };
  const window = { fetch };
  const [, script = ''] = addedBy(tokenUrl).match(/^<script>(.*)<\/script>$/s) ?? [];
  runInNewContext(script, { window, Headers, Date, String });
  return { fetch: window.fetch as typeof globalThis.fetch, calls };
}

const tokenUrl = 'http://127.0.0.1:4000/token?user=user_alice';

describe('GraphiQL', () => {
  test('sends a token with each GraphQL request, and fetches it once while it is good', async () => {
    const page = openPage(3600);
    await page.fetch('/graphql', { method: 'POST' });
    await page.fetch(new Request('http://localhost:8080/graphql', { method: 'POST' }));
    expect(page.calls).toEqual([
      { url: tokenUrl, authorization: null },
      { url: '/graphql', authorization: 'Bearer token-1' },
      { url: 'http://localhost:8080/graphql', authorization: 'Bearer token-1' },
    ]);
  });

  test('fetches another half a minute before the token ends', async () => {
    const page = openPage(29);
    await page.fetch('/graphql');
    await page.fetch('/graphql');
    const sent = page.calls.map(({ authorization }) => authorization);
    expect(sent).toEqual([null, 'Bearer token-1', null, 'Bearer token-2']);
  });

  test('leaves other requests, and a token typed by hand, as they are', async () => {
    const page = openPage(3600);
    await page.fetch('/ruru-static/ruru.js');
    await page.fetch('/graphql', { headers: { authorization: 'Bearer mine' } });
    expect(page.calls).toEqual([
      { url: '/ruru-static/ruru.js', authorization: null },
      { url: '/graphql', authorization: 'Bearer mine' },
    ]);
  });

  test('cannot be left by what stands in the URL', () => {
    const added = addedBy('http://127.0.0.1/"</script><script>alert(1)//');
    expect(added.match(/<\/?script>/g)).toEqual(['<script>', '</script>']);
  });
});
