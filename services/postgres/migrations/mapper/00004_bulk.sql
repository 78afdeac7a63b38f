-- +goose Up
-- Jobs: mappings in bulk. What they read and what they answer is sealed with the tenant's data key.
CREATE TABLE mapper.jobs (
	tenant      text NOT NULL,
	id          text NOT NULL,
	key_id      text NOT NULL,
	model_only  boolean NOT NULL DEFAULT false,
	state       text NOT NULL DEFAULT 'receiving' CHECK (state IN ('receiving', 'running', 'done', 'cancelled')),
	lines       bigint NOT NULL DEFAULT 0,
	done        bigint NOT NULL DEFAULT 0,
	failed      bigint NOT NULL DEFAULT 0, -- of those done: lines whose answer is an error
	created_at  timestamptz NOT NULL DEFAULT now(),
	touched_at  timestamptz NOT NULL DEFAULT now(), -- by the upload
	started_at  timestamptz,
	finished_at timestamptz,
	PRIMARY KEY (tenant, id)
);
CREATE INDEX jobs_created ON mapper.jobs (created_at);

-- waiting, then queued: a River job works on it, then done or cancelled.
CREATE TABLE mapper.job_chunks (
	tenant   text NOT NULL,
	job      text NOT NULL,
	number   integer NOT NULL, -- from 0
	first    bigint NOT NULL,  -- line, from 1
	lines    integer NOT NULL,
	failed   integer NOT NULL DEFAULT 0,
	state    text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'queued', 'done', 'cancelled')),
	river_id bigint,
	done_at  timestamptz,
	input    bytea,            -- gone once it is done or cancelled
	result   bytea,
	PRIMARY KEY (tenant, job, number),
	FOREIGN KEY (tenant, job) REFERENCES mapper.jobs ON DELETE CASCADE
);
CREATE INDEX job_chunks_open ON mapper.job_chunks (tenant, state) WHERE state IN ('waiting', 'queued');
ALTER TABLE mapper.job_chunks ALTER COLUMN input SET STORAGE EXTERNAL, ALTER COLUMN result SET STORAGE EXTERNAL; -- ciphertext does not compress

ALTER TABLE mapper.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.jobs USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE mapper.job_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.job_chunks FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.job_chunks USING (current_setting('app.tenant', true) IN (tenant, '*'));

-- +goose Down
DROP TABLE mapper.job_chunks;
DROP TABLE mapper.jobs;
