import { parse } from 'yaml';
import type { Matrix } from './matrix.ts';

/** The matrix with everything added that its faults ask for, each where its fault says. */
export function pasted(matrix: Matrix, faults: readonly string[]): Matrix {
  const whole = structuredClone(matrix);
  for (const fault of faults) {
    const [, where] = /says nothing of (.*?)\. Read what is so/.exec(fault) ?? [];
    if (where === undefined) continue;
    const [first = '', ...path] = where.split(', ');
    let place: object = whole.tables;
    if (first === 'actors') place = whole.actors;
    else if (first === 'objects') place = whole.objects;
    else if (first !== 'tables')
      for (const name of [first, ...path]) place = place[name as keyof typeof place];
    Object.assign(place, parse(fault.slice(fault.indexOf('\n') + 1)));
  }
  return whole;
}
