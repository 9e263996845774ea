/** Every task, under the name jobs call it by. */
export { documents__index } from './tasks/documents__index.ts';
export { queue__purge } from './tasks/queue__purge.ts';
