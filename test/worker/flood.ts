import type { Settings } from '../support/program.ts';
import { until } from '../support/until.ts';
import type { Fleet } from './fleet.ts';

/** The jobs of one organization, and how long each takes. */
export type Flood = { flood: number; floodMs: number; settings?: Settings };

/** Milliseconds that the only job of another organization waits behind a flood, from its commit to its start. */
export async function waitOfNewcomer(
  fleet: Fleet,
  { flood, floodMs, settings }: Flood,
): Promise<number> {
  const began = (orgId: string) => () =>
    fleet.ledger().find((entry) => entry.what === 'began' && entry.orgId === orgId);
  await fleet.add(
    'test__effect',
    Array.from({ length: flood }, () => ({ ms: floodMs })),
  );
  await fleet.start(settings);
  await until('the flood', began('org_acme'));
  await fleet.add('test__effect', [{}], { orgId: 'org_globex' });
  const addedMs = Date.now();
  const { atMs } = await until('the newcomer', began('org_globex'));
  return atMs - addedMs;
}
