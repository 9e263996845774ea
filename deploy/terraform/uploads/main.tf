# The bucket of uploads, as `npm run storage:setup` would set it up, and the policies of
# API and worker. What each part is for: docs/uploads.md.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 6.0" }
  }
}

variable "bucket" {
  type        = string
  description = "Name of the bucket: S3_BUCKET_UPLOADS."
}

variable "cors_origins" {
  type        = list(string)
  description = "Web origins whose pages upload: CORS_ORIGINS."
  default     = []
}

variable "multipart_ttl_seconds" {
  type        = number
  description = "How long an upload in parts waits to be completed: UPLOAD_MULTIPART_TTL_SECONDS."
  default     = 86400
}

locals {
  # As long as an upload may take, two days to verify it, and one more: the day and a half that the
  # longest upload in one piece may take is always in it.
  kept_days = ceil(var.multipart_ttl_seconds / 86400) + 3
}

resource "aws_s3_bucket" "uploads" {
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "uploads" {
  bucket                  = aws_s3_bucket.uploads.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "uploads" {
  bucket = aws_s3_bucket.uploads.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "uploads" {
  bucket = aws_s3_bucket.uploads.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
    bucket_key_enabled = true
  }
}

resource "aws_s3_bucket_versioning" "uploads" {
  bucket = aws_s3_bucket.uploads.id
  versioning_configuration {
    status = "Enabled"
  }
}

data "aws_iam_policy_document" "transport" {
  statement {
    sid       = "OnlyEncryptedTransport"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.uploads.arn, "${aws_s3_bucket.uploads.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "uploads" {
  bucket     = aws_s3_bucket.uploads.id
  policy     = data.aws_iam_policy_document.transport.json
  depends_on = [aws_s3_bucket_public_access_block.uploads]
}

resource "aws_s3_bucket_lifecycle_configuration" "uploads" {
  bucket     = aws_s3_bucket.uploads.id
  depends_on = [aws_s3_bucket_versioning.uploads]

  rule {
    id     = "incoming"
    status = "Enabled"
    filter {
      prefix = "incoming/"
    }
    expiration {
      days = local.kept_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = local.kept_days
    }
  }

  rule {
    id     = "deleted-files"
    status = "Enabled"
    filter {
      prefix = "files/"
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    expiration {
      expired_object_delete_marker = true
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }
}

resource "aws_s3_bucket_cors_configuration" "uploads" {
  count  = length(var.cors_origins) > 0 ? 1 : 0
  bucket = aws_s3_bucket.uploads.id
  cors_rule {
    allowed_origins = var.cors_origins
    allowed_methods = ["PUT", "GET", "HEAD"]
    allowed_headers = ["content-type", "if-none-match", "x-amz-checksum-sha256"]
    expose_headers  = ["ETag"]
    max_age_seconds = 3000
  }
}

# Attach these to the roles of the two tasks.

data "aws_iam_policy_document" "api" {
  statement {
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.uploads.arn}/incoming/*"]
  }
  statement {
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${aws_s3_bucket.uploads.arn}/files/*"]
  }
}

data "aws_iam_policy_document" "worker" {
  statement {
    actions = [
      "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
    ]
    resources = [
      "${aws_s3_bucket.uploads.arn}/incoming/*", "${aws_s3_bucket.uploads.arn}/files/*",
    ]
  }
  statement {
    actions   = ["s3:ListMultipartUploadParts"]
    resources = ["${aws_s3_bucket.uploads.arn}/incoming/*"]
  }
  statement {
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.uploads.arn]
  }
}

output "bucket" {
  value = aws_s3_bucket.uploads.id
}

output "api_policy" {
  value = data.aws_iam_policy_document.api.json
}

output "worker_policy" {
  value = data.aws_iam_policy_document.worker.json
}
