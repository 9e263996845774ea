import 'postgraphile/graphile-build-pg';

/**
 * Names without `ById` and `Id`: `document(id:)`, `updateDocument`,
 * `deleteDocument`, since a global id is the only way in.
 */
export const NamesPlugin: GraphileConfig.Plugin = {
  name: 'NamesPlugin',
  description: 'document(id:), updateDocument and deleteDocument instead of …ById',
  version: '1.0.0',
  // Replacements of later plugins wrap those of earlier ones.
  after: ['PgSimplifyInflectionPlugin'],

  inflection: {
    replace: {
      nodeById(_previous, _options, typeName) {
        return this.camelCase(typeName);
      },
      updateNodeField(_previous, _options, { resource }) {
        return this.camelCase(`update-${this.tableType(resource.codec)}`);
      },
      updateNodeInputType(_previous, _options, { resource }) {
        return this.upperCamelCase(`update-${this.tableType(resource.codec)}-input`);
      },
      deleteNodeField(_previous, _options, { resource }) {
        return this.camelCase(`delete-${this.tableType(resource.codec)}`);
      },
      deleteNodeInputType(_previous, _options, { resource }) {
        return this.upperCamelCase(`delete-${this.tableType(resource.codec)}-input`);
      },
    },
  },
};
