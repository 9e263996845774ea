select
  __documents__."title" as "0"
from "app_public"."documents" as __documents__
order by __documents__."created_at" desc, __documents__."id" desc
limit 20;

select
  __search_documents__."title" as "0"
from "app_public"."search_documents"($1::"text") as __search_documents__
order by "app_hidden"."document_rank"(__search_documents__, $2::"text") desc, __search_documents__."created_at" desc, __search_documents__."id" desc
limit 20;
-- $1 = "anvils"
-- $2 = "anvils"
