import { afterEach, expect, test } from '@jest/globals';
import { killApis, killWorkers } from '../generations/storms.ts';
import { type GenerationGround, openGenerationGround } from '../support/generations.ts';

/** Generations under kills, at length. */

const kills = Number(process.env.GENERATION_KILLS ?? 50);
const hour = 3_600_000;

let ground: GenerationGround;
afterEach(() => ground.close());

const say = (text: string) => process.stdout.write(`${text}\n`);

test(
  `${kills} APIs are killed while they generate: each accepted generation ends once`,
  async () => {
    ground = await openGenerationGround({ AI_MONTHLY_BUDGET: '1000' });
    const outcome = await killApis(ground, kills);
    say(outcome);
    expect(outcome).toContain('booked once');
  },
  hour,
);

test(
  `${kills} workers are killed while they generate: each accepted generation ends once`,
  async () => {
    ground = await openGenerationGround({ AI_MONTHLY_BUDGET: '1000' });
    const outcome = await killWorkers(ground, kills);
    say(outcome);
    expect(outcome).toContain('booked once');
  },
  hour,
);
