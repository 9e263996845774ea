import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { signIn } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Program, startServer } from '../support/program.ts';
import { until } from '../support/until.ts';

/**
 * Kills the API (-9) under a load of mutations, again and again, and compares what it
 * acknowledged, by a file of the driver's own, with the audit trail and the rows.
 */
export type AuditKills = {
  kills: number;
  acknowledged: number;
  /** Requests that got no answer. */
  unanswered: number;
  /** Of them, changes that were committed all the same. */
  committedUnanswered: number;
  /** What should not be, in words; empty when the trail equals the changes. */
  wrong: string[];
};

type Options = {
  database: TestDatabase;
  /** Where the driver writes what was acknowledged. */
  ledgerFile: string;
  kills: number;
  /** How many callers write at once. */
  callers: number;
};

/** What a caller sent, and what became of it. */
type Sent = { requestId: string; action: Action; rowId: string | null; isAcknowledged: boolean };
type Action = 'INSERT' | 'UPDATE' | 'DELETE';

export async function killUnderMutations(options: Options): Promise<AuditKills> {
  const { database, ledgerFile, kills, callers } = options;
  let server = await startReady(database);
  let isOver = false;
  let acknowledged = 0;
  const write = (sent: Sent) => {
    if (sent.isAcknowledged) acknowledged++;
    appendFileSync(ledgerFile, `${JSON.stringify(sent)}\n`);
  };
  const working = Array.from({ length: callers }, (_, n) =>
    callAgainAndAgain(
      n,
      () => server.url,
      () => isOver,
      write,
    ),
  );
  for (let done = 0; done < kills; done++) {
    const before = acknowledged;
    await until('some changes', () => acknowledged > before + callers, 30_000);
    await sleep(Math.random() * 300);
    server.program.kill('SIGKILL');
    await server.program.ended;
    server = await startReady(database);
  }
  await sleep(200);
  isOver = true;
  await Promise.all(working);
  await server.program.close();
  await untilQuiet(database);

  const ledger = readFileSync(ledgerFile, 'utf8')
    .trim()
    .split('\n')
    .map((line): Sent => JSON.parse(line));
  const unanswered = ledger.filter(({ isAcknowledged }) => !isAcknowledged);
  const events = await eventsOf(database);
  const inTrail = new Set(events.map(({ request_id }) => request_id));
  return {
    kills,
    acknowledged: ledger.length - unanswered.length,
    unanswered: unanswered.length,
    committedUnanswered: unanswered.filter(({ requestId }) => inTrail.has(requestId)).length,
    wrong: [...compareWithLedger(ledger, events), ...(await compareWithRows(database, events))],
  };
}

type Server = { program: Program; url: string };

async function startReady(database: TestDatabase): Promise<Server> {
  const program = startServer(database.apiUrl);
  const { url } = await program.line(({ msg }) => msg === 'ready');
  return { program, url: String(url) };
}

async function callAgainAndAgain(
  caller: number,
  urlNow: () => string,
  isOver: () => boolean,
  write: (sent: Sent) => void,
): Promise<void> {
  const token = await signIn({
    user: `user_${caller}`,
    org: `org_${caller % 3}`,
    ttlSeconds: 3_600,
  });
  /** Documents of this caller whose state is certain, by node id. */
  const known: string[] = [];
  for (let n = 0; !isOver(); n++) {
    const requestId = `r.${caller}.${n}`;
    const dice = Math.random();
    const action = dice < 0.5 || known.length === 0 ? 'INSERT' : dice < 0.8 ? 'UPDATE' : 'DELETE';
    const [id] =
      action === 'INSERT' ? [] : known.splice(Math.floor(Math.random() * known.length), 1);
    const answer = await send(urlNow(), token, requestId, action, id);
    const document = answer ?? id ?? null;
    write({
      requestId,
      action,
      rowId: document && rowIdOf(document),
      isAcknowledged: answer !== null,
    });
    if (answer !== null && action !== 'DELETE') known.push(answer);
    // It is down: what follows would only fill the ledger.
    if (answer === null) await sleep(20);
  }
}

const mutations: Record<Action, string> = {
  INSERT:
    'mutation ($title: String!) { r: createDocument(input: { document: { title: $title } }) { document { id } } }',
  UPDATE:
    'mutation ($id: ID!, $title: String!) { r: updateDocument(input: { id: $id, patch: { title: $title } }) { document { id } } }',
  DELETE: 'mutation ($id: ID!) { r: deleteDocument(input: { id: $id }) { document { id } } }',
};

/** The node id of the document it was answered with; null without an answer. */
async function send(
  url: string,
  token: string,
  requestId: string,
  action: Action,
  id: string | undefined,
): Promise<string | null> {
  const variables = { ...(action !== 'DELETE' && { title: requestId }), ...(id && { id }) };
  let body: { data?: { r?: { document: { id: string } } | null }; errors?: unknown };
  try {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${token}`,
        'x-request-id': requestId,
      },
      body: JSON.stringify({ query: mutations[action], variables }),
    });
    body = (await response.json()) as typeof body;
  } catch {
    return null;
  }
  if (!body.data?.r) throw new Error(`${requestId} was refused: ${JSON.stringify(body)}`);
  return body.data.r.document.id;
}

const rowIdOf = (nodeId: string): string =>
  JSON.parse(Buffer.from(nodeId, 'base64').toString('utf8'))[1];

/** A killed process leaves its last statements to Postgres, which may still be at them. */
async function untilQuiet({ superuser }: TestDatabase): Promise<void> {
  for (;;) {
    const { rowCount } = await superuser.query(
      "select from pg_stat_activity where datname = current_database() and application_name = 'rowhouse-api'",
    );
    if (rowCount === 0) return;
    await sleep(20);
  }
}

type Event = { request_id: string; action: Action; row_id: string };

async function eventsOf({ superuser }: TestDatabase): Promise<Event[]> {
  const { rows } = await superuser.query<Event>(
    "select request_id, action, row_id from app_public.audit_events where table_name = 'documents' order by id",
  );
  return rows;
}

/** Each acknowledged change has one event of its own; no event is of something nobody sent. */
function compareWithLedger(ledger: readonly Sent[], events: readonly Event[]): string[] {
  const wrong: string[] = [];
  const byRequest = Map.groupBy(events, ({ request_id }) => request_id);
  for (const { requestId, action, rowId, isAcknowledged } of ledger) {
    const own = byRequest.get(requestId) ?? [];
    byRequest.delete(requestId);
    if (isAcknowledged && own.length !== 1) wrong.push(`${requestId}: ${own.length} events`);
    if (own.length > 1) wrong.push(`${requestId}: more than one event`);
    for (const event of own) {
      if (event.action !== action) wrong.push(`${requestId}: ${event.action}, not ${action}`);
      if (rowId && event.row_id !== rowId) wrong.push(`${requestId}: about another row`);
    }
  }
  return [...wrong, ...[...byRequest.keys()].map((id) => `${id}: sent by nobody`)];
}

/** What the rows say is what the last event about each of them says. */
async function compareWithRows(
  { superuser }: TestDatabase,
  events: readonly Event[],
): Promise<string[]> {
  const wrong: string[] = [];
  const { rows } = await superuser.query<{ id: string; title: string }>(
    'select id, title from app_public.documents',
  );
  const titles = new Map(rows.map(({ id, title }) => [id, title]));
  for (const [rowId, own] of Map.groupBy(events, ({ row_id }) => row_id)) {
    const last = own.at(-1);
    const expected = last?.action === 'DELETE' ? undefined : last?.request_id;
    if (titles.get(rowId) !== expected) wrong.push(`${rowId}: is not as its last event says`);
    if (own[0]?.action !== 'INSERT') wrong.push(`${rowId}: begins with ${own[0]?.action}`);
    titles.delete(rowId);
  }
  return [...wrong, ...[...titles.keys()].map((id) => `${id}: has no event`)];
}
