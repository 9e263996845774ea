update "app_public"."documents" as __documents__ set "title" = $1::"text" where (__documents__."id" = $2::"uuid") returning
  __documents__."id" as "0",
  __documents__."title" as "1",
  __documents__."body" as "2";
-- $1 = "Better notes"
-- $2 = "00000000-0000-7000-8000-000000000002"
