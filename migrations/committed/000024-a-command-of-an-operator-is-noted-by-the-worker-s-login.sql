--! Previous: sha1:051ca03bd7577bafbeb4d1c6de4d97bae51a99c8
--! Hash: sha1:c08358653536ab8ab8643f9071c30dab571301f9
--! Message: a command of an operator is noted by the worker's login

-- The worker's login may note a command of an operator: comparing the mirror with Clerk
-- can shut people out, and who looks for the reason looks in the audit trail. It is
-- about no organization, so no caller of the API sees it.

create or replace function app_private.audit_command(operation text, details jsonb) returns void
language sql volatile security definer set search_path = ''
begin atomic
  insert into app_public.audit_events (org_id, action, source, operation, new_values)
  values ('', 'COMMAND', 'SYSTEM', audit_command.operation, audit_command.details);
end;
grant execute on function app_private.audit_command(text, jsonb) to app_worker;
