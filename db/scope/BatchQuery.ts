import { type ClientBase, DatabaseError, type FieldDef, Result, type WireRow } from 'pg';
import { prepareValue } from 'pg/lib/utils.js';
import { RowhouseError } from '../../platform/errors/registry.ts';

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
  once(event: 'readyForQuery' | 'end', listener: () => void): void;
  off(event: 'readyForQuery' | 'end', listener: () => void): void;
};

/** How the rows of the last statement are read. */
export type BatchOptions = {
  arrayMode?: boolean | undefined;
  /** Knows how a type's text is read; the connection's own way. */
  types?: Pick<ClientBase, 'getTypeParser'>;
};

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
  /** Settled when the server is ready for the next query, or the connection is lost. */
  readonly result: Promise<BatchResult>;
  readonly statements: readonly Required<Statement>[];
  /** Prepared statements to forget before the batch. */
  forget: readonly string[] = [];
  /** Whether the server never said that it is ready again: nobody knows what it did. */
  isLost = false;
  #at = 0;
  #isComplete = false;
  #isSettled = false;
  #failure: { error: unknown } | undefined;
  #rows: Result;
  #settle: PromiseWithResolvers<BatchResult>;

  /** @throws where a value cannot be written, before anything is sent. */
  constructor(statements: readonly Statement[], { arrayMode, types }: BatchOptions = {}) {
    this.statements = statements.map(({ text, values = [], name = '' }) => ({
      text,
      name,
      values: values.map((value) => prepareValue(value)),
    }));
    this.#rows = new Result(arrayMode ? 'array' : '', types as never);
    this.#settle = Promise.withResolvers();
    this.result = this.#settle.promise;
  }

  get name(): string {
    return this.statements[this.#at]?.name ?? '';
  }

  get text(): string {
    return this.statements[this.#at]?.text ?? '';
  }

  /**
   * With a query timeout, node-postgres puts a function of its own before this one:
   * calling it stops the clock, and when that runs out it calls this with an error.
   */
  callback: (timeout?: Error) => void = (timeout) => {
    if (timeout) this.#lose(new RowhouseError('TIMEOUT', { cause: timeout }));
  };

  submit(connection: Connection): null {
    connection.stream.cork();
    try {
      for (const name of this.forget) {
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
    if (!this.#isLast || this.#failure) return;
    try {
      this.#rows.addRow(this.#rows.parseRow(message.fields));
    } catch (error) {
      // A type's parser failed. Thrown here, it would end the connection.
      this.#failure = { error };
    }
  }

  handleCommandComplete(message: { text: string }): void {
    if (this.#isLast) this.#rows.addCommandComplete(message);
    this.#next();
  }

  handleEmptyQuery(): void {
    this.#next();
  }

  handleError(error: Error, connection: Connection): void {
    // What is no error of the server's is one of the connection, or of its protocol.
    if (!(error instanceof DatabaseError && error.code)) {
      this.#lose(error);
      return;
    }
    // After an error that ends only the statement the server is soon ready again; after others it hangs up.
    const onReady = () => {
      connection.off('end', onEnd);
      this.#fail(error);
    };
    const onEnd = () => {
      connection.off('readyForQuery', onReady);
      this.#lose(error);
    };
    connection.once('readyForQuery', onReady);
    connection.once('end', onEnd);
  }

  handleReadyForQuery(): void {
    if (!this.#isComplete) {
      // Ready before the last statement was done: this is no answer to what was sent.
      this.#lose(new Error('The server lost step.'));
    } else if (this.#failure) {
      this.#fail(this.#failure.error);
    } else {
      const { rows, rowCount, command } = this.#rows;
      this.#settle.resolve({ rows, rowCount, command });
      this.#stopTheClock();
    }
  }

  handleCopyInResponse(connection: Connection): void {
    connection.sendCopyFail('COPY is not available here');
    // The server has thrown away the Sync of the batch with what it took for data.
    connection.sync();
  }

  handleCopyData(): void {}

  get #isLast(): boolean {
    return this.#at === this.statements.length - 1;
  }

  #next(): void {
    if (this.#isLast) this.#isComplete = true;
    else this.#at += 1;
  }

  #lose(error: unknown): void {
    if (!this.#isSettled) this.isLost = true;
    this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#settle.reject(error);
    this.#stopTheClock();
  }

  #stopTheClock(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.callback();
  }
}
