import type { PgClientResult } from 'postgraphile/@dataplan/pg';

/** What the server remarks beside a result, as PostGraphile knows it. */
export type PgNotice = NonNullable<PgClientResult<unknown>['notices']>[number];

/** Makes a notice as PostGraphile has it of one as node-postgres has it, where everything is text. */
export function noticeOf(notice: object): PgNotice {
  const { length: _, name: __, position, internalPosition, line, ...texts } = notice as Fields;
  return {
    ...texts,
    severity: (texts.severity ?? 'NOTICE') as PgNotice['severity'],
    message: texts.message ?? '',
    ...numbers({ position, internalPosition, line }),
  };
}

type Fields = Record<string, string | undefined>;

function numbers(texts: Fields): Record<string, number | undefined> {
  const entries = Object.entries(texts).map(([key, text]) => [key, text && Number(text)]);
  return Object.fromEntries(entries);
}
