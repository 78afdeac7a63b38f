-- +goose Up
-- Who may ask. Secrets are not here: a key's hash needs the master key too, and so does a tenant's data key.
CREATE TABLE access.tenants (
	id             text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64 AND id <> '*'),
	created_at     timestamptz NOT NULL DEFAULT now(),
	changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
	data_key       bytea,           -- wrapped; gone once the tenant is deleted, and with it what it sealed
	key_limit      integer CHECK (key_limit >= 0),    -- requests a minute of one key; null is the default, 0 none
	tenant_limit   integer CHECK (tenant_limit >= 0), -- of all its keys together
	retention_days integer CHECK (retention_days >= 0)
);

CREATE TABLE access.keys (
	id           text PRIMARY KEY,
	tenant       text NOT NULL REFERENCES access.tenants,
	hash         bytea NOT NULL,
	name         text NOT NULL CHECK (length(name) <= 100),
	role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
	scopes       text[] NOT NULL,
	created_at   timestamptz NOT NULL DEFAULT now(),
	changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
	expires_at   timestamptz,
	revoked_at   timestamptz,
	last_used_at timestamptz
);
CREATE INDEX keys_tenant ON access.keys (tenant);
CREATE INDEX keys_changed ON access.keys (changed_at);
CREATE INDEX tenants_changed ON access.tenants (changed_at);

ALTER TABLE access.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE access.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON access.tenants USING (current_setting('app.tenant', true) IN (id, '*'));
ALTER TABLE access.keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE access.keys FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON access.keys USING (current_setting('app.tenant', true) IN (tenant, '*'));

-- +goose Down
DROP TABLE access.keys;
DROP TABLE access.tenants;
