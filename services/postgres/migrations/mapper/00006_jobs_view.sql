-- +goose Up
-- How a job's answers are shown: with controls, and in the labels of which taxonomy; '' is the one in force.
ALTER TABLE mapper.jobs ADD COLUMN controls boolean NOT NULL DEFAULT false, ADD COLUMN taxonomy text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE mapper.jobs DROP COLUMN controls, DROP COLUMN taxonomy;
