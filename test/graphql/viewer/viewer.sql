select
  __users__."name" as "0",
  to_char(__users__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "1"
from "app_public"."users" as __users__
where (
  __users__."id" = $1::"text"
);
-- $1 = "user_alice"

select
  __organizations__."name" as "0",
  __organizations__."kind"::text as "1"
from "app_public"."organizations" as __organizations__
where (
  __organizations__."id" = $1::"text"
);
-- $1 = "org_acme"
