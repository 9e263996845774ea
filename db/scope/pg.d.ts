// What a query object uses of node-postgres and its types do not show.
import 'pg';

declare module 'pg' {
  /** The fields of a row as they came. */
  type WireRow = readonly (string | null)[];

  interface Result {
    addFields(fields: FieldDef[]): void;
    parseRow(fields: WireRow): never;
    addRow(row: unknown): void;
    addCommandComplete(message: { text: string }): void;
  }

  interface ClientBase {
    /** As of the last ReadyForQuery: idle, in a transaction, in a failed one. */
    getTransactionStatus(): 'I' | 'T' | 'E' | null;
  }
}
