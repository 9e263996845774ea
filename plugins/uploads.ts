import { RowhouseError } from '../platform/errors/registry.ts';
import type { Observe } from '../platform/observer.ts';
import type { Storage } from '../services/storage/openStorage.ts';
import './context.ts';

/** What the API knows of uploads: the store, and the limits that hold where an organization has none of its own. */
export type Uploads = {
  storage: Pick<Storage, 'sign' | 'startMultipart' | 'abortMultipart'>;
  observe: Observe;
  limits: UploadLimits;
  /** How long a URL for uploading is valid. */
  urlTtlSeconds: number;
  /** Media types that a browser may show. */
  inlineTypes: readonly string[];
  maxDownloadTtlSeconds: number;
};

/** As `app_hidden.create_file` reads them. */
export type UploadLimits = {
  allowedTypes: readonly string[];
  maxBytes: number;
  /** A larger file comes in parts. */
  singleMaxBytes: number;
  partBytes: number;
  /** When an upload in one piece has to have begun. What it may take comes on top. */
  ttlSeconds: number;
  multipartTtlSeconds: number;
  quotaBytes: number;
  quotaFiles: number;
};

/** @throws RowhouseError `UNAVAILABLE` where no bucket is configured. */
export function required(uploads: Uploads | undefined): Uploads {
  if (!uploads) throw new RowhouseError('UNAVAILABLE');
  return uploads;
}

/** The key of a row in its node id, or null for an id of anything else. */
export type ReadNodeId = (id: unknown) => string | null;

/** Makes the reader of node ids of a type whose key is a uuid. */
export function makeReadNodeId(build: GraphileBuild.Build, typeName: string): ReadNodeId {
  return (id) => {
    const handler = build.getNodeIdHandler?.(typeName);
    if (!handler || typeof id !== 'string') return null;
    try {
      const specifier: unknown = handler.codec.decode(id);
      return handler.match(specifier) ? String((specifier as unknown[])[1]) : null;
    } catch {
      return null;
    }
  };
}
