select app_hidden.finalize_file($1) as is_done
-- $1 = "00000000-0000-7000-8000-000000000102"
