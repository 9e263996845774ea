/** As much of the server as is used here; it brings no types. */
declare module '@20minutes/s3rver' {
  class Server {
    constructor(options: object);
    on(event: 'error', listener: () => void): void;
    configureBuckets(): Promise<unknown>;
    store: {
      deleteObject(bucket: string, key: string): Promise<void>;
      putMetadata(bucket: string, key: string, metadata: object, md5?: string): Promise<void>;
      putObjectMultipart(
        bucket: string,
        uploadId: string,
        parts: readonly { number: number }[],
      ): Promise<unknown>;
      getResourcePath(bucket: string, key: string | undefined, resource: string): string;
    };
    callback(): import('node:http').RequestListener;
  }

  // biome-ignore lint/style/noDefaultExport: that is how it exports.
  export { Server as default };
}
