-- +goose Up
-- What tenants have decided about detectors' labels, and what waits for a decision. Native labels are sealed; digest is
-- how the same one is found again.
CREATE TABLE mapper.overrides (
	tenant     text NOT NULL,
	detector   text NOT NULL,
	digest     text NOT NULL,
	id         text NOT NULL,
	sealed     bytea NOT NULL,
	labels     text[] NOT NULL,
	key        text NOT NULL,          -- who decided
	changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	removed    boolean NOT NULL DEFAULT false,
	PRIMARY KEY (tenant, detector, digest)
);
CREATE INDEX overrides_changed ON mapper.overrides (changed_at);

CREATE TABLE mapper.proposals (
	tenant     text NOT NULL,
	detector   text NOT NULL,
	digest     text NOT NULL,
	id         text NOT NULL,
	number     bigint GENERATED ALWAYS AS IDENTITY,
	sealed     bytea NOT NULL,
	label      text NOT NULL,          -- the model's
	confidence double precision NOT NULL,
	candidates json NOT NULL,
	model      text NOT NULL,
	seen       bigint NOT NULL,
	first_at   timestamptz NOT NULL DEFAULT now(),
	last_at    timestamptz NOT NULL DEFAULT now(),
	state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'rejected')),
	PRIMARY KEY (tenant, detector, digest)
);
CREATE UNIQUE INDEX proposals_id ON mapper.proposals (tenant, id);
CREATE INDEX proposals_state ON mapper.proposals (tenant, state, number);

CREATE TABLE mapper.decisions (
	tenant   text NOT NULL,
	number   bigint GENERATED ALWAYS AS IDENTITY,
	at       timestamptz NOT NULL DEFAULT now(),
	key      text NOT NULL,
	action   text NOT NULL CHECK (action IN ('accept', 'reject', 'override', 'remove')),
	id       text NOT NULL,
	detector text NOT NULL,
	labels   text[] NOT NULL,
	PRIMARY KEY (tenant, number)
);

ALTER TABLE mapper.overrides ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.overrides FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.overrides USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE mapper.proposals ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.proposals FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.proposals USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE mapper.decisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE mapper.decisions FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mapper.decisions USING (current_setting('app.tenant', true) IN (tenant, '*'));

-- +goose Down
DROP TABLE mapper.decisions;
DROP TABLE mapper.proposals;
DROP TABLE mapper.overrides;
