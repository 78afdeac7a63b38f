-- +goose Up
-- The audit: one event for each mapping, in a chain for each tenant. What an event says is sealed with the tenant's
-- data key; leaf commits to it, and hash ties it to all before it.
CREATE TABLE mapper.chains (
	tenant      text PRIMARY KEY,
	seq         bigint NOT NULL DEFAULT 0,      -- of the last event
	hash        bytea NOT NULL,                 -- of the last event
	pruned_seq  bigint NOT NULL DEFAULT 0,      -- of the last event that retention has removed
	pruned_hash bytea NOT NULL
);

CREATE TABLE mapper.events (
	tenant text NOT NULL,
	seq    bigint NOT NULL,
	at     timestamptz NOT NULL,
	leaf   bytea NOT NULL,
	hash   bytea NOT NULL,
	sealed bytea NOT NULL,
	PRIMARY KEY (tenant, seq)
);

-- Signed heads of chains.
CREATE TABLE mapper.seals (
	tenant    text NOT NULL,
	seq       bigint NOT NULL,
	hash      bytea NOT NULL,
	at        timestamptz NOT NULL,
	signature bytea NOT NULL,
	PRIMARY KEY (tenant, seq)
);

-- How far the journal of each replica has been taken over.
CREATE TABLE mapper.journals (
	replica  text PRIMARY KEY,
	position bigint NOT NULL DEFAULT 0
);

ALTER TABLE mapper.chains ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.chains FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.chains USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE mapper.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.events FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.events USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE mapper.seals ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.seals FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.seals USING (current_setting('app.tenant', true) IN (tenant, '*'));

-- +goose Down
DROP TABLE mapper.journals;
DROP TABLE mapper.seals;
DROP TABLE mapper.events;
DROP TABLE mapper.chains;
