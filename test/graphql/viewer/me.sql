select
  __me__."id" as "0",
  __me__."email" as "1",
  __me__."name" as "2"
from "app_public"."me"() as __me__;
