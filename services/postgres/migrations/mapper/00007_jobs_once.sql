-- +goose Up
-- The Idempotency-Key that a job was sent with, as a digest under the tenant's key: sent again, it is the same job.
ALTER TABLE mapper.jobs ADD COLUMN once text;
CREATE UNIQUE INDEX jobs_once ON mapper.jobs (tenant, once);

-- +goose Down
ALTER TABLE mapper.jobs DROP COLUMN once;
