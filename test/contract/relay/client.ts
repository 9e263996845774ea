import {
  type ConcreteRequest,
  commitMutation,
  createOperationDescriptor,
  Environment,
  fetchQuery,
  type GraphQLResponse,
  getSingularSelector,
  Network,
  type ReaderFragment,
  RecordSource,
  type RequestParameters,
  Store,
  type Variables,
} from 'relay-runtime';

/** An app's side of Relay: a store, and a network that leads to a running API. */
export type RelayClient = {
  environment: Environment;
  /** What went over the wire, in order. */
  exchanges: Exchange[];
  /** Fetches a query and keeps its data in the store, as a mounted component would. */
  fetch<Data>(query: ConcreteRequest, variables?: Variables): Promise<Data>;
  /** What the store says a fragment's data is; fails when a part of it is missing. */
  read<Data>(fragment: ReaderFragment, pointer: unknown): Data;
  /** Sends a mutation and applies its answer to the store. */
  commit(mutation: ConcreteRequest, variables: Variables): Promise<Outcome>;
};

/** An operation that was sent, and its answer. */
type Exchange = { name: string; variables: Variables; answer: Answer };

/** A GraphQL answer. */
type Answer = { data?: unknown; errors?: AnswerError[] };

/** An error as the API codes it. */
type AnswerError = {
  message: string;
  path?: (string | number)[];
  extensions: { code: string; field?: string; requestId: string };
};

/** How a mutation ended: what Relay gave to `onCompleted`, or to `onError`. */
export type Outcome =
  | { ended: 'completed'; data: unknown; errors: AnswerError[] | null }
  | { ended: 'failed'; errors: AnswerError[] };

/** Makes a client with an empty store, as whoever the token is for. */
export function makeRelayClient(api: { url: string }, token: string): RelayClient {
  const exchanges: Exchange[] = [];

  async function send({ name, text }: RequestParameters, variables: Variables) {
    const response = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ operationName: name, query: text, variables }),
    });
    const answer = (await response.json()) as Answer;
    exchanges.push({ name, variables, answer });
    return answer as GraphQLResponse;
  }

  const environment = new Environment({
    network: Network.create(send),
    store: new Store(new RecordSource()),
  });

  return {
    environment,
    exchanges,
    async fetch<Data>(query: ConcreteRequest, variables: Variables = {}) {
      environment.retain(createOperationDescriptor(query, variables));
      const options = { fetchPolicy: 'network-only' } as const;
      const data = await fetchQuery(environment, query, variables, options).toPromise();
      return data as Data;
    },
    read<Data>(fragment: ReaderFragment, pointer: unknown) {
      const { data, isMissingData } = environment.lookup(getSingularSelector(fragment, pointer));
      if (isMissingData) throw new Error(`The store misses a part of ${fragment.name}.`);
      return data as Data;
    },
    commit(mutation, variables) {
      return new Promise((resolve, reject) => {
        commitMutation(environment, {
          mutation,
          variables,
          onCompleted: (data, errors) =>
            resolve({ ended: 'completed', data, errors: errors as AnswerError[] | null }),
          onError: (error: Error & { source?: { errors: AnswerError[] } }) => {
            // Relay makes this error of an answer without data; any other is the test's own.
            if (error.source) resolve({ ended: 'failed', errors: error.source.errors });
            else reject(error);
          },
        });
      });
    },
  };
}
