import { openAiService } from '../../services/ai/openAiService.ts';

/**
 * A process that calls the AI service at TEST_AI_URL so often, one call after the other, with the
 * usual limits, and then writes what came of it: a line of JSON.
 */

const ai = openAiService({
  url: String(process.env.TEST_AI_URL),
  timeoutMs: 6_000,
  tryTimeoutMs: 4_000,
  maxCalls: 64,
  maxCallsPerOrg: 8,
  maxAnswerBytes: 4_194_304,
  observe: () => {},
});
const before = process.memoryUsage.rss();
let peak = before;
setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss());
}, 5).unref();

const calls: { code: string; tookMs: number }[] = [];
for (let i = 0; i < Number(process.env.TEST_CALLS); i += 1) {
  const beganMs = performance.now();
  const call = { orgId: 'org_a', userId: 'u', idempotencyKey: `key-${i}` };
  const code = await ai.generate({ prompt: 'x', maxTokens: 10 }, call).then(
    () => 'none',
    (error: { code: string }) => error.code,
  );
  calls.push({ code, tookMs: performance.now() - beganMs });
}
await ai.close();
process.stdout.write(`${JSON.stringify({ calls, grewBytes: peak - before })}\n`);
