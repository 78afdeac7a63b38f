-- +goose Up
-- Orchestrations in the background. What was asked is sealed with a key of the job's own, which is sealed with the
-- tenant's data key; both are gone once the job has ended, whichever way.
CREATE TABLE orchestration.jobs (
	tenant            text NOT NULL,
	id                text NOT NULL,
	key_id            text NOT NULL, -- the API key that asked
	river_id          bigint NOT NULL,
	state             text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
	progress          double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
	created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
	started_at        timestamptz,
	finished_at       timestamptz,
	request           bytea,
	key               bytea,
	result            bytea, -- sealed with the tenant's data key
	receipt           text,
	error_code        text,
	error_message     text,
	webhook           bytea, -- a URL, sealed with the tenant's data key
	webhook_attempts  integer NOT NULL DEFAULT 0,
	webhook_delivered timestamptz,
	PRIMARY KEY (tenant, id),
	CHECK (CASE WHEN state IN ('pending', 'running') THEN request IS NOT NULL AND key IS NOT NULL AND finished_at IS NULL
		ELSE request IS NULL AND key IS NULL AND finished_at IS NOT NULL END)
);
CREATE INDEX jobs_open ON orchestration.jobs (tenant) WHERE state IN ('pending', 'running');
CREATE INDEX jobs_created ON orchestration.jobs (tenant, created_at);
CREATE INDEX jobs_finished ON orchestration.jobs (finished_at);
ALTER TABLE orchestration.jobs ALTER COLUMN request SET STORAGE EXTERNAL, ALTER COLUMN result SET STORAGE EXTERNAL; -- ciphertext does not compress

ALTER TABLE orchestration.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE orchestration.jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON orchestration.jobs USING (current_setting('app.tenant', true) IN (tenant, '*'));

-- River's tables, as its own migrations 002 to 008 leave them; a test holds both together. They have ids and no content,
-- and no tenant's row-level security: River works for all.
CREATE TYPE orchestration.river_job_state AS ENUM (
	'available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled'
);

CREATE TABLE orchestration.river_job (
	id            bigserial PRIMARY KEY,
	state         orchestration.river_job_state NOT NULL DEFAULT 'available',
	attempt       smallint NOT NULL DEFAULT 0,
	max_attempts  smallint NOT NULL DEFAULT 25,
	attempted_at  timestamptz,
	created_at    timestamptz NOT NULL DEFAULT now(),
	finalized_at  timestamptz,
	scheduled_at  timestamptz NOT NULL DEFAULT now(),
	priority      smallint NOT NULL DEFAULT 1,
	args          jsonb NOT NULL,
	attempted_by  text[],
	errors        jsonb[],
	kind          text NOT NULL,
	metadata      jsonb NOT NULL DEFAULT '{}',
	queue         text NOT NULL DEFAULT 'default',
	tags          varchar(255)[] NOT NULL DEFAULT '{}',
	unique_key    bytea,
	unique_states bit(8),
	CONSTRAINT finalized_or_finalized_at_null CHECK (
		(finalized_at IS NULL AND state NOT IN ('cancelled', 'completed', 'discarded')) OR
		(finalized_at IS NOT NULL AND state IN ('cancelled', 'completed', 'discarded'))),
	CONSTRAINT max_attempts_is_positive CHECK (max_attempts > 0),
	CONSTRAINT priority_in_range CHECK (priority >= 1 AND priority <= 4),
	CONSTRAINT queue_length CHECK (char_length(queue) > 0 AND char_length(queue) < 128),
	CONSTRAINT kind_length CHECK (char_length(kind) > 0 AND char_length(kind) < 128)
);
CREATE INDEX river_job_kind ON orchestration.river_job (kind);
CREATE INDEX river_job_state_and_finalized_at_index ON orchestration.river_job (state, finalized_at) WHERE finalized_at IS NOT NULL;
CREATE INDEX river_job_prioritized_fetching_index ON orchestration.river_job (state, queue, priority, scheduled_at, id);
CREATE INDEX river_job_args_index ON orchestration.river_job USING gin (args);
CREATE INDEX river_job_metadata_index ON orchestration.river_job USING gin (metadata);

-- +goose StatementBegin
CREATE FUNCTION orchestration.river_job_state_in_bitmask(bitmask bit(8), state orchestration.river_job_state) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE state
		WHEN 'available' THEN get_bit(bitmask, 7)
		WHEN 'cancelled' THEN get_bit(bitmask, 6)
		WHEN 'completed' THEN get_bit(bitmask, 5)
		WHEN 'discarded' THEN get_bit(bitmask, 4)
		WHEN 'pending'   THEN get_bit(bitmask, 3)
		WHEN 'retryable' THEN get_bit(bitmask, 2)
		WHEN 'running'   THEN get_bit(bitmask, 1)
		WHEN 'scheduled' THEN get_bit(bitmask, 0)
		ELSE 0
	END = 1;
$$;
-- +goose StatementEnd
CREATE UNIQUE INDEX river_job_unique_idx ON orchestration.river_job (unique_key)
	WHERE unique_key IS NOT NULL AND unique_states IS NOT NULL AND orchestration.river_job_state_in_bitmask(unique_states, state);

CREATE UNLOGGED TABLE orchestration.river_leader (
	elected_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	leader_id  text NOT NULL,
	name       text PRIMARY KEY DEFAULT 'default',
	CONSTRAINT name_length CHECK (name = 'default'),
	CONSTRAINT leader_id_length CHECK (char_length(leader_id) > 0 AND char_length(leader_id) < 128)
);

CREATE TABLE orchestration.river_queue (
	name       text PRIMARY KEY NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	metadata   jsonb NOT NULL DEFAULT '{}'::jsonb,
	paused_at  timestamptz,
	updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE orchestration.river_notification (
	id         bigserial PRIMARY KEY,
	created_at timestamptz NOT NULL DEFAULT now(),
	payload    text NOT NULL,
	topic      text NOT NULL,
	CONSTRAINT topic_length CHECK (length(topic) > 0 AND length(topic) < 128)
);
CREATE INDEX river_notification_created_at_idx ON orchestration.river_notification (created_at);
CREATE INDEX river_notification_topic_id_idx ON orchestration.river_notification (topic, id);

-- +goose Down
DROP TABLE orchestration.river_notification;
DROP TABLE orchestration.river_queue;
DROP TABLE orchestration.river_leader;
DROP TABLE orchestration.river_job;
DROP FUNCTION orchestration.river_job_state_in_bitmask;
DROP TYPE orchestration.river_job_state;
DROP TABLE orchestration.jobs;
