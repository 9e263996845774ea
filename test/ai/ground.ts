import type { AiFault } from '../../dev/ai/faults.ts';
import { type LocalAiService, openLocalAiService } from '../../dev/aiService.ts';
import type { Observation } from '../../platform/observer.ts';
import {
  type AiCall,
  type AiService,
  type AiServiceOptions,
  openAiService,
} from '../../services/ai/openAiService.ts';

/** A client, and the service it calls. */
export type AiGround = {
  local: LocalAiService;
  ai: AiService;
  /** What the client reported. */
  seen: Observation[];
  /** Of one type, in their order. */
  of<Type extends Observation['type']>(type: Type): Extract<Observation, { type: Type }>[];
  close(): Promise<void>;
};

/** Opens a local AI service, and a client of it with short limits. */
export async function openAiGround(
  options: Partial<AiServiceOptions> & { fault?: AiFault } = {},
): Promise<AiGround> {
  const local = await openLocalAiService();
  local.setFault(options.fault);
  const seen: Observation[] = [];
  const ai = openAiService({
    url: local.url,
    timeoutMs: 1_000,
    tryTimeoutMs: 400,
    maxCalls: 64,
    maxCallsPerOrg: 8,
    maxAnswerBytes: 1_000_000,
    asksAgainMs: 300,
    observe: (observation) => seen.push(observation),
    ...options,
  });
  return {
    local,
    ai,
    seen,
    of: (type) => seen.filter((each): each is never => each.type === type),
    async close() {
      await ai.close();
      await local.close();
    },
  };
}

let calls = 0;

/** A call of its own, but for what is given. */
export function makeCall(more: Partial<AiCall> = {}): AiCall {
  calls += 1;
  return { orgId: 'org_a', userId: 'pseudonym', idempotencyKey: `key-${calls}`, ...more };
}
