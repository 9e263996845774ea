import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../platform/config/settings.ts';

const page = readFileSync(join(projectRoot, 'docs/schema-guide.md'), 'utf8');

/** The SQL of the table that the schema guide shows, `notes`, word for word. */
export const guideTable = page.match(/```sql\n(-- Notes:.*?)```/s)?.[1] ?? '';
