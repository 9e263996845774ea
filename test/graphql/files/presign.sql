select * from app_hidden.create_file($1, $2, $3, $4, $5, $6)
-- $1 = "größe.txt"
-- $2 = "text/plain"
-- $3 = "11"
-- $4 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
-- $5 = "00000000-0000-7000-8000-000000000002"
-- $6 = "{\"allowedTypes\":[\"text/*\",\"image/*\"],\"maxBytes\":1000000000,\"singleMaxBytes\":100000000,\"partBytes\":16777216,\"ttlSeconds\":961,\"multipartTtlSeconds\":86400,\"quotaBytes\":1000000000,\"quotaFiles\":10}"

select
  __files__."id" as "0",
  __files__."file_name" as "1",
  __files__."content_type" as "2",
  __files__."byte_size"::text as "3",
  __files__."checksum_sha256" as "4",
  __files__."status"::text as "5",
  __files__."error" as "6",
  __files__."part_size"::text as "7",
  __documents__."id" as "8",
  __users__."id" as "9"
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
-- $1 = "<new id>"
