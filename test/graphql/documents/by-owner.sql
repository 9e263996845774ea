select
  __documents__."title" as "0"
from "app_public"."documents" as __documents__
where (
  __documents__."owner_id" = $1::"text"
)
order by __documents__."created_at" asc, __documents__."id" asc
limit 20;
-- $1 = "user_alice"
