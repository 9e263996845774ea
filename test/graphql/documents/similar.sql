select
  __similar_documents__."title" as "0",
  "app_hidden"."document_similarity"(__similar_documents__, (select "app_hidden"."document_embedding"($1::"uuid")))::text as "1",
  to_char(__similar_documents__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "2",
  __similar_documents__."id" as "3"
from "app_public"."similar_documents"($2::"uuid") as __similar_documents__
order by "app_hidden"."document_similarity"(__similar_documents__, (select "app_hidden"."document_embedding"($1::"uuid"))) desc, __similar_documents__."created_at" desc, __similar_documents__."id" desc
limit 3;
-- $1 = "00000000-0000-7000-8000-000000000001"
-- $2 = "00000000-0000-7000-8000-000000000001"
