select
  __documents__."title" as "0"
from "app_public"."documents" as __documents__
where (
  __documents__."owner_id" = (select app_hidden.current_user_id())
)
order by __documents__."created_at" desc, __documents__."id" desc
limit 20;
