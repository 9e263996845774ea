import { afterEach, expect, test } from '@jest/globals';
import {
  type Difference,
  type Foreigner,
  meetForeigner,
  timeBoth,
} from '../isolation/foreigner.ts';
import { fewCallers, openWorld, silenceGrafast, type World } from '../isolation/world.ts';

/** How long an id of another organization takes to be answered, beside one that never was; at length. */

let world: World;
afterEach(() => world?.close());

/** By so much the answers to ids of another organization may be slower or faster; a little each time shows as well. */
const bound = { chance: 0.12, microseconds: 150, chanceOfLittle: 0.3 };
const isAlike = ({ chance, microseconds }: Difference) => {
  const by = Math.abs(chance - 0.5);
  const isLittle = Math.abs(microseconds) < bound.microseconds;
  return by < bound.chance || (isLittle && by < bound.chanceOfLittle);
};

async function open(migration?: string): Promise<Foreigner> {
  silenceGrafast();
  world = await openWorld({ others: 2, names: fewCallers, ...(migration && { migration }) });
  return meetForeigner(world);
}

test('by no field that takes an id can it be told whether the row is there', async () => {
  const carol = await open();
  const found: Difference[] = [];
  for (const type of carol.types) {
    for (const query of carol.fieldsOf(type)) {
      found.push(await timeBoth(world, carol, query, carol.idsOf(type), 400));
    }
  }
  const worst = found.toSorted((a, b) => Math.abs(b.chance - 0.5) - Math.abs(a.chance - 0.5));
  for (const { chance, microseconds, query } of worst) {
    process.stdout.write(`${chance.toFixed(3)} ${String(microseconds).padStart(5)} µs  ${query}\n`);
  }
  expect(found.length).toBeGreaterThan(carol.types.length * 2);
  expect(found.filter((one) => !isAlike(one))).toEqual([]);
}, 600_000);

/** Its key is the id alone, so a row of another organization is found before its policy hides it, slowly. */
const slow = `
  create table app_public.slow_notes (
    org_id text not null default app_hidden.current_org_id(), id uuid not null default uuidv7(),
    constraint slow_notes_pkey primary key (id),
    constraint slow_notes_org_id_fkey foreign key (org_id) references app_public.organizations (id)
  );
  alter table app_public.slow_notes enable row level security, force row level security;
  create function app_hidden.slowly(org_id text) returns boolean language plpgsql stable set search_path = '' as $$
  begin
    if slowly.org_id <> app_hidden.current_org_id() then perform pg_catalog.pg_sleep(0.0005); end if;
    return slowly.org_id = app_hidden.current_org_id();
  end $$;
  grant execute on function app_hidden.slowly(text) to app_user;
  create policy select_slowly on app_public.slow_notes for select to app_user using (app_hidden.slowly(org_id));
  grant select on app_public.slow_notes to app_user;`;

test('half a millisecond more is noticed', async () => {
  const carol = await open(slow);
  const [query = ''] = carol.fieldsOf('SlowNote');
  const difference = await timeBoth(world, carol, query, carol.idsOf('SlowNote'), 200);
  process.stdout.write(`${JSON.stringify(difference)}\n`);
  expect(isAlike(difference)).toBe(false);
}, 120_000);
