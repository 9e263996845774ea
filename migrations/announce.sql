-- Tells a running API in development that the schema has changed.
select pg_catalog.pg_notify('postgraphile_watch', '{"type": "schema"}');
