import { type ErrorDefinition, errorCodes, sqlStates } from './registry.ts';

/** The text of docs/errors.md, from the registry. */
export function renderErrorsPage(): string {
  return [
    '# Errors',
    '',
    '<!-- Written by `npm run docs` from platform/errors/registry.ts. Do not edit. -->',
    '',
    'An error of the GraphQL API has a code in `extensions.code` and the id of its request in',
    '`extensions.requestId`. Decide by the code; the message is for people and may change. A code',
    'that is retired is never used again.',
    '',
    'The status holds where the request fails as a whole; so it does where every field of an',
    'operation fails with `UNAVAILABLE`. Where one field fails, the answer is `200` with the',
    'error in `errors` and `null` at its path. A `503` comes with `Retry-After`, but where a mutation',
    'may have been done: then `extensions.mayBeDone` is `true`, and asking again might do it twice.',
    '',
    '| code | status | means | what to do | again, unchanged? |',
    '|---|---|---|---|---|',
    ...Object.entries<ErrorDefinition>(errorCodes).map(
      ([code, { status, meaning, remedy, isRetryable }]) =>
        `| \`${code}\` | ${status} | ${meaning} | ${remedy} | ${isRetryable ? 'yes' : 'no'} |`,
    ),
    '',
    '## From Postgres',
    '',
    'What the database refuses becomes one of these codes. `22…` stands for a whole class; a full',
    'SQLSTATE goes before its class. What is not listed is unexpected: the client gets `INTERNAL`, the',
    'log gets the error.',
    '',
    '| SQLSTATE | code | means |',
    '|---|---|---|',
    ...sqlStates.map(({ sqlState, code, meaning, isRetryable }) => {
      const retry = isRetryable ? ' Run again by the API where that is safe.' : '';
      return `| \`${sqlState.length < 5 ? `${sqlState}…` : sqlState}\` | \`${code}\` | ${meaning}${retry} |`;
    }),
    '',
    'SQL of the project refuses with the class `RW` and an HTTP status. The message is written for',
    'the client, the hint names the input field:',
    '',
    '```sql',
    "raise exception 'The title is too long.' using errcode = 'RW400', hint = 'title';",
    '```',
    '',
    'A bare `raise exception` has no such code: it is taken for a bug, and masked.',
    '',
  ].join('\n');
}
