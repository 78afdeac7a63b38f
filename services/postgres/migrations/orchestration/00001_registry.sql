-- +goose Up
-- What tenants have registered: detectors of their own, and policies. A change makes a version; what it says is sealed
-- with the tenant's data key.
CREATE TABLE orchestration.registered (
	tenant     text NOT NULL,
	kind       text NOT NULL CHECK (kind IN ('detector', 'policy')),
	name       text NOT NULL CHECK (name ~ '^[a-z0-9-]{1,64}$'),
	newest     integer NOT NULL,       -- version
	active     integer,                -- version in force; null where none is yet
	removed    boolean NOT NULL DEFAULT false,
	key        text NOT NULL,          -- who changed it last
	changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (tenant, kind, name)
);
CREATE INDEX registered_changed ON orchestration.registered (changed_at);

CREATE TABLE orchestration.versions (
	tenant     text NOT NULL,
	kind       text NOT NULL,
	name       text NOT NULL,
	version    integer NOT NULL,
	sealed     bytea NOT NULL,
	hash       text NOT NULL,          -- of a policy: SHA-256 of its canonical form; of a detector, which has secrets: an HMAC
	key        text NOT NULL,          -- who made it
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, kind, name, version),
	FOREIGN KEY (tenant, kind, name) REFERENCES orchestration.registered
);

ALTER TABLE orchestration.registered ENABLE ROW LEVEL SECURITY;
ALTER TABLE orchestration.registered FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON orchestration.registered USING (current_setting('app.tenant', true) IN (tenant, '*'));
ALTER TABLE orchestration.versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE orchestration.versions FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON orchestration.versions USING (current_setting('app.tenant', true) IN (tenant, '*'));

-- +goose Down
DROP TABLE orchestration.versions;
DROP TABLE orchestration.registered;
