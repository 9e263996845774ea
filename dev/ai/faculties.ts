/** What a model can do. The server around it speaks the contract. */
export type Faculties = {
  /** At most `maxTokens` of text. */
  generate(prompt: string, maxTokens: number): Promise<Completion>;
  /** A vector for each text. */
  embed(texts: readonly string[]): Promise<Vectors>;
};

/** What came of a prompt. */
export type Completion = {
  text: string;
  provider: string;
  model: string;
  promptTokens: number;
  completionTokens: number;
};

/** What came of texts. */
export type Vectors = { embeddings: number[][]; model: string; promptTokens: number };

/** The model behind the service would not do it. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly status: 422 | 429 | 503;
  readonly retryAfter: string | undefined;

  constructor(status: ModelError['status'], retryAfter?: string, cause?: unknown) {
    super(`The model says ${status}.`, { cause });
    this.status = status;
    this.retryAfter = retryAfter;
  }
}
