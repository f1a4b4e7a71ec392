"""Storage in an S3 bucket: requests, multipart uploads, versions, protections and lifecycle rules."""
