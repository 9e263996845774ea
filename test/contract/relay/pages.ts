import {
  type Direction,
  fetchQuery,
  getPaginationMetadata,
  getPaginationVariables,
  getRefetchMetadata,
  getSingularSelector,
  getValueAtPath,
  type ReaderFragment,
} from 'relay-runtime';
import type { RelayClient } from './client.ts';

/** An edge of any connection. */
export type Edge<Node> = { cursor: string; node: Node };

/** Where a connection stands. */
type PageInfo = {
  hasNextPage: boolean;
  hasPreviousPage: boolean;
  startCursor: string | null;
  endCursor: string | null;
};

/** A page of a connection. */
export type Page<Node> = { edges: Edge<Node>[]; pageInfo: PageInfo };

/** A connection in the store, read a page at a time. */
export type Pages<Node> = {
  /** What the store has of the connection. */
  connection(): Page<Node>;
  /** Loads a page, and resolves to it as it came over the wire. */
  load(direction: Direction, count: number): Promise<Page<Node>>;
};

/** What `usePaginationFragment` does, without React. */
export function pagesOf<Node>(
  client: RelayClient,
  fragment: ReaderFragment,
  pointer: unknown,
): Pages<Node> {
  const { connectionPathInFragmentData, paginationRequest, paginationMetadata } =
    getPaginationMetadata(fragment, 'pagesOf');
  const { identifierInfo, fragmentRefPathInResponse } = getRefetchMetadata(fragment, 'pagesOf');
  const path = [...fragmentRefPathInResponse, ...connectionPathInFragmentData];
  const data = () => client.read<Record<string, unknown>>(fragment, pointer);
  const connection = (): Page<Node> => getValueAtPath(data(), connectionPathInFragmentData);

  return {
    connection,
    async load(direction, count) {
      const selector = getSingularSelector(fragment, pointer);
      const { startCursor, endCursor } = connection().pageInfo;
      const variables = getPaginationVariables(
        direction,
        count,
        direction === 'forward' ? endCursor : startCursor,
        { ...selector?.owner.variables, ...selector?.variables },
        {},
        paginationMetadata,
      );
      if (identifierInfo) {
        variables[identifierInfo.identifierQueryVariableName] =
          data()[identifierInfo.identifierField];
      }
      const options = { fetchPolicy: 'network-only' } as const;
      await fetchQuery(client.environment, paginationRequest, variables, options).toPromise();
      return getValueAtPath(client.exchanges.at(-1)?.answer.data, path);
    },
  };
}
