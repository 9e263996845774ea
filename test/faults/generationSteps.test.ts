import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { apiSteps, killApisAt, killWorkersAt, workerSteps } from '../generations/steps.ts';
import { type GenerationGround, openGenerationGround } from '../support/generations.ts';

/** Processes are killed at each named step of a generation. */

const times = Number(process.env.GENERATION_STEP_KILLS ?? 50);
const hour = 3_600_000;

let ground: GenerationGround;
beforeEach(async () => {
  ground = await openGenerationGround({ AI_MONTHLY_BUDGET: '1000' });
});
afterEach(() => ground.close());

const say = (text: string) => process.stdout.write(`${text}\n`);

test(
  `workers are killed at each of ${workerSteps.length} steps, ${times} times`,
  async () => {
    const outcome = await killWorkersAt(ground, workerSteps, times);
    say(outcome);
    expect(outcome).toContain(`${workerSteps.length * times} acknowledged`);
  },
  hour,
);

test(
  `APIs are killed at each of ${apiSteps.length} steps, ${times} times`,
  async () => {
    const outcome = await killApisAt(ground, apiSteps, times);
    say(outcome);
    expect(outcome).toContain(`${apiSteps.length * times} acknowledged`);
  },
  hour,
);
