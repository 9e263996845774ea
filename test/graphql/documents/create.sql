insert into "app_public"."documents" as __documents__ ("title", "body") values ($1::"text", $2::"text") returning
  __documents__."id" as "0",
  __documents__."title" as "1",
  __documents__."body" as "2",
  to_char(__documents__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "3",
  __documents__."owner_id" as "4";
-- $1 = "New"
-- $2 = "Text"

select
  __documents__."id" as "0",
  to_char(__documents__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "1"
from "app_public"."documents" as __documents__
where (
  __documents__."id" = $1::"uuid"
)
order by __documents__."created_at" desc, __documents__."id" desc;
-- $1 = "<new id>"

select
  __users__."name" as "0",
  to_char(__users__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "1"
from "app_public"."users" as __users__
where (
  __users__."id" = $1::"text"
);
-- $1 = "user_bob"
