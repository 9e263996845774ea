import type { Scanner } from '../../services/scanner/makeScanner.ts';
import type { Storage } from '../../services/storage/openStorage.ts';

/** What tasks about files need of the outside world. */
export type FileServices = {
  storage: Storage;
  /** Absent where no virus scanner is configured. */
  scanner?: Scanner | undefined;
};
