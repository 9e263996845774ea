import { expect, test } from '@jest/globals';
import { makeObserver, type Observation } from './observer.ts';

const observation: Observation = { type: 'processDraining', reason: 'SIGTERM' };

test('passes each observation to every sink, in order', () => {
  const seen: string[] = [];
  const observe = makeObserver([
    ({ type }) => seen.push(`first ${type}`),
    ({ type }) => seen.push(`second ${type}`),
  ]);
  observe(observation);
  expect(seen).toEqual(['first processDraining', 'second processDraining']);
});

test('a sink that throws harms neither the other sinks nor the caller', () => {
  const seen: Observation[] = [];
  const errors: unknown[] = [];
  const broken = () => {
    throw new Error('broken sink');
  };
  const sinks = [broken, (given: Observation) => seen.push(given)];
  makeObserver(sinks, (error) => errors.push(error))(observation);
  makeObserver(sinks, broken)(observation);
  makeObserver(sinks)(observation);
  expect(seen).toEqual([observation, observation, observation]);
  expect(errors).toEqual([new Error('broken sink')]);
});
