-- +goose Up
-- Confidence below which a tenant's answers are OTHER.Unknown: by detector, detector/LABEL or */LABEL.
ALTER TABLE access.tenants ADD COLUMN thresholds jsonb;

-- +goose Down
ALTER TABLE access.tenants DROP COLUMN thresholds;
