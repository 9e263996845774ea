import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openAiFaculties } from '../../dev/ai/openAiFaculties.ts';
import { type LocalAiService, openLocalAiService } from '../../dev/aiService.ts';
import { type AiService, openAiService } from '../../services/ai/openAiService.ts';
import { makeCall } from './ground.ts';

/** A server that speaks OpenAI's API, as far as it is asked to. */
let model: Server;
let asked: { path: string | undefined; key: string | undefined; body: unknown }[];
let status: number;
let local: LocalAiService;
let ai: AiService;

beforeEach(async () => {
  asked = [];
  status = 200;
  model = createServer(async (request, response) => {
    const body = await readJson(request);
    asked.push({ path: request.url, key: request.headers.authorization, body });
    const answer = request.url === '/v1/embeddings' ? vectors : completion;
    response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '30' });
    response.end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(model, 'listening');
  const { port } = model.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/v1/`;
  const names = { model: 'small', embeddingModel: 'nearby', key: 'sesame' };
  local = await openLocalAiService({ faculties: openAiFaculties({ url, ...names }) });
  ai = openAiService({
    url: local.url,
    timeoutMs: 5_000,
    tryTimeoutMs: 5_000,
    maxCalls: 8,
    maxCallsPerOrg: 8,
    maxAnswerBytes: 100_000,
    observe: () => {},
  });
});
afterEach(async () => {
  await ai.close();
  await local.close();
  model.closeAllConnections();
  model.close();
});

const completion = {
  model: 'small:1b',
  choices: [{ index: 0, message: { role: 'assistant', content: 'A row of houses.' } }],
  usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
};
const vectors = {
  model: 'nearby',
  data: [
    { index: 1, embedding: [0, 1] },
    { index: 0, embedding: [1, 0] },
  ],
  usage: { prompt_tokens: 2 },
};

test('text comes from the server that is configured, and says so', async () => {
  expect(await ai.generate({ prompt: 'What is that?', maxTokens: 9 }, makeCall())).toEqual({
    text: 'A row of houses.',
    latencyMs: expect.any(Number),
    provider: 'openai-compatible',
    model: 'small:1b',
    promptTokens: 11,
    completionTokens: 5,
  });
  const messages = [{ role: 'user', content: 'What is that?' }];
  expect(asked).toEqual([
    {
      path: '/v1/chat/completions',
      key: 'Bearer sesame',
      body: { model: 'small', messages, max_tokens: 9 },
    },
  ]);
});

test('vectors come from there too, in the order of the texts', async () => {
  const { embeddings, model } = await ai.embed({ texts: ['a', 'b'] }, makeCall());
  expect({ embeddings, model }).toEqual({
    embeddings: [
      [1, 0],
      [0, 1],
    ],
    model: 'nearby',
  });
  expect(asked[0]?.body).toEqual({ model: 'nearby', input: ['a', 'b'] });
});

test.each([429, 500, 401])('a server that answers %i is told as unavailable', async (answered) => {
  status = answered;
  const failed = ai.generate({ prompt: 'x', maxTokens: 9 }, makeCall({ deadlineMs: 300 }));
  await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
});

async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString());
}
