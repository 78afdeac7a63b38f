-- +goose NO TRANSACTION
-- +goose Up
-- Retention asks for a tenant's first event that is not too old. Without the index it still gets its answer, slowly.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_at ON mapper.events (tenant, at);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS mapper.events_at;
