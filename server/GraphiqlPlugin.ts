/**
 * Signs GraphiQL in: before a request of the page leaves, it fetches a token from
 * `tokenUrl` and sends it as any client would. The API treats it as any other.
 */
export function makeGraphiqlPlugin(tokenUrl: string): GraphileConfig.Plugin {
  return {
    name: 'GraphiqlPlugin',
    version: '1.0.0',
    grafserv: {
      middleware: {
        ruruHTML(next, event) {
          const { htmlParts } = event;
          htmlParts.headerScripts = `${htmlParts.headerScripts}<script>${signIn(tokenUrl)}</script>`;
          return next();
        },
      },
    },
  };
}

/** Runs in the page. Keeps a token until half a minute before it ends. */
function signIn(tokenUrl: string): string {
  // JSON is JavaScript, but `</script>` inside a string would still end the element.
  const url = JSON.stringify(tokenUrl).replaceAll('<', '\\u003c');
  return `(() => {
  const plainFetch = window.fetch.bind(window);
  let token, endsAtMs = 0;
  const freshToken = async () => {
    if (Date.now() > endsAtMs - 30000) {
      const answer = await (await plainFetch(${url})).json();
      token = answer.token;
      endsAtMs = Date.now() + answer.expiresInSeconds * 1000;
    }
    return token;
  };
  window.fetch = async (input, init = {}) => {
    const headers = new Headers(init.headers);
    if (String(input.url ?? input).endsWith('/graphql') && !headers.has('authorization')) {
      headers.set('authorization', 'Bearer ' + (await freshToken()));
    }
    return plainFetch(input, { ...init, headers });
  };
})()`;
}
