select * from app_hidden.create_file($1, $2, $3, $4, $5, $6)
-- $1 = "größe.txt"
-- $2 = "text/plain"
-- $3 = "11"
-- $4 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
-- $5 = "00000000-0000-7000-8000-000000000001"
-- $6 = "{\"allowedTypes\":[\"text/*\",\"image/*\"],\"maxBytes\":1000000000,\"singleMaxBytes\":100000000,\"partBytes\":16777216,\"ttlSeconds\":961,\"multipartTtlSeconds\":86400,\"quotaBytes\":1000000000,\"quotaFiles\":10}"
