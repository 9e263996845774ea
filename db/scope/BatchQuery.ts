import { type FieldDef, Result, type WireRow } from 'pg';
import { prepareValue } from 'pg/lib/utils.js';

/** One statement of a batch. */
export type Statement = {
  text: string;
  values?: readonly unknown[];
  /** Prepared once per connection under this name; without one it is parsed each time. */
  name?: string | undefined;
};

/** What a batch came to: the result of its last statement. */
export type BatchResult = { rows: unknown[]; rowCount: number | null; command: string };

/** The part of node-postgres's connection that a query object speaks to. */
export type Connection = {
  parsedStatements: Record<string, string | undefined>;
  stream: { cork(): void; uncork(): void };
  parse(query: { name: string; text: string }): void;
  bind(config: { statement: string; values: readonly unknown[] }): void;
  describe(message: { type: 'P'; name: '' }): void;
  execute(config: object): void;
  close(message: { type: 'S'; name: string }): void;
  sync(): void;
  sendCopyFail(reason: string): void;
};

/** What is written before the batch: names of prepared statements to forget. */
export type BatchOptions = { arrayMode?: boolean | undefined; forget?: readonly string[] };

/**
 * Statements that travel together: parse, bind and execute of each, and a single
 * Sync. One network round trip, and outside an explicit transaction one implicit
 * transaction: settings that the first statements make local to it hold for the
 * last, and end with it, whether it succeeds or fails.
 *
 * A query object for node-postgres's `client.query`, which calls `submit` and then
 * the handlers, in the order of the server's messages. node-postgres reads `name`
 * and `text` to remember what is parsed; they follow the statement under way.
 */
export class BatchQuery {
  /** Fulfilled when the server is ready for the next query; rejected with the first error. */
  readonly result: Promise<BatchResult>;
  /** Set by node-postgres where a query timeout is configured. */
  callback: unknown;
  readonly statements: readonly Required<Statement>[];
  #options: BatchOptions;
  #at = 0;
  #rows: Result;
  #settle: PromiseWithResolvers<BatchResult>;

  constructor(statements: readonly Statement[], options: BatchOptions = {}) {
    this.#options = options;
    // A value that cannot be written throws here, before anything is sent.
    this.statements = statements.map(({ text, values = [], name = '' }) => ({
      text,
      name,
      values: values.map((value) => prepareValue(value)),
    }));
    this.#rows = new Result(options.arrayMode ? 'array' : '', undefined as never);
    this.#settle = Promise.withResolvers();
    this.result = this.#settle.promise;
  }

  get name(): string {
    return this.statements[this.#at]?.name ?? '';
  }

  get text(): string {
    return this.statements[this.#at]?.text ?? '';
  }

  submit(connection: Connection): null {
    connection.stream.cork();
    try {
      for (const name of this.#options.forget ?? []) {
        connection.close({ type: 'S', name });
        delete connection.parsedStatements[name];
      }
      this.statements.forEach(({ name, text, values }, i) => {
        if (!name || connection.parsedStatements[name] === undefined) {
          connection.parse({ name, text });
        }
        connection.bind({ statement: name, values });
        // Nobody reads the rows of the others.
        if (i === this.statements.length - 1) connection.describe({ type: 'P', name: '' });
        connection.execute({});
      });
      connection.sync();
    } finally {
      connection.stream.uncork();
    }
    return null;
  }

  handleRowDescription(message: { fields: FieldDef[] }): void {
    this.#rows.addFields(message.fields);
  }

  handleDataRow(message: { fields: WireRow }): void {
    if (!this.#isLast) return;
    try {
      this.#rows.addRow(this.#rows.parseRow(message.fields));
    } catch (error) {
      // A type's parser failed. Thrown here, it would end the process.
      this.#settle.reject(error);
    }
  }

  handleCommandComplete(message: { text: string }): void {
    if (this.#isLast) this.#rows.addCommandComplete(message);
    else this.#at += 1;
  }

  handleEmptyQuery(): void {}

  handleError(error: Error): void {
    this.#settle.reject(error);
  }

  handleReadyForQuery(): void {
    const { rows, rowCount, command } = this.#rows;
    this.#settle.resolve({ rows, rowCount, command });
  }

  handleCopyInResponse(connection: Connection): void {
    connection.sendCopyFail('COPY is not available here');
  }

  handleCopyData(): void {}

  get #isLast(): boolean {
    return this.#at === this.statements.length - 1;
  }
}
