select
  __files__."id" as "0",
  __files__."file_name" as "1",
  __files__."content_type" as "2",
  __files__."byte_size"::text as "3",
  __files__."checksum_sha256" as "4",
  __files__."status"::text as "5",
  __files__."error" as "6",
  __files__."width"::text as "7",
  __files__."height"::text as "8",
  to_char(__files__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "9",
  to_char(__files__."ready_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "10",
  __files__."object_key" as "11",
  __files__."object_version" as "12",
  __documents__."id" as "13",
  __users__."id" as "14"
from "app_public"."files" as __files__
left outer join "app_public"."documents" as __documents__
on (
/* WHERE becoming ON */ (
  __documents__."id" = __files__."document_id"
))
left outer join "app_public"."users" as __users__
on (
/* WHERE becoming ON */ (
  __users__."id" = __files__."owner_id"
))
where (
  __files__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000101"
