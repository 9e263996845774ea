select
  __documents__."title" as "0"
from "app_public"."documents" as __documents__
order by __documents__."created_at" desc, __documents__."id" desc
limit 20;
