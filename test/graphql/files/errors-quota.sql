select * from app_hidden.create_file($1, $2, $3, $4, $5, $6)
-- $1 = "größe.txt"
-- $2 = "text/plain"
-- $3 = "1000000000"
-- $4 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
-- $5 = null
-- $6 = "{\"allowedTypes\":[\"text/*\",\"image/*\"],\"maxBytes\":1000000000,\"singleMaxBytes\":100000000,\"partBytes\":16777216,\"ttlSeconds\":2486,\"multipartTtlSeconds\":86400,\"quotaBytes\":1000000000,\"quotaFiles\":10}"
