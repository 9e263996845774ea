/** Every task, under the name jobs call it by. */

export { audit_events__partition } from './tasks/audit_events__partition.ts';
export { clerk_events__apply } from './tasks/clerk_events__apply.ts';
export { clerk_events__purge } from './tasks/clerk_events__purge.ts';
export { documents__index } from './tasks/documents__index.ts';
export { queue__purge } from './tasks/queue__purge.ts';
export { users__erase } from './tasks/users__erase.ts';
