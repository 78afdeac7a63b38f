-- +goose Up
-- The audit: one event for each decision, in a chain for each tenant, as in mapper. What an event says is sealed with the tenant's
-- data key; leaf commits to it, and hash ties it to all before it.
CREATE TABLE orchestration.chains (
	tenant      text PRIMARY KEY,
	seq         bigint NOT NULL DEFAULT 0,      -- of the last event
	hash        bytea NOT NULL,                 -- of the last event
	pruned_seq  bigint NOT NULL DEFAULT 0,      -- of the last event that retention has removed
	pruned_hash bytea NOT NULL
);

CREATE TABLE orchestration.events (
	tenant text NOT NULL,
	seq    bigint NOT NULL,
	at     timestamptz NOT NULL,
	leaf   bytea NOT NULL,
	hash   bytea NOT NULL,
	sealed bytea NOT NULL,
	PRIMARY KEY (tenant, seq)
);
CREATE INDEX events_at ON orchestration.events (tenant, at);

-- Signed heads of chains.
CREATE TABLE orchestration.seals (
	tenant    text NOT NULL,
	seq       bigint NOT NULL,
	hash      bytea NOT NULL,
	at        timestamptz NOT NULL,
	signature bytea NOT NULL,
	PRIMARY KEY (tenant, seq)
);

-- How far the journal of each replica has been taken over.
CREATE TABLE orchestration.journals (
	replica  text PRIMARY KEY,
	position bigint NOT NULL DEFAULT 0
);

ALTER TABLE orchestration.chains ENABLE ROW LEVEL SECURITY;
ALTER TABLE orchestration.chains FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON orchestration.chains USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE orchestration.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE orchestration.events FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON orchestration.events USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE orchestration.seals ENABLE ROW LEVEL SECURITY;
ALTER TABLE orchestration.seals FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON orchestration.seals USING (current_setting('app.tenant', true) IN (tenant, '*'));

-- +goose Down
DROP TABLE orchestration.journals;
DROP TABLE orchestration.seals;
DROP TABLE orchestration.events;
DROP TABLE orchestration.chains;
