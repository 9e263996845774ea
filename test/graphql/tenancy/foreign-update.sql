update "app_public"."documents" as __documents__ set "title" = $1::"text" where (__documents__."id" = $2::"uuid") returning
  __documents__."title" as "0";
-- $1 = "Mine"
-- $2 = "00000000-0000-7000-8000-000000000001"
