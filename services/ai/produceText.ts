import type { ModelPrice } from '../../platform/config/kinds.ts';
import { RowhouseError } from '../../platform/errors/registry.ts';
import type { AiCall, AiService, Generated } from './openAiService.ts';

/** What a generation asks of the service. */
export type Work = {
  id: string;
  prompt: string;
  /** What of a document goes along; null for none. */
  documentText: string | null;
  maxTokens: number;
};

/** How a generation ended, as `app_private.end_generation` reads it. */
export type Outcome = {
  status: 'SUCCEEDED' | 'FAILED';
  text?: string;
  errorCode?: 'AI_REJECTED';
  /** What the service took for it; absent where it answered no text. */
  used?: Omit<Generated, 'text'> & { costMicros: number };
};

/** What the service took for a text. */
export type Used = NonNullable<Outcome['used']>;

/** It has not ended: why, and what was spent all the same. */
export type Unfinished = { status: 'UNFINISHED'; error: unknown; used?: Used };

/** For whom, and until when. */
export type ProduceCall = Omit<AiCall, 'idempotencyKey' | 'deadlineMs'> & { deadlineMs: number };

/**
 * Does the work of one generation: shows the prompt to the filter, has the text generated,
 * shows that to the filter, and says how it ended and what it cost. The id of the generation
 * is the key of each call, whoever makes it, so that the service does nothing twice. Never
 * rejects: mostly it is unfinished for a RowhouseError, `AI_TIMEOUT` or `AI_UNAVAILABLE`.
 */
export type ProduceText = (work: Work, call: ProduceCall) => Promise<Outcome | Unfinished>;

/** What it is done with. */
export type ProduceOptions = {
  ai: Pick<AiService, 'generate' | 'filter'>;
  hasFilters: boolean;
  prices: readonly ModelPrice[];
};

/** Makes what does the work of generations. */
export function makeProduceText({ ai, hasFilters, prices }: ProduceOptions): ProduceText {
  return async (work, { deadlineMs, ...rest }) => {
    const endsAtMs = performance.now() + deadlineMs;
    /** The same call for each part of the work, within the time that is left. */
    const callFor = (idempotencyKey: string): AiCall => {
      const leftMs = Math.floor(endsAtMs - performance.now());
      if (leftMs <= 0) throw new RowhouseError('AI_TIMEOUT');
      return { ...rest, idempotencyKey, deadlineMs: leftMs };
    };
    const isAllowed = async (text: string, kind: 'prompt' | 'result') => {
      if (!hasFilters || text === '') return true;
      const filtered = await ai.filter({ text, kind }, callFor(`${work.id}-${kind}`));
      return filtered.isAllowed;
    };

    const prompt = promptOf(work);
    let used: Used | undefined;
    try {
      if (!(await isAllowed(prompt, 'prompt'))) return rejected(used);
      const input = { prompt, maxTokens: work.maxTokens };
      const { text, ...answer } = await ai.generate(input, callFor(work.id));
      used = { ...answer, costMicros: costMicros(prices, answer) };
      // Half a character is no text to Postgres.
      const whole = text.toWellFormed();
      if (!(await isAllowed(whole, 'result'))) return rejected(used);
      return { status: 'SUCCEEDED', text: whole, used };
    } catch (error) {
      if (error instanceof RowhouseError && error.code === 'AI_REJECTED') return rejected(used);
      return { status: 'UNFINISHED', error, ...(used && { used }) };
    }
  };
}

function rejected(used: Used | undefined): Outcome {
  return { status: 'FAILED', errorCode: 'AI_REJECTED', ...(used && { used }) };
}

/** Between a prompt and the text of a document. */
const divider = '\n\n---\n\n';

/** What is sent: the prompt, and under it the text of the document. */
export function promptOf({ prompt, documentText }: Pick<Work, 'prompt' | 'documentText'>): string {
  return documentText ? `${prompt}${divider}${documentText}` : prompt;
}

/** How many bytes of a document's text may go along with a prompt; below 0 where the prompt is too long by itself. */
export function roomBeside(prompt: string, maxBytes: number, hasDocument: boolean): number {
  const room = maxBytes - Buffer.byteLength(prompt);
  return hasDocument && room >= 0 ? Math.max(0, room - divider.length) : room;
}

/** What an answer costs, in millionths, by the first price that fits; never less than it is. */
export function costMicros(
  prices: readonly ModelPrice[],
  answer: Pick<Generated, 'provider' | 'model' | 'promptTokens' | 'completionTokens'>,
): number {
  const name = `${answer.provider}/${answer.model}`;
  const price = prices.find(({ model }) =>
    model.endsWith('*') ? name.startsWith(model.slice(0, -1)) : name === model,
  );
  if (!price) return 0;
  const { promptTokens, completionTokens } = answer;
  return Math.ceil(promptTokens * price.promptMicros + completionTokens * price.completionMicros);
}

/** The dearest price of a token of each kind, in millionths: what a call is reserved at. */
export function dearestPrices(prices: readonly ModelPrice[]): Omit<ModelPrice, 'model'> {
  return {
    promptMicros: Math.max(0, ...prices.map(({ promptMicros }) => promptMicros)),
    completionMicros: Math.max(0, ...prices.map(({ completionMicros }) => completionMicros)),
  };
}
