insert into "app_public"."documents" as __documents__ ("title") values ($1::"text") returning
  __documents__."id" as "0";
-- $1 = ""
