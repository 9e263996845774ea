select
  __search_documents__."title" as "0",
  "app_hidden"."document_rank"(__search_documents__, $1::"text")::text as "1",
  to_char(__search_documents__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "2",
  __search_documents__."id" as "3"
from "app_public"."search_documents"($2::"text") as __search_documents__
order by "app_hidden"."document_rank"(__search_documents__, $1::"text") desc, __search_documents__."created_at" desc, __search_documents__."id" desc
limit 3;
-- $1 = "plan"
-- $2 = "plan"
