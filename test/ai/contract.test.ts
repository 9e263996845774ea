import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import { testWords } from '../../dev/ai/localFaculties.ts';
import { aiRequestSchemas, type LocalAiService, openLocalAiService } from '../../dev/aiService.ts';
import { projectRoot } from '../../platform/config/settings.ts';
import {
  embeddingsAnswer,
  errorAnswer,
  filtersAnswer,
  generateAnswer,
  paths,
} from '../../services/ai/contract.ts';

type Document = {
  paths: Record<string, { post?: { operationId: string; responses: object } }>;
  components: { schemas: Record<string, object> };
};
let document: Document;
let service: LocalAiService | undefined;
beforeAll(async () => {
  const text = await readFile(join(projectRoot, 'docs/ai-service.openapi.yaml'), 'utf8');
  document = parse(text);
});
afterEach(async () => {
  await service?.close();
  service = undefined;
});

/** What a schema says of an answer; fields that are not in it are let through, and not read. */
function written(schema: z.ZodType): object {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input' });
  return json;
}

describe('the contract of the AI service', () => {
  test.each([
    ['GenerateAnswer', generateAnswer],
    ['EmbeddingsAnswer', embeddingsAnswer],
    ['FiltersAnswer', filtersAnswer],
    ['Error', errorAnswer],
    ['GenerateRequest', aiRequestSchemas.generate],
    ['EmbeddingsRequest', aiRequestSchemas.embed],
    ['FiltersRequest', aiRequestSchemas.filter],
  ])('says of %s what the code checks', (name, schema) => {
    expect(document.components.schemas[name]).toEqual(written(schema));
  });

  test('has the paths that the client calls', () => {
    const written = Object.entries(document.paths).flatMap(([path, { post }]) =>
      post ? [[post.operationId, path]] : [],
    );
    expect(Object.fromEntries(written)).toEqual(paths);
  });
});

describe('the local AI service', () => {
  const names = { 'x-org-id': 'org_a', 'x-user-id': 'u', 'idempotency-key': 'k' };
  const post = async (path: string, body: object, headers: Record<string, string> = names) => {
    service ??= await openLocalAiService();
    const response = await fetch(`${service.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return {
      status: response.status,
      body: (await response.json()) as ReturnType<typeof JSON.parse>,
    };
  };
  const generate = { prompt: 'Rows of houses', maxTokens: 20 };

  test.each([
    [paths.generate, generate, generateAnswer],
    [paths.embed, { texts: ['a', ''] }, embeddingsAnswer],
    [paths.filter, { text: 'a', kind: 'result' }, filtersAnswer],
  ])('answers %s as the contract says', async (path, body, schema) => {
    const answer = await post(path, body);
    expect(answer.status).toBe(200);
    expect(schema.parse(answer.body)).toEqual(answer.body);
  });

  test.each<[string, object, Record<string, string>, number]>([
    ['without an organization', generate, { ...names, 'x-org-id': '' }, 400],
    ['without a key', generate, { 'x-org-id': 'a', 'x-user-id': 'b' }, 400],
    ['without a prompt', { maxTokens: 1 }, names, 400],
    ['with more than the contract has', { ...generate, temperature: 1 }, names, 400],
    ['of a prompt it refuses', { ...generate, prompt: testWords.refused }, names, 422],
  ])('refuses a call %s', async (_, body, headers, status) => {
    const answer = await post(paths.generate, body, headers);
    expect(answer.status).toBe(status);
    expect(errorAnswer.parse(answer.body)).toEqual(answer.body);
  });

  test('gives the same text for the same prompt, within its tokens', async () => {
    const first = await post(paths.generate, generate);
    const second = await post(paths.generate, generate, { ...names, 'idempotency-key': 'other' });
    expect(second.body.text).toBe(first.body.text);
    expect(first.body.completionTokens).toBeLessThanOrEqual(generate.maxTokens);
    expect(first.body.provider).toBe('local');
  });

  test('does the work of a key once, also for calls at the same time', async () => {
    service = await openLocalAiService();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(paths.generate, generate)),
    );
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(service.calls.filter((call) => call.isEffective)).toHaveLength(1);
  });

  test('refuses a key that was used for something else, and knows keys by organization', async () => {
    await post(paths.generate, generate);
    const other = { ...generate, prompt: 'Something else' };
    expect(await post(paths.generate, other)).toMatchObject({
      status: 409,
      body: { error: { code: 'IDEMPOTENCY_CONFLICT' } },
    });
    expect((await post(paths.generate, other, { ...names, 'x-org-id': 'org_b' })).status).toBe(200);
  });

  test('takes faults and shows calls over HTTP', async () => {
    service = await openLocalAiService();
    const { url } = service;
    const fault = JSON.stringify({ kind: 'status', status: 503, times: 1 });
    expect((await fetch(`${url}/dev/fault`, { method: 'PUT', body: fault })).status).toBe(204);
    const bad = await fetch(`${url}${paths.generate}`, { method: 'POST', body: '{}' });
    expect(bad.status).toBe(503);
    const calls = (await (await fetch(`${url}/dev/calls`)).json()) as object[];
    expect(calls).toMatchObject([{ operation: 'generate', isEffective: false }]);
    const unknown = await fetch(`${url}/dev/fault`, { method: 'PUT', body: '{"kind":"no"}' });
    expect(unknown.status).toBe(400);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
