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

  interface Client {
    /** The backend, and the key to cancel what it runs; null before there is one. */
    processID: number | null;
    secretKey: number | null;
    /** How TLS begins: after a request of Postgres's own, or at once. */
    sslNegotiation: 'postgres' | 'direct';
  }

  interface Connection {
    /** To a port of a host, or to a socket. */
    connect(port: number | string, host?: string): void;
    requestSsl(): void;
    cancel(processID: number, secretKey: number): void;
  }
}
