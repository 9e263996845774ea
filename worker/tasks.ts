/** Every task, under the name jobs call it by. */
export { documents__index } from './tasks/documents__index.ts';
