import { createHash } from 'node:crypto';
import { type Faculties, ModelError } from './faculties.ts';

/** Words that the local service takes for something bad, so that refusals can be tried. */
export const testWords = {
  /** `POST /v1/generate` refuses prompts with it. */
  refused: 'xyzzy-refuse',
  /** `POST /v1/filters` refuses texts with one of these, by category. */
  filtered: { 'xyzzy-hate': 'hate', 'xyzzy-violence': 'violence' },
  /** `POST /v1/filters` refuses results with it, and lets prompts pass. */
  filteredResult: 'xyzzy-result',
} as const;

const dimensions = 256;

/**
 * A stand-in for a model, which understands nothing of what it reads. The same prompt gives the
 * same text, made of words of the prompt, and begins with its first ones. Texts that have words in
 * common have vectors that are near to each other.
 */
export const localFaculties: Faculties = {
  async generate(prompt, maxTokens) {
    const words = wordsOf(prompt);
    if (words.includes(testWords.refused)) throw new ModelError(422);
    const text = clip(composed(prompt, words), maxTokens);
    return {
      text,
      provider: 'local',
      model: 'echo-1',
      promptTokens: countTokens(prompt),
      completionTokens: countTokens(text),
    };
  },
  async embed(texts) {
    const promptTokens = texts.reduce((sum, text) => sum + countTokens(text), 0);
    return { embeddings: texts.map(embedded), model: `bag-of-words-${dimensions}`, promptTokens };
  },
};

/** What the filter says of a text. */
export function filtered(text: string, kind: 'prompt' | 'result') {
  const words = new Set(wordsOf(text));
  const categories: string[] = Object.entries(testWords.filtered)
    .filter(([word]) => words.has(word))
    .map(([, category]) => category);
  if (kind === 'result' && words.has(testWords.filteredResult)) categories.push('result');
  return { isAllowed: categories.length === 0, categories };
}

/** About as many as models count in English: four characters each. */
function countTokens(text: string): number {
  return Math.ceil(text.length / 4);
}

function clip(text: string, maxTokens: number): string {
  return text.slice(0, maxTokens * 4).toWellFormed();
}

function composed(prompt: string, words: readonly string[]): string {
  const beginning = prompt.trim().split(/\s+/).slice(0, 8).join(' ').slice(0, 200);
  const picked = Array.from({ length: Math.min(40, words.length) }, (_, i) => {
    return words[hash(`${i} ${prompt}`) % words.length];
  });
  return `“${beginning}” – the local stand-in for a model has read ${words.length} words, such as: ${picked.join(' ')}.`;
}

/** A hashed bag of words: each adds to one place of the vector, more the oftener, up or down. */
function embedded(text: string): number[] {
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const vector = new Array<number>(dimensions).fill(0);
  for (const [word, count] of counts) {
    const place = hash(word);
    const sign = place & 0x100 ? 1 : -1;
    vector[place % dimensions] = (vector[place % dimensions] ?? 0) + sign * (1 + Math.log(count));
  }
  const length = Math.hypot(...vector);
  // Nothing to read points somewhere too.
  if (length === 0) return vector.fill(0).fill(1, 0, 1);
  return vector.map((each) => each / length);
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:[-'’][\p{L}\p{N}]+)*/gu) ?? [];
}

function hash(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0);
}
