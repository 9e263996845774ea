/** How much a bench database holds. */
export type Sizes = { documents: number; organizations: number; users: number };

/** The sizes that figures are quoted for. */
export const defaultSizes: Sizes = { documents: 200_000, organizations: 100, users: 1_000 };

/** The database that holds this much: each size has its own, so that all can be kept. */
export function databaseName({ documents, organizations, users }: Sizes): string {
  return `bench_${documents}_${organizations}_${users}`;
}

/** `200,000 documents of 100 organizations and 1,000 users`. */
export function describeSizes({ documents, organizations, users }: Sizes): string {
  const count = (value: number) => value.toLocaleString('en');
  return `${count(documents)} documents of ${count(organizations)} organizations and ${count(users)} users`;
}
